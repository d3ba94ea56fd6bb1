package recovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/aistudio/secrets/sdk/spec"
)

// DrillOptions say how far a drill goes.
type DrillOptions struct {
	// ForReal fails over and back on AWS too. On a local cloud a drill always
	// does.
	ForReal bool

	// Rotate says which secrets are rotated in the DR region: RotateOne of each
	// rotation function, RotateAll or RotateNone. A rotation changes the password
	// in the system behind the secret, too.
	Rotate string
}

// What a drill rotates.
const (
	RotateOne  = "one"
	RotateAll  = "all"
	RotateNone = "none"
)

// Report is what a drill found. It holds no value, and no digest of one.
type Report struct {
	Version       int       `json:"version"`
	Environment   string    `json:"environment"`
	PrimaryRegion string    `json:"primaryRegion"`
	DRRegion      string    `json:"drRegion"`
	Started       time.Time `json:"started"`
	Finished      time.Time `json:"finished"`
	LocalCloud    bool      `json:"localCloud"` // it ran on the emulator, and not on AWS
	Darkness      string    `json:"darkness"`   // how the primary region was taken away
	Secrets       int       `json:"secrets"`
	Resumed       bool      `json:"resumed"` // an earlier run was interrupted: times are of the last one

	Replicas map[State]int `json:"replicas"` // before anything was changed
	Compared int           `json:"compared"` // secrets whose replica has the same version and value
	Readers  Readers       `json:"readers"`  // who read in the DR region
	Direct   Reads         `json:"direct"`   // reads in the DR region
	Failover Reads         `json:"failover"` // reads with the primary region dark

	Recovered *Recovery `json:"recovery,omitempty"` // none: nothing was promoted

	Passed   bool      `json:"passed"`
	Failures []Failure `json:"failures"` // never null
	Notes    []string  `json:"notes"`    // never null
}

// ReportVersion is the version of a Report's JSON.
const ReportVersion = 1

// Recovery is a failover and the way back, measured.
type Recovery struct {
	// Seconds from the beginning of the failover until every secret was promoted,
	// every function repointed and every secret read in the DR region.
	Seconds    float64 `json:"seconds"`
	TargetSecs float64 `json:"targetSeconds"`

	Promoted        int     `json:"promoted"`
	FailoverSteps   []Step  `json:"failoverSteps"`
	Rotated         int     `json:"rotated"` // in the DR region
	RotationSeconds float64 `json:"rotationSeconds"`
	FailbackSeconds float64 `json:"failbackSeconds"`
	FailbackSteps   []Step  `json:"failbackSteps"`

	// Versions with a staging label that afterwards were gone, or without it.
	LostInFailover int `json:"versionsLostInFailover"`
	LostInFailback int `json:"versionsLostInFailback"`
	Versions       int `json:"versionsChecked"`
}

// Target is the time within which secrets must be recovered (ADR-006: "DR
// Recovery Time", under five minutes).
const Target = 5 * time.Minute

