package handlers

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// aliasPrefix begins the name of every KMS alias.
const aliasPrefix = "alias/"

type alias struct {
	ARN          string `json:"arn" prop:"out"`
	Name         string `json:"name" prop:"in,replace,auto=256,prefix=alias/"`
	NamePrefix   string `json:"namePrefix,omitempty" prop:"in,replace,writeonly"`
	TargetKeyARN string `json:"targetKeyArn" prop:"out,volatile"`
	TargetKeyID  string `json:"targetKeyId" prop:"in,required"`
}

func aliasKind() resourceType {
	return kind[alias]{
		token: "aws:kms/alias:Alias",
		check: func(a *alias) error {
			if a.Name != "" && !strings.HasPrefix(a.Name, aliasPrefix) {
				return fmt.Errorf("name must begin with %q", aliasPrefix)
			}
			return nil
		},
		create: func(ctx context.Context, c *clients, a *alias) (string, error) {
			name, err := nameOrPrefix(a.Name, a.NamePrefix)
			if err != nil {
				return "", err
			}
			_, err = c.kms.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &name, TargetKeyId: &a.TargetKeyID})
			if err != nil {
				return "", err
			}
			return name, nil
		},
		read: readAlias,
		update: func(ctx context.Context, c *clients, id string, _, a *alias) error {
			_, err := c.kms.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: &id, TargetKeyId: &a.TargetKeyID})
			return err
		},
		remove: func(ctx context.Context, c *clients, id string, _ *alias) error {
			_, err := c.kms.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: &id})
			return unlessGone[*kmstypes.NotFoundException](err)
		},
	}
}

func readAlias(ctx context.Context, c *clients, id string, a *alias) error {
	pages := kms.NewListAliasesPaginator(c.kms, &kms.ListAliasesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, entry := range page.Aliases {
			if aws.ToString(entry.AliasName) != id {
				continue
			}
			target := aws.ToString(entry.TargetKeyId)
			a.Name = id
			a.ARN = aws.ToString(entry.AliasArn)
			a.TargetKeyARN = strings.TrimSuffix(a.ARN, id) + "key/" + target
			a.TargetKeyID = keepSpelling(a.TargetKeyID, target, sameKey)
			return nil
		}
	}
	return errNotFound
}

// sameKey tells whether two identifiers, each an ARN or an ID, name one key.
func sameKey(a, b string) bool {
	id := func(key string) string { return key[strings.LastIndex(key, "/")+1:] }
	if strings.HasPrefix(a, "arn:") && strings.HasPrefix(b, "arn:") {
		return a == b
	}
	return id(a) == id(b)
}
