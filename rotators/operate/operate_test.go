package operate

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	secretARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a/b-AbCdEf"
	rootARN   = "arn:aws:iam::123456789012:root"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// at is an event some minutes after noon.
func at(minutes int, name, version string) event {
	e := event{EventName: name, EventTime: noon.Add(time.Duration(minutes) * time.Minute)}
	if version != "" {
		e.RequestID = "Rotation-" + secretARN + "-" + version
	}
	if name == rotationFailed {
		e.ErrorMessage = "no"
	}
	return e
}

func call(version string) event {
	e := event{EventName: rotateSecret, EventTime: noon}
	e.UserIdentity.ARN, e.ResponseElements.VersionID = rootARN, version
	return e
}

func TestRunsAreAssembled(t *testing.T) {
	refused := call("")
	refused.ErrorCode = "InvalidRequestException"
	test := call("")
	test.RequestParameters.RotateImmediately = aws.Bool(false)
	type run struct {
		version  string
		result   Result
		failures int
		by       string
	}
	for name, tt := range map[string]struct {
		events []event
		want   []run // the newest first
	}{
		"nothing":             {},
		"by schedule":         {[]event{at(0, rotationStarted, "1"), at(1, rotationSucceeded, "1")}, []run{{"1", Succeeded, 0, "schedule"}}},
		"by a call":           {[]event{call("1"), at(0, rotationStarted, "1"), at(1, rotationSucceeded, "1")}, []run{{"1", Succeeded, 0, rootARN}}},
		"by another call":     {[]event{call("2"), at(0, rotationStarted, "1")}, []run{{"1", Started, 0, "schedule"}}},
		"a refused call":      {[]event{refused, at(0, rotationStarted, "1")}, []run{{"1", Started, 0, "schedule"}}},
		"a test":              {[]event{test, at(0, rotationStarted, "1")}, []run{{"1", Started, 0, "schedule"}}},
		"no versions told":    {[]event{call(""), at(0, rotationStarted, ""), at(1, rotationFailed, ""), at(2, rotationSucceeded, "")}, []run{{"", Succeeded, 1, rootARN}}},
		"a call long before":  {[]event{call(""), at(5, rotationStarted, "")}, []run{{"", Started, 0, "schedule"}}},
		"version by the call": {[]event{call("1"), at(0, rotationStarted, "")}, []run{{"1", Started, 0, rootARN}}},
		"failed twice":        {[]event{at(0, rotationStarted, "1"), at(1, rotationFailed, "1"), at(2, rotationFailed, "1")}, []run{{"1", Failed, 2, "schedule"}}},
		"abandoned, and the next": {
			[]event{at(0, rotationStarted, "1"), at(1, rotationAbandoned, "1"), at(2, rotationStarted, "2"), at(3, rotationSucceeded, "2")},
			[]run{{"2", Succeeded, 0, "schedule"}, {"1", Abandoned, 0, "schedule"}},
		},
		"a late failure": {
			[]event{at(0, rotationStarted, "1"), at(2, rotationStarted, "2"), at(3, rotationFailed, "1")},
			[]run{{"2", Started, 0, "schedule"}, {"1", Failed, 1, "schedule"}},
		},
		"began before": {[]event{at(1, rotationFailed, "1"), at(2, rotationSucceeded, "1")}, []run{{"1", Succeeded, 1, "unknown"}}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []run
			for _, r := range assemble(&Secret{ARN: secretARN}, tt.events) {
				got = append(got, run{r.Version, r.Result, r.Failures, r.By})
			}
			assert.Equal(t, tt.want, got)
		})
	}
}

// No order of events makes it fail, and none is lost.
func TestAnyEventsAreAssembled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOf(rapid.SampledFrom([]string{rotationStarted, rotationSucceeded, rotationFailed, rotationAbandoned, rotateSecret})).Draw(t, "names")
		var events []event
		starts, failures := 0, 0
		for i, name := range names {
			events = append(events, at(i, name, rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "version")))
			switch name {
			case rotationStarted:
				starts++
			case rotationFailed:
				failures++
			}
		}
		runs := assemble(&Secret{ARN: secretARN}, events)
		require.GreaterOrEqual(t, len(runs), starts)
		for _, run := range runs {
			failures -= run.Failures
			require.NotEmpty(t, run.Result)
			require.GreaterOrEqual(t, run.Seconds(), 0.0)
		}
		require.Zero(t, failures)
	})
}

