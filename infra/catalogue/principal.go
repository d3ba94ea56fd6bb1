package catalogue

import (
	"fmt"
	"regexp"
	"strings"
)

// Principal is a user, a role or the root of the account that is deployed to,
// written "user/<path/name>", "role/<path/name>" or "root". It has no account,
// so that one configuration fits every account and none can name another.
type Principal string

// IAM's names and paths (IAM user guide, "IAM and AWS STS quotas", name
// requirements).
var principalPattern = regexp.MustCompile(`^(root|(role|user)/([\w+=,.@-]+/)*[\w+=,.@-]{1,64})$`)

func (p Principal) validate() error {
	if !principalPattern.MatchString(string(p)) {
		return fmt.Errorf("%q is no principal: write role/<path/name>, user/<path/name> or root; the account is the one that is deployed to", string(p))
	}
	return nil
}

// ARN returns the principal's ARN in an account, with the partition "aws" or
// another of AWS's.
func (p Principal) ARN(partition, accountID string) string {
	return "arn:" + partition + ":iam::" + accountID + ":" + string(p)
}

// Name returns what IAM calls the principal: the last segment of its path.
func (p Principal) Name() string {
	return string(p[strings.LastIndexByte(string(p), '/')+1:])
}
