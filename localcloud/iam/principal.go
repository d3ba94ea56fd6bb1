package iam

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Principal is who makes a call.
type Principal struct {
	Account string
	// ARN is that of the account's root, the user or the role's session.
	ARN string
	// Role is the ARN of the role of which this is a session, else empty.
	Role string
	// Root is the account's root user: its identity allows everything.
	Root bool
	// Service is set for a call that an AWS service makes as itself.
	Service string
}

// grant is how directly a resource's policy names a principal; see "How AWS
// enforcement code logic evaluates requests" for what follows from it.
type grant int

const (
	noGrant grant = iota
	// toAccount only lets the account's own policies decide.
	toAccount
	// toRole needs no identity policy, but boundary and session policies limit
	// it. The principal "*" is of this kind.
	toRole
	// toSession names a user, a role's session or the root: nothing limits it.
	toSession
)

// principals is a Principal or NotPrincipal element.
type principals struct {
	everyone bool
	aws      []string
	services []string
}

var (
	accountForm = regexp.MustCompile(`^\d{12}$`)
	// principalForm is an ARN without wildcards, or the unique id that AWS
	// leaves in place of a principal that was deleted.
	principalForm = regexp.MustCompile(`^arn:aws[a-z-]*:(iam::\d{12}:(root|(user|role)/[\w+=,.@/-]+)|sts::\d{12}:(assumed-role/[\w+=,.@-]+/[\w+=,.@-]+|federated-user/[\w+=,.@-]+))$|^A[A-Z]{3}[A-Z0-9]{12,}$`)
	serviceForm   = regexp.MustCompile(`^[a-z0-9.-]+\.amazonaws\.com$`)
)

func parsePrincipals(raw json.RawMessage) (*principals, error) {
	p := &principals{}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte(`"`)) {
		if s, err := text1(member{"Principal", raw}); err != nil || s != "*" {
			return nil, fmt.Errorf("Invalid principal in policy: %s", raw)
		}
		p.everyone = true
		return p, nil
	}
	kinds, err := object(raw)
	if err != nil {
		return nil, err
	}
	if len(kinds) == 0 {
		return nil, syntaxError("Principal is empty")
	}
	for _, m := range kinds {
		values, err := texts(m)
		if err != nil {
			return nil, err
		}
		for _, v := range values {
			if err := p.add(m.name, v); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

func (p *principals) add(kind, value string) error {
	switch {
	case kind == "AWS" && value == "*":
		p.everyone = true
	case kind == "AWS" && accountForm.MatchString(value):
		p.aws = append(p.aws, "arn:aws:iam::"+value+":root")
	case kind == "AWS" && principalForm.MatchString(value):
		p.aws = append(p.aws, value)
	case kind == "Service" && serviceForm.MatchString(value):
		p.services = append(p.services, value)
	case kind == "Federated" || kind == "CanonicalUser":
		// Nobody here signs in that way, so nobody is meant.
	default:
		return fmt.Errorf("Invalid principal in policy: %q:%q", kind, value)
	}
	return nil
}

// grants tells how a Principal element names the caller.
func (p *principals) grants(caller Principal) grant {
	switch {
	case caller.Service != "":
		if p.everyone || slices.Contains(p.services, caller.Service) {
			return toSession
		}
		return noGrant
	case slices.Contains(p.aws, caller.ARN):
		return toSession
	case p.everyone || (caller.Role != "" && slices.Contains(p.aws, caller.Role)):
		return toRole
	case slices.Contains(p.aws, accountARN(caller.Account)):
		return toAccount
	}
	return noGrant
}

// spares tells whether a NotPrincipal element leaves the caller out. AWS checks
// the account, the role and the session one after the other, so all of them
// must be listed.
func (p *principals) spares(caller Principal) bool {
	if p.everyone {
		return true
	}
	if caller.Service != "" {
		return slices.Contains(p.services, caller.Service)
	}
	levels := []string{accountARN(caller.Account), caller.ARN}
	if caller.Role != "" {
		levels = append(levels, caller.Role)
	}
	return !slices.ContainsFunc(levels, func(arn string) bool { return !slices.Contains(p.aws, arn) })
}

func accountARN(account string) string { return "arn:aws:iam::" + account + ":root" }

// Principals lists the ARNs of users, roles and sessions that the policy's
// statements name, without accounts' roots. A service that stores a policy
// checks that they exist, as AWS does.
func (d *Document) Principals() []string {
	var list []string
	for _, s := range d.Statements {
		if s.principals == nil {
			continue
		}
		for _, arn := range s.principals.aws {
			if strings.HasPrefix(arn, "arn:") && !strings.HasSuffix(arn, ":root") {
				list = append(list, arn)
			}
		}
	}
	return list
}
