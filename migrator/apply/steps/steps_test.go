package steps_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/apply/steps"
)

func TestAFailedStepHoldsNobodyUpAndAFatalOneAll(t *testing.T) {
	var told []int
	s := steps.New(3, func(done, total int, _ steps.Step) { told = append(told, done, total) })
	do := func(name string, err error) error {
		return s.Do(t.Context(), steps.Step{Action: "secret", Subject: name}, func() (steps.Outcome, string, error) { return steps.Done, "made", err })
	}
	require.NoError(t, do("a", errors.New("no")))
	require.NoError(t, do("b", nil))
	require.ErrorContains(t, do("c", errors.Join(errors.New("no"), steps.Fatal(errors.New("the disk is full")))), "secret c: the disk is full")
	assert.Equal(t, []steps.Step{
		{Action: "secret", Subject: "a", Outcome: steps.Failed, Detail: "no"}, {Action: "secret", Subject: "b", Outcome: steps.Done, Detail: "made"},
	}, s.List)
	assert.Equal(t, map[string]string{"a": "no"}, s.Failed)
	assert.False(t, s.Complete)
	assert.Equal(t, []int{1, 3, 2, 3}, told)
	require.NoError(t, steps.Fatal(nil))
}

func TestTheContextEndsBetweenSteps(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := steps.New(2, nil)
	err := s.Do(ctx, steps.Step{Action: "secret", Subject: "a"}, func() (steps.Outcome, string, error) {
		cancel()
		return steps.Done, "", nil
	})
	require.NoError(t, err, "what is done is done")
	assert.Len(t, s.List, 1)
	err = s.Do(ctx, steps.Step{Action: "secret", Subject: "b"}, func() (steps.Outcome, string, error) {
		t.Error("it is begun")
		return steps.Done, "", nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "run again to go on")
	assert.Len(t, s.List, 1)
}
