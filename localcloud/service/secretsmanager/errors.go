package secretsmanager

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/aistudio/secrets/localcloud/api"
)

func errNoSecret() error {
	return api.Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

func errNoStage(stage string) error {
	return api.Errorf("ResourceNotFoundException",
		"Secrets Manager can't find the specified secret value for staging label: %s", stage)
}

func errNoVersion(id string) error {
	return api.Errorf("ResourceNotFoundException",
		"Secrets Manager can't find the specified secret value for VersionId: %s", id)
}

func errDeleted() error {
	return api.Errorf("InvalidRequestException",
		"You can't perform this operation on the secret because it was marked for deletion.")
}

func errReplica() error {
	return api.Errorf("InvalidParameterException",
		"Operation not permitted on a replica secret. Call must be made in primary secret's region.")
}

func errParameter(format string, args ...any) error {
	return api.Errorf("InvalidParameterException", format, args...)
}

func errRequest(format string, args ...any) error {
	return api.Errorf("InvalidRequestException", format, args...)
}

func isDenied(err error) bool {
	var apiErr *api.Error
	return errors.As(err, &apiErr) && strings.HasPrefix(apiErr.Code, "AccessDenied")
}

// keyError is how Secrets Manager passes on that KMS refused.
func keyError(err error, code, message string) error {
	var apiErr *api.Error
	if errors.As(err, &apiErr) && isDenied(err) {
		return api.Errorf("AccessDeniedException", "Access to KMS is not allowed. %s", apiErr.Message)
	}
	if errors.As(err, &apiErr) {
		return api.Errorf(code, "%s %s: %s", message, apiErr.Code, apiErr.Message)
	}
	return fmt.Errorf("%s %w", message, err)
}

// constraints collects what is wrong with the members of a request the way
// AWS's front end does, before the service looks at it.
type constraints struct{ broken []string }

func (c *constraints) fail(member, value, constraint string) {
	c.broken = append(c.broken, fmt.Sprintf("Value%s at '%s' failed to satisfy constraint: %s", value, member, constraint))
}

// length checks the number of characters.
func (c *constraints) length(member string, value *string, least, most int) {
	if value == nil {
		return
	}
	c.size(member, " '"+*value+"'", utf8.RuneCountInString(*value), least, most)
}

func (c *constraints) size(member, shown string, n, least, most int) {
	switch {
	case n < least:
		c.fail(member, shown, fmt.Sprintf("Member must have length greater than or equal to %d", least))
	case n > most:
		c.fail(member, shown, fmt.Sprintf("Member must have length less than or equal to %d", most))
	}
}

// number checks a number whose least value is 1.
func (c *constraints) number(member string, value *int64, most int64) {
	switch {
	case value == nil:
	case *value < 1:
		c.fail(member, fmt.Sprintf(" '%d'", *value), "Member must have value greater than or equal to 1")
	case *value > most:
		c.fail(member, fmt.Sprintf(" '%d'", *value), fmt.Sprintf("Member must have value less than or equal to %d", most))
	}
}

func (c *constraints) pattern(member string, value *string, re *regexp.Regexp) {
	if value != nil && !re.MatchString(*value) {
		c.fail(member, " '"+*value+"'", "Member must satisfy regular expression pattern: "+re.String())
	}
}

func (c *constraints) oneOf(member string, value *string, values ...string) {
	if value == nil {
		return
	}
	for _, v := range values {
		if *value == v {
			return
		}
	}
	c.fail(member, " '"+*value+"'", "Member must satisfy enum value set: ["+strings.Join(values, ", ")+"]")
}

func (c *constraints) required(member string, present bool) {
	if !present {
		c.fail(member, " null", "Member must not be null")
	}
}

func (c *constraints) err() error {
	switch n := len(c.broken); n {
	case 0:
		return nil
	case 1:
		return api.Errorf("ValidationException", "1 validation error detected: %s", c.broken[0])
	default:
		return api.Errorf("ValidationException", "%d validation errors detected: %s", n, strings.Join(c.broken, "; "))
	}
}

func requireID(id *string) error {
	var c constraints
	c.required("secretId", id != nil)
	c.length("secretId", id, 1, 2048)
	return c.err()
}