func TestPendingIsJudged(t *testing.T) {
	hour := time.Hour
	for name, tt := range map[string]struct {
		off    bool
		now    time.Duration // since the version was made, at noon
		runs   []Run
		logged *Failure
		want   PendingState
	}{
		"just begun":                       {now: time.Minute, want: InProgress},
		"begun, and the trail knows":       {now: time.Minute, runs: []Run{{Version: "1", Started: noon, Result: Started}}, want: InProgress},
		"an older rotation failed":         {now: time.Minute, runs: []Run{{Version: "0", Result: Failed}}, want: InProgress},
		"too long":                         {now: 2 * hour, want: Stuck},
		"failed just now":                  {now: time.Minute, runs: []Run{{Version: "1", Started: noon, Ended: noon, Result: Failed}}, want: Retrying},
		"failed, no version told":          {now: time.Minute, runs: []Run{{Started: noon, Ended: noon, Result: Failed}}, want: Retrying},
		"failed, says the log":             {now: time.Minute, logged: &Failure{Version: "1"}, want: Retrying},
		"another failed, says the log":     {now: time.Minute, logged: &Failure{Version: "0"}, want: InProgress},
		"failed long ago":                  {now: 5 * hour, runs: []Run{{Version: "1", Started: noon, Ended: noon.Add(hour), Result: Failed}}, want: Stuck},
		"abandoned":                        {now: time.Minute, runs: []Run{{Version: "1", Result: Abandoned}}, want: Stuck},
		"switched off":                     {off: true, now: time.Minute, want: Stuck},
		"succeeded, and moved by somebody": {now: time.Minute, runs: []Run{{Version: "1", Result: Succeeded}}, want: Stuck},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Secret{Now: noon.Add(tt.now), Rotation: Rotation{On: !tt.off}, Versions: []Version{
				{ID: "1", Stages: []string{stagePending}, Created: noon}, {ID: "0", Stages: []string{stageCurrent}},
			}}
			pending := judge(s, tt.runs, tt.logged)
			require.NotNil(t, pending)
			assert.Equal(t, tt.want, pending.State, pending.Reason)
			assert.NotEmpty(t, pending.Reason)
			s.Versions[0].Stages = []string{stagePending, stageCurrent}
			assert.Nil(t, judge(s, tt.runs, tt.logged), "after a rotation the label may stay")
		})
	}
}

func TestEventsOfASecret(t *testing.T) {
	s := &Secret{Name: "a/b", ARN: secretARN}
	for id, want := range map[string]bool{
		secretARN: true, "a/b": true, secretARN[:len(secretARN)-7]: true, "a/b-AbCdEf": false, "": false,
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:a": false, secretARN + "x": false,
	} {
		e := event{}
		e.RequestParameters.SecretID = id
		assert.Equal(t, want, e.of(s), id)
	}
}

// answering is a rotation function with one answer.
type answering struct {
	functions
	payload string
	failed  bool
	err     error
}

func (a answering) Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	out := &lambda.InvokeOutput{Payload: []byte(a.payload)}
	if a.failed {
		out.FunctionError = aws.String("Unhandled")
	}
	return out, a.err
}

// Nothing but a clear yes is a yes: functions of others don't know the step.
func TestOnlyAYesVerifies(t *testing.T) {
	for name, tt := range map[string]struct {
		answer answering
		refuse string // "": verified
	}{
		"yes":             {answering{payload: `{"SecretId":"a","VersionId":"1","Verified":true}`}, ""},
		"no":              {answering{payload: `{"SecretId":"a","VersionId":"1","Verified":false,"Reason":"login refused"}`}, "login refused"},
		"no reason":       {answering{payload: `{"VersionId":"1"}`}, "gives no reason"},
		"another version": {answering{payload: `{"VersionId":"2","Verified":true}`}, "doesn't know it"},
		"nothing":         {answering{payload: `null`}, "doesn't know it"},
		"not JSON":        {answering{payload: `yes`}, "doesn't know it"},
		"its error":       {answering{payload: `{"errorMessage":"verifySecret of a: access denied"}`, failed: true}, "couldn't try the version: a: access denied"},
		"another's error": {answering{payload: `{"errorMessage":"Invalid step; the event was canary"}`, failed: true}, "its log tells why"},
		"no function":     {answering{err: errors.New("no network")}, "no network"},
	} {
		t.Run(name, func(t *testing.T) {
			o := &Operator{functions: tt.answer}
			s := &Secret{Name: "a/b", ARN: secretARN}
			warnings, err := o.tried(t.Context(), s, "1", false)
			assert.Empty(t, warnings)
			if tt.refuse == "" {
				require.NoError(t, err)
				return
			}
			var refused *RefusedError
			require.ErrorAs(t, err, &refused)
			assert.Contains(t, err.Error(), tt.refuse)
			assert.Contains(t, err.Error(), "--force")
			assert.NotContains(t, err.Error(), "canary")
			warnings, err = o.tried(t.Context(), s, "1", true)
			require.NoError(t, err)
			require.Len(t, warnings, 1)
			assert.Contains(t, warnings[0], tt.refuse)
		})
	}
}
