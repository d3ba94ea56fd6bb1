package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/inventory"
	"github.com/aistudio/secrets/auditor/remedy"
	"github.com/aistudio/secrets/auditor/rules"
)

// Remedy reads the inventory and writes what would mend its findings to w, one
// line each. With a mender, it does what the policy switches on. It goes on after
// an act that failed.
func Remedy(ctx context.Context, opts Options, mender *remedy.Mender, w io.Writer) error {
	dir, err := os.MkdirTemp("", "remedy-")
	if err != nil {
		return fmt.Errorf("make a folder for the inventory: %w", err)
	}
	defer os.RemoveAll(dir)
	identity, err := sts.NewFromConfig(opts.AWS).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return fmt.Errorf("ask AWS which account this is: %w", err)
	}
	inv, err := inventory.Collect(ctx, opts.AWS, inventory.Options{
		Account: aws.ToString(identity.Account), Regions: opts.Regions, Catalogue: opts.Catalogue, Policy: &opts.Policy,
		Dir: dir, Now: opts.Now.UTC(), Log: opts.Log, QuotaShare: opts.QuotaShare, Progress: opts.Progress,
	})
	if err != nil {
		return err
	}
	defer inv.Close()
	c := rules.Context{Policy: &opts.Policy, Now: opts.Now.UTC()}
	var errs []error
	err = inv.Each(ctx, func(s *facts.Subject) error {
		remedy.Plan(c, s, func(act remedy.Act) {
			state := "could be mended"
			switch {
			case !act.Enabled(opts.Policy.Remedy):
				state = "switched off"
			case mender != nil:
				state = "mended"
				if err := mender.Do(ctx, act); err != nil {
					state = "failed"
					errs = append(errs, err)
				}
			}
			fmt.Fprintf(w, "%s  %s  %s: %s (%s)\n", state, act.Do, s.Name, act.Why, act.Rule)
		})
		return ctx.Err()
	})
	return errors.Join(append(errs, err)...)
}