// PlanDrill says what a drill would do.
func (e *Estate) PlanDrill(ctx context.Context, o DrillOptions) (*Drill, error) {
	switch o.Rotate {
	case RotateOne, RotateAll, RotateNone:
	case "":
		o.Rotate = RotateOne
	default:
		return nil, refuse("rotate %q in a drill: write %s, %s or %s", o.Rotate, RotateOne, RotateAll, RotateNone)
	}
	endpoint := ""
	if e.home.config.BaseEndpoint != nil {
		endpoint = *e.home.config.BaseEndpoint
	}
	dark, err := newDarkness(ctx, endpoint, e.home.region)
	if err != nil {
		return nil, err
	}
	_, local := dark.(localFault)
	if local { // one that was killed may have left the region dark
		lift, err := dark.fall(ctx)
		if err == nil {
			err = lift(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
	d := &Drill{estate: e, options: o, dark: dark, local: local, promotes: local || o.ForReal}
	d.Plan, err = d.plan(ctx)
	return d, err
}

// Drill is a drill that is planned.
type Drill struct {
	*Plan

	estate   *Estate
	options  DrillOptions
	dark     darkness
	local    bool
	promotes bool
}

func (d *Drill) plan(ctx context.Context) (*Plan, error) {
	e := d.estate
	status, err := e.Status(ctx)
	if err != nil {
		return nil, err
	}
	record, err := e.readRecord()
	if err != nil {
		return nil, err
	}
	p := &Plan{Action: "drill", Status: status, Warnings: []string{}, Blocked: []string{}}
	if !status.Answers {
		return nil, refuse("nothing was changed: %s doesn't answer: this is no drill, see docs/disaster-recovery.md", e.home.region)
	}
	if alone := pick(status.Secrets, Alone); len(alone) > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%d secrets that the catalogue doesn't declare have no replica, and are left out: %s", len(alone), some(alone)))
		status.Secrets = slices.DeleteFunc(status.Secrets, func(s *Secret) bool { return s.State == Alone })
	}
	away := pick(status.Secrets, Promoted, Reversed)
	if len(away) > 0 && record == nil {
		p.Blocked = append(p.Blocked, fmt.Sprintf("%d secrets are failed over, and not by a drill from here: fail back first", len(away)))
	}
	for _, state := range []State{InProgress, Differs, Failed, Missing, Unknown} {
		if bad := pick(status.Secrets, state); len(bad) > 0 && d.promotes {
			p.Blocked = append(p.Blocked, fmt.Sprintf("%d of %d secrets are %s: %s", len(bad), len(status.Secrets), state, some(bad)))
		}
	}
	if d.promotes {
		p.Blocked = append(p.Blocked, e.lossy(status.Secrets, record)...)
	}
	if record != nil && len(away) == 0 && d.promotes {
		p.Warnings = append(p.Warnings, "an earlier run was interrupted: this one goes on")
	}
	p.Steps = []string{
		fmt.Sprintf("compare %d secrets in %s and %s by version and keyed digest", len(status.Secrets), e.home.region, e.standby.region),
		fmt.Sprintf("read them in %s, with a service's role where it can be taken on", e.standby.region),
		"read them through the SDK while " + d.dark.String(),
	}
	if d.promotes {
		p.Steps = append(p.Steps,
			fmt.Sprintf("promote %d replicas, repoint the services' Lambda functions to %s", len(status.Secrets), e.standby.region),
			fmt.Sprintf("rotate %s in %s, as far as it has the rotation functions", d.options.Rotate, e.standby.region),
			fmt.Sprintf("fail back to %s and compare", e.home.region))
		if !d.local {
			p.Warnings = append(p.Warnings, "this is AWS: services read from "+e.standby.region+" meanwhile, and what is written in "+e.home.region+" is lost")
		}
	}
	return p, nil
}

// Run does the drill, after another look: time passes while people think. The error is
// for what stopped it; run it again then.
func (d *Drill) Run(ctx context.Context, force bool) (*Report, error) {
	plan, err := d.plan(ctx)
	if err != nil {
		return nil, err
	}
	d.Plan = plan
	if len(d.Blocked) > 0 && !force {
		return nil, refuse("nothing was changed: %s", d.Blocked[0])
	}
	e := d.estate
	r := &Report{
		Version: ReportVersion, Environment: e.stack.Settings.Environment, PrimaryRegion: e.home.region, DRRegion: e.standby.region,
		Started: e.now().UTC(), LocalCloud: d.local, Darkness: d.dark.String(), Secrets: len(d.Status.Secrets),
		Replicas: d.Status.Counts, Failures: []Failure{}, Notes: []string{},
	}
	for _, state := range []State{InProgress, Differs, Failed, Missing, Unknown} {
		for _, s := range pick(d.Status.Secrets, state) {
			r.Failures = append(r.Failures, Failure{s.Name, "replica", fmt.Sprintf("%s: %s", s.State, s.Note)})
		}
	}
	record, err := e.readRecord()
	if err != nil {
		return nil, err
	}
	r.Resumed = record != nil
	if err := d.run(ctx, r); err != nil {
		return nil, err
	}
	r.Finished = e.now().UTC()
	r.Passed = len(r.Failures) == 0 && (r.Recovered == nil || r.Recovered.met())
	return r, nil
}

func (r Recovery) met() bool {
	return r.Seconds <= r.TargetSecs && r.LostInFailover == 0 && r.LostInFailback == 0
}

func (d *Drill) run(ctx context.Context, r *Report) error {
	e := d.estate
	compared, failures, err := e.each(ctx, "compare", pick(d.Status.Secrets, InSync), func(ctx context.Context, s *Secret) error {
		return e.same(ctx, s.Name, e.home.secrets, e.standby.secrets)
	})
	if err != nil {
		return err
	}
	r.Compared = len(compared)
	r.Failures = append(r.Failures, failures...)

	valued := slices.DeleteFunc(slices.Clone(d.Status.Secrets), func(s *Secret) bool { return s.Standby.Current() == "" })
	if n := len(d.Status.Secrets) - len(valued); n > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d secrets have no value yet and weren't read", n))
	}
	callers, others, readers, err := e.callers(ctx, valued)
	if err != nil {
		return err
	}
	allowed, denied, notes, err := e.simulate(ctx, others)
	if err != nil {
		return err
	}
	readers.Simulated = allowed
	r.Readers = readers
	r.Failures = append(r.Failures, denied...)
	r.Notes = append(r.Notes, notes...)
	e.tell(Progress{"read in " + e.standby.region, 0, len(valued)})
	r.Direct, failures = e.read(ctx, callers, []string{e.standby.region}, func(config aws.Config, _ string) aws.Config { return config })
	r.Failures = append(r.Failures, failures...)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}

	lift, err := d.dark.fall(ctx)
	if err != nil {
		return err
	}
	lifted := false
	lightUp := func() error {
		if lifted {
			return nil
		}
		lifted = true
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return lift(ctx)
	}
	e.tell(Progress{"read while the primary region is dark", 0, len(valued)})
	r.Failover, failures = e.read(ctx, callers, []string{e.home.region, e.standby.region}, func(config aws.Config, region string) aws.Config {
		if region == e.home.region {
			return d.dark.primary(config)
		}
		return config
	})
	r.Failures = append(r.Failures, failures...)
	if ctx.Err() != nil || !d.promotes {
		return errors.Join(context.Cause(ctx), lightUp())
	}
	r.Recovered = &Recovery{TargetSecs: Target.Seconds()}
	err = d.away(ctx, r, callers)
	if err = errors.Join(err, lightUp()); err != nil {
		return err
	}
	return d.back(ctx, r)
}

