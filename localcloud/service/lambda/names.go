package lambda

import (
	"context"
	"fmt"
	"regexp"

	"github.com/aistudio/secrets/localcloud/api"
)

// latest is the qualifier of the version that can be changed.
const latest = "$LATEST"

// functionKey finds a function, or a layer, in the service's state.
type functionKey struct{ account, region, name string }

// reference is a function as a caller names it: name, partial or full ARN, with
// or without a qualifier.
type reference struct {
	functionKey
	qualifier string
}

var (
	functionForm  = regexp.MustCompile(`^(?:arn:aws[a-zA-Z-]*:lambda:)?(?:([a-z]{2}(?:-gov)?-[a-z]+-\d):)?(?:(\d{12}):)?(?:function:)?([a-zA-Z0-9-_]+)(?::(\$LATEST|[a-zA-Z0-9-_]+))?$`)
	qualifierForm = regexp.MustCompile(`^(?:\$LATEST|[a-zA-Z0-9-_]+)$`)
)

// parseReference reads a function's name, with the qualifier that came besides,
// in the caller's region and account.
func parseReference(name, qualifier, region, account string) (reference, error) {
	m := functionForm.FindStringSubmatch(name)
	if m == nil || len(m[3]) > 64 {
		return reference{}, constraint(name, "functionName", "Member must satisfy regular expression pattern: "+
			`(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?`)
	}
	if qualifier != "" && !qualifierForm.MatchString(qualifier) {
		return reference{}, constraint(qualifier, "qualifier", `Member must satisfy regular expression pattern: (|[a-zA-Z0-9$_-]+)`)
	}
	ref := reference{functionKey{account, region, m[3]}, m[4]}
	if m[1] != "" && m[1] != region {
		return reference{}, notFound("Functions from '%s' are not reachable in this region ('%s')", m[1], region)
	}
	if m[2] != "" {
		ref.account = m[2]
	}
	if qualifier != "" {
		if ref.qualifier != "" && ref.qualifier != qualifier {
			return reference{}, invalid("The derived qualifier from the function name does not match the specified qualifier.")
		}
		ref.qualifier = qualifier
	}
	return ref, nil
}

// arn is the function's, without the qualifier.
func (k functionKey) arn() string {
	return api.ARN("lambda", k.region, k.account, "function:"+k.name)
}

// arn is the one that the reference means, with its qualifier.
func (r reference) arn() string {
	if r.qualifier == "" {
		return r.functionKey.arn()
	}
	return r.functionKey.arn() + ":" + r.qualifier
}

// target finds out which function a request is about and whether its caller may
// do that. The function may not exist.
func (s *Service) target(ctx context.Context, r *api.Request, action string) (reference, error) {
	ref, err := parseReference(r.Path["FunctionName"], r.HTTP.URL.Query().Get("Qualifier"), r.Region, r.Account)
	if err != nil {
		return ref, err
	}
	r.TrailResources = []string{ref.functionKey.arn()}
	return ref, r.Authorize(ctx, s.check(ref, "lambda:"+action))
}

// check is the question to IAM about a function.
func (s *Service) check(ref reference, action string) api.Check {
	c := api.Check{Action: action, Resource: ref.arn(), Context: map[string][]string{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.functions[ref.functionKey]; f != nil {
		c.ResourcePolicy = f.policies[ref.policyQualifier()].json()
		for k, v := range f.tags {
			c.Context["aws:ResourceTag/"+k] = []string{v}
		}
	}
	return c
}

// policyQualifier is the one whose resource policy counts.
func (r reference) policyQualifier() string {
	if r.qualifier == latest {
		return ""
	}
	return r.qualifier
}

// find returns the function and the version or alias that ref means. The lock
// is held.
func (s *Service) find(ref reference) (*function, *version, error) {
	f := s.functions[ref.functionKey]
	if f == nil {
		return nil, nil, functionNotFound(ref.arn())
	}
	if ref.qualifier == "" || ref.qualifier == latest {
		return f, f.latest, nil
	}
	number := ref.qualifier
	if a := f.aliases[number]; a != nil {
		number = a.version
	}
	v := f.version(number)
	if v == nil {
		return nil, nil, functionNotFound(ref.arn())
	}
	return f, v, nil
}

// update finds a function for a change of it, which Lambda refuses while
// another is under way. The lock is held.
func (s *Service) update(ref reference, revisionID string) (*function, error) {
	f := s.functions[ref.functionKey]
	if f == nil {
		return nil, functionNotFound(ref.arn())
	}
	if ref.qualifier != "" && ref.qualifier != latest {
		return nil, invalid("The function version or alias %s can't be changed; change $LATEST.", ref.qualifier)
	}
	if f.pending() {
		return nil, conflict("The operation cannot be performed at this time. An update is in progress for resource: %s", ref.functionKey.arn())
	}
	if revisionID != "" && revisionID != f.latest.revisionID {
		return nil, preconditionFailed()
	}
	return f, nil
}

func qualified(k functionKey, qualifier string) string {
	return fmt.Sprintf("%s:%s", k.arn(), qualifier)
}
