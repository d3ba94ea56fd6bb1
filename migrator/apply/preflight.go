package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/migrator/apply/functions"
	"github.com/aistudio/secrets/migrator/apply/places"
	"github.com/aistudio/secrets/migrator/apply/refusal"
	"github.com/aistudio/secrets/migrator/apply/tasks"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

// readers is how many places are read at once; the quotas decide how fast.
const readers = 8

// preflight compares what the plan was made from with how it is now, for all
// that isn't done yet. It writes nothing. What can't be read for a reason of its
// own is left to its step, which says so and holds up nothing else.
func (r *run) preflight(ctx context.Context) error {
	who, err := r.identity.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return fmt.Errorf("find out whose account this is: %w", refusal.Of(err))
	}
	if account := aws.ToString(who.Account); account != r.plan.Account {
		return fmt.Errorf("the plan is for the account %s and not for %s", r.plan.Account, account)
	}
	var mu sync.Mutex
	var changes []string
	changed := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		changes = append(changes, text)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	seen := map[plan.Place]bool{}
	for _, s := range r.selection.services {
		if r.known.Service(s.ID).Live() {
			continue
		}
		for _, v := range r.selection.variables(s) {
			seen[placeOf(s, v)] = true
		}
		group.Go(func() error {
			err := r.fits(ctx, s)
			if missing := (&lambdatypes.ResourceNotFoundException{}); errors.Is(err, tasks.ErrGone) || errors.As(err, &missing) {
				err = &differs{"it is gone"}
			}
			if difference := (&differs{}); errors.As(err, &difference) {
				changed(s.ID + ": " + difference.text)
				return nil
			}
			if errors.Is(err, functions.ErrUnready) {
				return nil
			}
			return err
		})
	}
	for _, s := range r.selection.secrets {
		for _, v := range s.Values {
			for _, p := range v.Places {
				if !seen[p] && !r.holds(s) {
					group.Go(func() error { return r.compare(ctx, p, v.Digest, changed) })
				}
			}
		}
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("compare the plan with the estate, nothing was written: %w", err)
	}
	if len(changes) > 0 {
		slices.Sort(changes)
		return &ChangedError{slices.Compact(changes)}
	}
	return nil
}

// placeOf is where a variable of a service has its value, if it isn't in a
// parameter.
func placeOf(s plan.Service, v plan.Variable) plan.Place {
	if s.Kind == plan.LambdaFunction {
		return plan.Place{In: spec.ScanLambda, ID: strings.TrimPrefix(s.ID, "lambda/"), Variable: v.Name}
	}
	return plan.Place{In: spec.ScanECS, ID: s.TaskDefinition, Container: v.Container, Variable: v.Name}
}

type identityAPI interface {
	GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error)
}

// differs says in what a service isn't as the plan has it.
type differs struct{ text string }

// Error is the text.
func (d *differs) Error() string { return d.text }

func (r *run) compare(ctx context.Context, p plan.Place, want string, changed func(string)) error {
	value, err := r.places.Read(ctx, p)
	switch {
	case errors.Is(err, places.ErrGone):
		changed(places.Name(p) + ": it is gone")
		return nil
	case errors.Is(err, functions.ErrUnready):
		return nil
	case err != nil:
		return err
	}
	if r.Key.Of(value) != want {
		changed(places.Name(p) + ": it has another value")
	}
	return nil
}

// fits tells whether a service that isn't switched yet is as the plan has it.
func (r *run) fits(ctx context.Context, s plan.Service) error {
	switch s.Kind {
	case plan.LambdaFunction:
		read, err := r.functions.ReadBroken(ctx, s.ARN)
		if err != nil {
			return err
		}
		return r.functionFits(s, read)
	case plan.ECSService, plan.RuleTask, plan.ScheduledTask:
		return r.taskFits(ctx, s)
	default:
		return fmt.Errorf("service %s is of the kind %q, which this program doesn't know", s.ID, s.Kind)
	}
}
