package plan

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/aistudio/secrets/sdk/spec"
)

const (
	// maxServiceName is what the stack's catalogue takes for a service.
	maxServiceName = 30
	// maxSecretName keeps the names of what the stack makes of a secret, such as
	// its policy, within IAM's limits.
	maxSecretName = 50
	// sharedService is the service in the name of a secret of several services.
	sharedService = "shared"
)

// kebab writes a name in lower-case words with hyphens: STRIPE_API_KEY,
// stripeApiKey and /stripe/api.key become stripe-api-key.
func kebab(name string) string {
	var out strings.Builder
	runes := []rune(name)
	gap := false
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r) || r > unicode.MaxASCII:
			gap = true
			continue
		case i > 0 && unicode.IsUpper(r) && unicode.IsLower(runes[i-1]),
			i > 0 && i+1 < len(runes) && unicode.IsUpper(r) && unicode.IsUpper(runes[i-1]) && unicode.IsLower(runes[i+1]):
			gap = true
		}
		if gap && out.Len() > 0 {
			out.WriteByte('-')
		}
		gap = false
		out.WriteRune(unicode.ToLower(r))
	}
	return out.String()
}

// serviceWord makes a service's name of a resource's: without the organization
// and the environment, which a secret's name has anyway.
func (m *maker) serviceWord(resource string) string {
	name := m.without(kebab(resource))
	if len(name) > maxServiceName {
		name = strings.Trim(name[:maxServiceName], "-")
	}
	if name == "" {
		return "service"
	}
	return name
}

func (m *maker) without(name string) string {
	for _, word := range []string{m.settings.Organization, m.settings.Environment} {
		if rest, ok := strings.CutPrefix(name, word+"-"); ok {
			name = rest
		}
		if rest, ok := strings.CutSuffix(name, "-"+word); ok {
			name = rest
		}
	}
	return name
}

// secretWord makes the last segment of a secret's name. Parameters repeat the
// service in their path.
func (m *maker) secretWord(service, setting string) string {
	name := kebab(setting)
	if strings.Contains(setting, "/") {
		name = m.without(name)
		name = strings.TrimPrefix(name, service+"-")
		name = m.without(name)
	}
	return name
}

// databaseWord names the secret of a login by the prefix of its settings.
func (m *maker) databaseWord(service, prefix string) string {
	name := m.secretWord(service, prefix)
	for _, word := range []string{"database", "db"} {
		if name == word || name == service {
			return "database"
		}
		name = strings.TrimSuffix(name, "-"+word)
	}
	if name == "" {
		return "database"
	}
	return name + "-database"
}

// full makes a name that Secrets Manager and the stack take.
func (m *maker) full(service, secret string) string {
	if len(secret) > maxSecretName {
		secret = strings.Trim(secret[:maxSecretName], "-")
	}
	if secret == "" {
		secret = "secret"
	}
	name := spec.Name{Organization: m.settings.Organization, Environment: m.settings.Environment, Service: service, Secret: secret}
	if name.Validate() != nil {
		// It ends in a hyphen and six characters, as "client-secret" does.
		name.Secret += "-value"
	}
	return name.String()
}

// nameAll gives the secrets their names. Two that would have one get different
// ones, and a person is asked.
func (m *maker) nameAll(wants []*want) {
	taken := map[string]*want{}
	for _, w := range wants {
		service := sharedService
		if len(w.services) == 1 {
			service = w.services[0]
		}
		wanted := m.full(service, w.word)
		w.name = wanted
		for i := 1; taken[identifier(w.name)] != nil; i++ {
			suffix := w.distinct
			if i > 1 {
				suffix = fmt.Sprintf("%s-%d", w.distinct, i)
			}
			w.name = m.full(service, strings.Trim(w.word[:min(len(w.word), max(1, maxSecretName-len(suffix)-1))], "-")+"-"+suffix)
		}
		if w.name != wanted {
			m.plan.Blocked = append(m.plan.Blocked, Block{
				Code: NameCollision, Subject: w.name,
				Problem: fmt.Sprintf("two different values would be called %s: that of %s and that of %s; the second is called %s for now", wanted, placeText(taken[identifier(wanted)].first), placeText(w.first), w.name),
				Remedy:  "give each a name of its own, everywhere in this file, then remove this block",
			})
		}
		taken[identifier(w.name)] = w
	}
}

// identifier is what the stack calls a secret's resources: orders/api-key and
// orders-api/key would have the same.
func identifier(name string) string {
	parts := strings.Split(name, "/")
	return strings.Join(parts[max(0, len(parts)-2):], "-")
}

func placeText(p Place) string {
	text := p.ID
	if p.Container != "" {
		text = revisionOf(p.ID) + ", container " + p.Container
	}
	switch {
	case p.Variable != "":
		return "variable " + p.Variable + " of " + text
	case p.In == spec.ScanSSM:
		return "parameter " + text
	default:
		return text
	}
}

// sortedUnique sorts and leaves each once.
func sortedUnique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