// labels are the versions of all secrets that have staging labels.
type labels map[string]map[string][]string

func labelsOf(secrets []*Secret, of func(*Secret) Copy) labels {
	l := labels{}
	for _, s := range secrets {
		l[s.Name] = of(s).Versions
	}
	return l
}

// lost counts the versions with a label that afterwards are without it, and
// names their secrets. AWSPENDING isn't counted: AWS and the rotation functions
// set it and take it away.
func (before labels) lost(after labels) (checked, lost int, failures []Failure) {
	for _, name := range slices.Sorted(maps.Keys(before)) {
		then := settled(after[name])
		for id, stages := range settled(before[name]) {
			checked++
			if !slices.Equal(then[id], stages) {
				lost++
				failures = append(failures, Failure{name, "count versions", fmt.Sprintf("version %s was %s and is %s afterwards", id, strings.Join(stages, " "), orNone(strings.Join(then[id], " ")))})
			}
		}
	}
	return checked, lost, failures
}

// away fails over, as in a disaster, and rotates.
func (d *Drill) away(ctx context.Context, r *Report, callers []*caller) error {
	e := d.estate
	began := time.Now()
	before := labelsOf(d.Status.Secrets, func(s *Secret) Copy {
		if s.State == Promoted || s.State == Reversed {
			return s.Standby // of an interrupted run
		}
		return s.Home
	})
	// The record is written while the primary region is known; from here on the
	// failover knows what one in a disaster would.
	if _, err := e.openRecord(d.Status); err != nil {
		return err
	}
	if back := pick(d.Status.Secrets, Reversed); len(back) > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d secrets were on the way back when an earlier run was interrupted, and aren't failed over again", len(back)))
	}
	status, err := e.Status(ctx)
	if err != nil {
		return err
	}
	outcome, err := e.failover(ctx, status)
	if err != nil {
		return err
	}
	r.Recovered.FailoverSteps = outcome.Steps
	r.Failures = append(r.Failures, outcome.Failures...)
	for _, step := range outcome.Steps {
		if step.Name == "promote" {
			r.Recovered.Promoted = step.Done
		}
	}
	// As the repointed services do.
	repointed, failures := e.read(ctx, callers, []string{e.standby.region}, func(config aws.Config, _ string) aws.Config { return config })
	r.Failures = append(r.Failures, failures...)
	r.Recovered.Seconds = time.Since(began).Seconds()
	if repointed.Failed > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d secrets couldn't be read in %s after the failover", repointed.Failed, e.standby.region))
	}

	after, err := e.Status(ctx)
	if err != nil {
		return err
	}
	var lost []Failure
	r.Recovered.Versions, r.Recovered.LostInFailover, lost = before.lost(labelsOf(after.Secrets, func(s *Secret) Copy { return s.Standby }))
	r.Failures = append(r.Failures, lost...)
	return d.rotate(ctx, r, after)
}

