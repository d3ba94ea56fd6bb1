package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/migrator/apply/places"
	"github.com/aistudio/secrets/migrator/plan"
)

// readers is how many places are read at once; the quotas decide how fast.
const readers = 8

// preflight compares what the plan was made from with how it is now, for all
// that isn't done yet. It writes nothing.
func (r *run) preflight(ctx context.Context) error {
	var mu sync.Mutex
	var changes []string
	changed := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		changes = append(changes, text)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, s := range r.selection.secrets {
		if r.holds(s) {
			continue
		}
		for _, v := range s.Values {
			for _, p := range v.Places {
				group.Go(func() error { return r.compare(ctx, p, v.Digest, changed) })
			}
		}
	}
	for _, s := range r.selection.services {
		if r.known.Service(s.ID).Live() {
			continue
		}
		group.Go(func() error {
			err := r.fits(ctx, s)
			if difference := (&differs{}); errors.As(err, &difference) {
				changed(s.ID + ": " + difference.text)
				return nil
			}
			return err
		})
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
		read, err := r.functions.Read(ctx, s.ARN, "")
		if err != nil {
			return err
		}
		return r.functionFits(s, read)
	default:
		return fmt.Errorf("service %s is of the kind %q, which this program doesn't know", s.ID, s.Kind)
	}
}
