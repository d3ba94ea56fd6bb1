package classify

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/aistudio/secrets/sdk/spec"
)

// Setting is a name and its value.
type Setting struct {
	Name  string
	Value spec.Value
}

// Verdict is what a setting is taken for. The zero Verdict is "no secret, and
// nothing speaks for it".
type Verdict struct {
	Secret     bool
	Unknown    bool      // nobody can tell without a key: the value is encrypted
	Kind       spec.Kind // of a secret; "" otherwise
	Form       bool      // the value has the form of a known credential, so it is one under any name
	Confidence float64   // of the verdict, from 0 to 1; below 0.5 nothing was found either way
	Reasons    []string  // for people, without anything of the value
}

// Config is what people have decided about names. Patterns are those of
// path.Match, without regard to case: "*_TOKEN", "STRIPE_*", "/app/*/key".
type Config struct {
	Secrets    []string // names that are secrets, whatever their value
	NotSecrets []string // names that aren't; these come first
}

// Classifier gives verdicts. Make it with New; it is safe for concurrent use.
type Classifier struct {
	config Config
}

// New returns a Classifier, or an error that names every malformed pattern.
func New(config Config) (*Classifier, error) {
	var errs []error
	for _, list := range [][]string{config.Secrets, config.NotSecrets} {
		for _, pattern := range list {
			if _, err := path.Match(pattern, ""); err != nil {
				errs = append(errs, fmt.Errorf("pattern %q: %w: see path.Match for the syntax", pattern, err))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("classification lists: %w", err)
	}
	return &Classifier{config: config}, nil
}

// Classify gives the verdict on one setting.
func (c *Classifier) Classify(s Setting) Verdict {
	name, value := parseName(s.Name), s.Value.RevealString()
	switch {
	case listed(c.config.NotSecrets, s.Name):
		return notSecret(1, "listed as no secret")
	case listed(c.config.Secrets, s.Name):
		return secret(1, kindOf(name, ""), "listed as a secret")
	}
	return judge(name, value)
}

func listed(patterns []string, name string) bool {
	name = strings.ToLower(name)
	for _, pattern := range patterns {
		// New refuses malformed patterns.
		if match, _ := path.Match(strings.ToLower(pattern), name); match {
			return true
		}
	}
	return false
}

// judge is the chain of the package's documentation.
func judge(name name, value string) Verdict {
	if strings.TrimSpace(value) == "" {
		return notSecret(1, "empty")
	}
	if reference, ok := referenceIn(value); ok {
		return notSecret(0.98, reference)
	}
	if form, ok := credentialIn(value); ok {
		kind := form.kind
		if kind == "" {
			kind = kindOf(name, value)
		}
		v := secret(form.confidence, kind, form.reason)
		v.Form = true
		return v
	}
	if both, ok := credentialByBoth(name, value); ok {
		return secret(both.confidence, kindOf(name, value), both.reason)
	}
	if isCiphertext(value) {
		return Verdict{Unknown: true, Confidence: 0.95, Reasons: []string{"the value is encrypted by KMS"}}
	}
	if members, ok := objectIn(value); ok {
		return judgeObject(name, members)
	}
	if members, ok := pairsIn(value); ok {
		if v := judgeMembers(name, members, "pair"); v.Secret {
			return v
		}
	}
	if form, ok := harmlessIn(name, value); ok {
		return notSecret(0.95, form)
	}
	return judgeByName(name, value)
}

func judgeByName(name name, value string) Verdict {
	hint := name.hint()
	random := randomness(value)
	switch {
	case hint.weight == certain:
		return secret(0.95, kindOf(name, value), hint.reason)
	case hint.weight == likely && random >= somewhatRandom:
		return secret(0.85, kindOf(name, value), hint.reason, "the value looks random")
	case hint.weight == against:
		return notSecret(0.9, hint.reason)
	case random >= veryRandom && !isDigest(name, value):
		return secret(0.7, kindOf(name, value), "the value looks random, though its name says nothing")
	case hint.weight == likely:
		return notSecret(0.6, hint.reason+", but the value isn't random")
	default:
		return notSecret(0.8, "neither name nor value looks like a secret")
	}
}

func secret(confidence float64, kind spec.Kind, reasons ...string) Verdict {
	return Verdict{Secret: true, Kind: kind, Confidence: confidence, Reasons: reasons}
}

func notSecret(confidence float64, reasons ...string) Verdict {
	return Verdict{Confidence: confidence, Reasons: reasons}
}