// rotate rotates in the DR region, which only a promoted secret can.
func (d *Drill) rotate(ctx context.Context, r *Report, status *Status) error {
	began := time.Now()
	defer func() { r.Recovered.RotationSeconds = time.Since(began).Seconds() }()
	if d.options.Rotate == RotateNone {
		return nil
	}
	run, err := d.estate.begin(status)
	if err != nil {
		return err
	}
	ready, absent, err := run.rotatable(ctx, pick(status.Secrets, Promoted))
	if err != nil {
		return err
	}
	for _, function := range slices.Sorted(maps.Keys(absent)) {
		r.Notes = append(r.Notes, fmt.Sprintf("%d secrets weren't rotated in %s, which doesn't have the function %s", len(absent[function]), d.estate.standby.region, function))
	}
	if d.options.Rotate == RotateOne {
		seen := map[string]bool{}
		ready = slices.DeleteFunc(ready, func(s *Secret) bool {
			function := run.rotationThere(s).FunctionARN
			defer func() { seen[function] = true }()
			return seen[function]
		})
	}
	if len(ready) == 0 {
		return nil
	}
	done, err := run.step(ctx, "rotate in "+d.estate.standby.region, ready, run.rotateNow)
	if err != nil {
		return err
	}
	r.Recovered.Rotated = len(done)
	r.Failures = append(r.Failures, run.outcome.Failures...)
	return nil
}

// rotateNow rotates and waits for the end. What a failed rotation leaves pending
// is cleared, since it would block the rotation after the failback.
func (r *run) rotateNow(ctx context.Context, s *Secret) error {
	// What set the rotation up is tested first, and the two can't be at once.
	if err := r.wait(ctx, "the test of the rotation", func(ctx context.Context) (bool, error) {
		c := describe(ctx, r.standby.secrets, s.Name)
		return c.Exists && c.pending() == "", nil
	}); err != nil {
		return err
	}
	version, err := setRotation(ctx, r.standby.secrets, s.Name, r.rotationThere(s), true)
	if err != nil {
		return err
	}
	err = r.wait(ctx, "the rotation", func(ctx context.Context) (bool, error) {
		return describe(ctx, r.standby.secrets, s.Name).Current() == version, nil
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	return errors.Join(fmt.Errorf("%w: the function's log in %s says why", err, r.standby.region), r.giveUp(ctx, s.Name, version))
}

// giveUp cancels a rotation and takes AWSPENDING from its version (API reference,
// CancelRotateSecret), unless it has become the current one after all.
func (r *run) giveUp(ctx context.Context, name, version string) error {
	if err := cancelRotation(ctx, r.standby.secrets, name); err != nil {
		return err
	}
	if describe(ctx, r.standby.secrets, name).pending() != version {
		return nil
	}
	_, err := r.standby.secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &name, VersionStage: aws.String("AWSPENDING"), RemoveFromVersionId: &version,
	})
	return short(err)
}

// back fails back and compares.
func (d *Drill) back(ctx context.Context, r *Report) error {
	e := d.estate
	began := time.Now()
	status, err := e.Status(ctx)
	if err != nil {
		return err
	}
	before := labelsOf(status.Secrets, func(s *Secret) Copy { return s.Standby })
	outcome, err := e.failback(ctx, status)
	if err != nil {
		return err
	}
	r.Recovered.FailbackSeconds, r.Recovered.FailbackSteps = time.Since(began).Seconds(), outcome.Steps
	r.Failures = append(r.Failures, outcome.Failures...)
	r.Notes = append(r.Notes, outcome.Notes...)
	after, err := e.Status(ctx)
	if err != nil {
		return err
	}
	_, lost, failures := before.lost(labelsOf(after.Secrets, func(s *Secret) Copy { return s.Home }))
	r.Recovered.LostInFailback = lost
	r.Failures = append(r.Failures, failures...)
	return nil
}

// Key returns the object under which the report of a drill is kept in a bucket.
func (r *Report) Key(name string) string {
	return spec.RecoveryReports + r.Environment + "/" + r.Started.Format(spec.ReportTime) + "/" + name
}
