package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/inventory"
	"github.com/aistudio/secrets/auditor/remedy"
	"github.com/aistudio/secrets/auditor/rules"
	"github.com/aistudio/secrets/auditor/trail"
)

// Mended is an act and what became of it.
type Mended struct {
	State MendState `json:"state"`
	Name  string    `json:"name"` // of the secret
	remedy.Act
	Error string `json:"error,omitempty"`
}

// MendState is what became of an act.
type MendState string

// The states of acts.
const (
	SwitchedOff   MendState = "switched off" // the policy doesn't name its rule
	CouldBeMended MendState = "could be mended"
	WasMended     MendState = "mended"
	TakenBack     MendState = "taken back"
	MendFailed    MendState = "failed"
)

// String is the act in one line.
func (m Mended) String() string {
	return finding.OneLine(fmt.Sprintf("%s  %s  %s: %s (%s)", m.State, m.Do, m.Name, m.Why, m.Rule))
}

// NewMended is an act that was done, or the error that it ended with.
func NewMended(state MendState, act remedy.Act, err error) Mended {
	m := Mended{State: state, Name: trail.NameOf(act.Secret), Act: act}
	if err != nil {
		m.State, m.Error = MendFailed, err.Error()
	}
	return m
}

// Remedy reads the inventory and calls tell with what would mend its findings.
// With a mender, it does what the policy switches on. It goes on after an act that
// failed, and fails at the end if a region's list of secrets was incomplete.
func Remedy(ctx context.Context, opts Options, mender *remedy.Mender, tell func(Mended)) error {
	dir, err := os.MkdirTemp("", "remedy-")
	if err != nil {
		return fmt.Errorf("make a folder for the inventory: %w", err)
	}
	defer os.RemoveAll(dir)
	identity, err := sts.NewFromConfig(opts.AWS).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return fmt.Errorf("ask AWS which account this is: %w", err)
	}
	// No act depends on resource policies and reads.
	needed := opts.Policy
	needed.PolicyReads, needed.Access.Pages = 0, 0
	inv, err := inventory.Collect(ctx, opts.AWS, inventory.Options{
		Account: aws.ToString(identity.Account), Regions: opts.Regions, Catalogue: opts.Catalogue, Policy: &needed,
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
			state := CouldBeMended
			var failed error
			switch {
			case !act.Enabled(opts.Policy.Remedy):
				state = SwitchedOff
			case mender != nil:
				state, failed = WasMended, mender.Do(ctx, act)
				errs = append(errs, failed)
			}
			tell(NewMended(state, act, failed))
		})
		return ctx.Err()
	})
	for _, region := range slices.Sorted(maps.Keys(inv.Estate.Unlisted)) {
		errs = append(errs, fmt.Errorf("the list of secrets of %s is incomplete, so more may be to mend: %s", region, inv.Estate.Unlisted[region]))
	}
	return errors.Join(append(errs, err)...)
}
