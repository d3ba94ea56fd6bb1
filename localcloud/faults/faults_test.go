package faults_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/localcloud/faults"
)

var call = faults.Call{
	Service: "secretsmanager", Operation: "GetSecretValue", Region: "us-east-1",
	Principal: "arn:aws:iam::123456789012:role/app",
}

func TestAFaultHitsWhatItNames(t *testing.T) {
	for name, c := range map[string]struct {
		fault faults.Fault
		hits  bool
	}{
		"everything":      {faults.Fault{}, true},
		"service":         {faults.Fault{Service: "secretsmanager"}, true},
		"other service":   {faults.Fault{Service: "kms"}, false},
		"operation":       {faults.Fault{Operation: "GetSecretValue"}, true},
		"other operation": {faults.Fault{Operation: "PutSecretValue"}, false},
		"region":          {faults.Fault{Region: "us-east-1"}, true},
		"other region":    {faults.Fault{Region: "us-west-2"}, false},
		"principal":       {faults.Fault{Principal: call.Principal}, true},
		"other principal": {faults.Fault{Principal: "arn:aws:iam::123456789012:role/other"}, false},
		"all":             {faults.Fault{Service: call.Service, Operation: call.Operation, Region: call.Region, Principal: call.Principal}, true},
		"all but one":     {faults.Fault{Service: call.Service, Operation: call.Operation, Region: "us-west-2", Principal: call.Principal}, false},
	} {
		var p faults.Plan
		c.fault.Kind = faults.Throttle
		_, err := p.Add(c.fault)
		require.NoError(t, err, name)
		require.Equal(t, c.hits, len(p.Match(call)) == 1, name)
	}
}

func TestBadFaultsAreRefused(t *testing.T) {
	var p faults.Plan
	_, err := p.Add(faults.Fault{Kind: "slow"})
	require.ErrorContains(t, err, `kind "slow" is none of`)
	_, err = p.Add(faults.Fault{})
	require.Error(t, err)
	_, err = p.Add(faults.Fault{Kind: faults.Latency})
	require.ErrorContains(t, err, "positive delay")
	require.Empty(t, p.List())
}

func TestFaultsAreSwitchedOff(t *testing.T) {
	var p faults.Plan
	first, err := p.Add(faults.Fault{Kind: faults.Throttle})
	require.NoError(t, err)
	_, err = p.Add(faults.Fault{Kind: faults.Latency, Delay: time.Second})
	require.NoError(t, err)
	require.Len(t, p.Match(call), 2)
	first()
	first()
	hits := p.Match(call)
	require.Len(t, hits, 1)
	require.Equal(t, faults.Latency, hits[0].Kind)
	require.Len(t, p.List(), 1)
	p.Clear()
	require.Empty(t, p.Match(call))
	require.Empty(t, p.List())
}

// A fault hits exactly the matching calls after Skip, at most Times of them,
// whatever other calls come in between.
func TestSkipAndTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		skip, times := rapid.IntRange(0, 5).Draw(t, "skip"), rapid.IntRange(0, 5).Draw(t, "times")
		var p faults.Plan
		if _, err := p.Add(faults.Fault{Kind: faults.Error, Operation: call.Operation, Skip: skip, Times: times}); err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, matching := range rapid.SliceOf(rapid.Bool()).Draw(t, "calls") {
			c := call
			if !matching {
				c.Operation = "ListSecrets"
			}
			hit := len(p.Match(c)) > 0
			if matching {
				seen++
			}
			want := matching && seen > skip && (times == 0 || seen <= skip+times)
			if hit != want {
				t.Fatalf("call %d (matching %t): hit %t, want %t", seen, matching, hit, want)
			}
		}
	})
}
