package program

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/catalogue"
)

// account is where the stack is deployed to, and by whom.
type account struct {
	id        string
	partition string // "aws" outside of GovCloud and China
	caller    string // ARN of the deployer: a user, the root or a role's session
}

func readAccount(ctx *pulumi.Context) (account, error) {
	identity, err := aws.GetCallerIdentity(ctx, &aws.GetCallerIdentityArgs{})
	if err != nil {
		return account{}, fmt.Errorf("ask AWS for the account to deploy to (are the credentials there and valid?): %w", err)
	}
	fields := strings.SplitN(identity.Arn, ":", 6)
	if len(fields) != 6 || fields[0] != "arn" {
		return account{}, fmt.Errorf("ask AWS for the account to deploy to: %q is no ARN", identity.Arn)
	}
	return account{id: identity.AccountId, partition: fields[1], caller: identity.Arn}, nil
}

// checkDeployer refuses a deployer who is no administrator: the policies that
// it is about to put would shut it out, and AWS would refuse them only after
// half of the stack is there.
func (a account) checkDeployer(administrators []catalogue.Principal) error {
	who := a.caller[strings.LastIndexByte(a.caller, ':')+1:]
	for _, administrator := range administrators {
		if who == string(administrator) {
			return nil
		}
		// A session's ARN has the role's name without its path.
		if role, ok := strings.CutPrefix(who, "assumed-role/"); ok && strings.HasPrefix(string(administrator), "role/") {
			if name, _, _ := strings.Cut(role, "/"); name == administrator.Name() {
				return nil
			}
		}
	}
	return fmt.Errorf("%s would shut itself out of the secrets that it deploys: add its role to %s.administrators, or deploy as one of %v; nothing was deployed",
		a.caller, catalogue.KeySettings, administrators)
}

// root is the account as a principal: whom IAM allows.
func (a account) root() string {
	return catalogue.Principal("root").ARN(a.partition, a.id)
}

func (a account) arns(principals []catalogue.Principal) []string {
	arns := make([]string, 0, len(principals))
	for _, principal := range principals {
		arns = append(arns, principal.ARN(a.partition, a.id))
	}
	return arns
}
