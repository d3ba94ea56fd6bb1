package handlers_test

import (
	"context"
	"maps"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/pulumi/handlers"
)

// world is a local cloud with a provider for each of two regions.
type world struct {
	t     *testing.T
	cloud *localcloud.Cloud
	home  *handlers.Provider
	there *handlers.Provider
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	w := &world{t: t, cloud: cloud}
	w.home, err = handlers.New(handlers.Config{Region: home, Endpoint: cloud.URL()})
	require.NoError(t, err)
	w.there, err = handlers.New(handlers.Config{Region: there, Endpoint: cloud.URL()})
	require.NoError(t, err)
	return w
}

// in is the same world for a subtest.
func (w *world) in(t *testing.T) *world {
	part := *w
	part.t = t
	return &part
}

// thing is a deployed resource.
type thing struct {
	provider *handlers.Provider
	token    string
	id       string
	inputs   resource.PropertyMap
	state    resource.PropertyMap
}

func (w *world) check(p *handlers.Provider, token string, old, inputs resource.PropertyMap) resource.PropertyMap {
	w.t.Helper()
	checked, failures, err := p.Check(token, "name", old, inputs, nil)
	require.NoError(w.t, err)
	require.Empty(w.t, failures)
	return checked
}

func (w *world) create(p *handlers.Provider, token string, inputs resource.PropertyMap) *thing {
	w.t.Helper()
	checked := w.check(p, token, nil, inputs)
	id, state, err := p.Create(w.t.Context(), token, checked)
	require.NoError(w.t, err)
	require.NotEmpty(w.t, id)
	return &thing{p, token, id, checked, state}
}

// update deploys other inputs, which must be possible in place.
func (w *world) update(x *thing, inputs resource.PropertyMap) {
	w.t.Helper()
	checked := w.check(x.provider, x.token, x.inputs, inputs)
	diff, err := x.provider.Diff(x.token, x.inputs, checked)
	require.NoError(w.t, err)
	require.NotEmpty(w.t, diff.Changes, "nothing to update")
	require.False(w.t, diff.Replace(), "%+v", diff)
	// AWS may still test the rotation that was just set up.
	require.NoError(w.t, w.cloud.Settle(w.t.Context()))
	state, err := x.provider.Update(w.t.Context(), x.token, x.id, x.state, checked)
	require.NoError(w.t, err)
	x.inputs, x.state = checked, state
}

// drifted refreshes and returns what differs from what was deployed.
func (w *world) drifted(x *thing) []string {
	w.t.Helper()
	state, inputs, found, err := x.provider.Read(w.t.Context(), x.token, x.id, x.state, x.inputs)
	require.NoError(w.t, err)
	require.True(w.t, found)
	diff, err := x.provider.Diff(x.token, inputs, x.inputs)
	require.NoError(w.t, err)
	var properties []string
	for _, change := range diff.Changes {
		properties = append(properties, change.Property)
	}
	if len(properties) > 0 {
		// Mend it, as the next deployment would.
		mended, err := x.provider.Update(w.t.Context(), x.token, x.id, state, x.inputs)
		require.NoError(w.t, err)
		x.state = mended
	}
	return properties
}

func (w *world) exists(x *thing) bool {
	w.t.Helper()
	_, _, found, err := x.provider.Read(w.t.Context(), x.token, x.id, x.state, x.inputs)
	require.NoError(w.t, err)
	return found
}

func (w *world) remove(x *thing) {
	w.t.Helper()
	require.NoError(w.t, x.provider.Delete(w.t.Context(), x.token, x.id, x.state))
}

// life is what happens to every resource: made, found as it was made, changed in
// place, changed behind Pulumi's back, mended, deleted, and deleted again.
type life struct {
	token    string
	provider *handlers.Provider
	inputs   resource.PropertyMap
	// change is merged into the inputs, or nil if AWS can't change anything.
	change resource.PropertyMap
	// disturb changes the cloud, after which disturbed are the properties that
	// a refresh finds to differ. Optional.
	disturb   func(ctx context.Context, x *thing) error
	disturbed []string
	// stays tells that a deletion leaves nothing to look for.
	stays bool
}

func (w *world) live(l life) {
	w.t.Helper()
	if l.provider == nil {
		l.provider = w.home
	}
	x := w.create(l.provider, l.token, l.inputs)
	require.Empty(w.t, w.drifted(x), "just made")

	if l.change != nil {
		changed := maps.Clone(l.inputs)
		maps.Copy(changed, l.change)
		w.update(x, changed)
		for key, want := range l.change {
			assert.True(w.t, want.DeepEquals(x.state[key]) || x.state[key].IsObject() || x.state[key].IsArray(), "%s is %v after the update", key, x.state[key])
		}
		require.Empty(w.t, w.drifted(x), "just changed")
	}
	if l.disturb != nil {
		require.NoError(w.t, w.cloud.Settle(w.t.Context()))
		require.NoError(w.t, l.disturb(w.t.Context(), x))
		assert.ElementsMatch(w.t, l.disturbed, w.drifted(x))
		assert.Empty(w.t, w.drifted(x), "just mended")
	}
	w.remove(x)
	if !l.stays {
		assert.False(w.t, w.exists(x), "just deleted")
	}
	w.remove(x)
}

func str(s string) resource.PropertyValue   { return resource.NewProperty(s) }
func num(n float64) resource.PropertyValue  { return resource.NewProperty(n) }
func boolean(b bool) resource.PropertyValue { return resource.NewProperty(b) }
func list(elements ...resource.PropertyValue) resource.PropertyValue {
	return resource.NewProperty(elements)
}

func object(pairs ...any) resource.PropertyValue {
	m := resource.PropertyMap{}
	for i := 0; i < len(pairs); i += 2 {
		m[resource.PropertyKey(pairs[i].(string))] = resource.NewPropertyValue(pairs[i+1])
	}
	return resource.NewProperty(m)
}
