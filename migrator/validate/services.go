package validate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

// service is a service of the plan and what is known of it.
type service struct {
	plan.Service
	state
	counts counts
	unread string // why the counts can't be read; "": they can
}

// state is how a service runs now.
type state struct {
	problem    string // why nothing is known; "": it is
	gone       bool
	references map[slot]string // what its variables refer to
	switched   time.Time       // to the secrets; by the journal, else by AWS's last change
	health     Check           // its Result, How, Detail and Remedy
	pulled     bool            // its tasks run, so ECS has read all that is injected
}

// slot is a variable of a container; a function has one container without a
// name.
type slot struct{ container, variable string }

func (s slot) String() string {
	if s.container == "" {
		return s.variable
	}
	return s.container + "/" + s.variable
}

// variables are those of the service whose secrets a person hasn't left out.
func (v *validation) variables(s plan.Service) []plan.Variable {
	return slices.DeleteFunc(slices.Clone(s.Variables), func(variable plan.Variable) bool {
		return !slices.ContainsFunc(v.Plan.Secrets, func(secret plan.Secret) bool { return secret.Name == variable.Secret && secret.Skip == "" })
	})
}

func (v *validation) checkServices(ctx context.Context) error {
	var services []*service
	for _, s := range v.wantedServices() {
		if len(v.variables(s)) == 0 {
			v.step()
			continue
		}
		if b := v.blocked(s.ID); b != nil {
			v.add(Check{Question: Switched, Subject: s.ID, Result: Fail, How: "reading the plan", Detail: "the plan says " + b.Code + ": " + b.Problem, Remedy: b.Remedy})
			v.step()
			continue
		}
		services = append(services, &service{Service: s})
	}
	if err := each(ctx, v.Left, v.checkLeft); err != nil {
		return err
	}
	if err := each(ctx, services, v.readState); err != nil {
		return err
	}
	if err := v.count(ctx, services); err != nil {
		return err
	}
	if err := v.readAsRoles(ctx, services); err != nil {
		return err
	}
	return each(ctx, services, func(ctx context.Context, s *service) error {
		defer v.step()
		switched := v.switchedTo(s)
		v.add(switched)
		if s.problem != "" {
			return nil // nothing more can be told
		}
		mayRead, err := v.mayRead(ctx, s)
		if err != nil {
			return err
		}
		v.add(mayRead, v.reads(s), s.health)
		if s.How == plan.ByInjection {
			v.add(v.hasKeys(s))
		}
		if v.Soak > 0 && switched.Result == Pass {
			v.add(v.soaked(s))
		}
		return nil
	})
}

// checkLeft tells of a service that was switched and is in no plan, unless it is no
// more.
func (v *validation) checkLeft(ctx context.Context, left plan.Service) error {
	s := &service{Service: left}
	if err := v.readState(ctx, s); err != nil || s.gone {
		return err
	}
	v.add(Check{
		Question: Switched, Subject: s.ID, Result: Unknown, How: "reading the plan and the journal", Detail: "it was switched, and the plan no longer has it",
		Remedy: "Bring the plan back that it was switched by, or roll it back.",
	})
	return nil
}

// readState finds out how a service runs.
func (v *validation) readState(ctx context.Context, s *service) error {
	read := map[plan.ServiceKind]func(context.Context, *service) error{
		plan.LambdaFunction: v.readFunction, plan.ECSService: v.readService, plan.RuleTask: v.readRuleTask, plan.ScheduledTask: v.readScheduledTask,
	}[s.Kind]
	if read == nil {
		return fmt.Errorf("service %s: the plan's kind %q is unknown", s.ID, s.Kind)
	}
	if err := read(ctx, s); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.gone = gone(err)
		s.problem = "it can't be read: " + code(err)
	}
	if at, known := v.Switched[s.ID]; known {
		s.switched = at
	}
	s.health.Question, s.health.Subject = Healthy, s.ID
	return nil
}

// switchedTo checks that all variables refer to their secrets.
func (v *validation) switchedTo(s *service) Check {
	check := Check{Question: Switched, Subject: s.ID, How: "reading its configuration"}
	if s.problem != "" {
		check.Result, check.Detail, check.Remedy = Unknown, s.problem, "Let the migrator read it: docs/migrating.md has the policy."
		if s.gone {
			check.Result, check.Remedy = Fail, "If the service is no more, plan again, or set its skip in the plan to the reason."
		}
		return check
	}
	var missing, wrong []string
	for _, variable := range v.variables(s.Service) {
		at := slot{variable.Container, variable.Name}
		if s.How == plan.ByReference {
			at.variable += spec.ReferenceSuffix
		}
		switch reference, ok := s.references[at]; {
		case !ok:
			missing = append(missing, at.String())
		case !v.refersTo(s.How, reference, variable):
			wrong = append(wrong, at.String())
		}
	}
	if len(missing)+len(wrong) == 0 {
		check.Result, check.Detail = Pass, fmt.Sprintf("%d variables refer to their secrets", len(v.variables(s.Service)))
		return check
	}
	check.Result, check.Remedy = Fail, "Apply the plan. If somebody else changed the service since, plan again."
	var what []string
	if len(missing) > 0 {
		what = append(what, "no reference in "+strings.Join(missing, ", "))
	}
	if len(wrong) > 0 {
		what = append(what, "another reference than planned in "+strings.Join(wrong, ", "))
	}
	check.Detail = strings.Join(what, "; ")
	return check
}

// refersTo tells whether a reference is to a variable's secret and field.
func (v *validation) refersTo(how plan.How, reference string, variable plan.Variable) bool {
	arn := ""
	if found := v.secrets[variable.Secret]; found != nil {
		arn = found.arn
	}
	if how == plan.ByReference {
		r, err := spec.ParseReference(reference)
		return err == nil && (r.SecretID == variable.Secret || r.SecretID == arn) && r.Field == variable.Field
	}
	id, field := splitValueFrom(reference)
	return id == arn && field == variable.Field
}

// splitValueFrom takes the secret's ARN and the JSON key out of what ECS injects
// from: <ARN>:<key>:<stage>:<version id>, or the ARN alone (Amazon ECS developer
// guide, "Pass Secrets Manager secrets through Amazon ECS environment variables").
func splitValueFrom(valueFrom string) (arn, key string) {
	parts := strings.Split(valueFrom, ":")
	const ofARN = 7
	if len(parts) > ofARN {
		key = parts[ofARN]
	}
	return strings.Join(parts[:min(ofARN, len(parts))], ":"), key
}

// hasKeys proves the JSON keys that ECS is to take out of secrets: one that
// isn't there keeps tasks from starting.
func (v *validation) hasKeys(s *service) Check {
	check := Check{Question: Keys, Subject: s.ID, Result: Pass, How: "reading the secrets that its containers name"}
	var missing, unread []string
	named := 0
	for _, variable := range v.variables(s.Service) {
		found := v.secrets[variable.Secret]
		switch {
		case found == nil || found.problem != "":
			unread = append(unread, variable.Secret)
		case variable.Field != "" && found.digests[variable.Field] == "":
			missing = append(missing, variable.Secret+"#"+variable.Field)
		case variable.Field != "":
			named++
		}
	}
	switch {
	case len(missing) > 0:
		check.Result, check.Detail = Fail, "there is no JSON key "+strings.Join(missing, ", ")
		check.Remedy = "Put the key into the secret before the service's next deployment or restart, which will fail without it."
	case len(unread) > 0:
		check.Result, check.Detail = Unknown, "not all secrets can be read: "+strings.Join(slices.Compact(unread), ", ")
		check.Remedy = "See what the checks of the secrets say."
	default:
		check.Detail = fmt.Sprintf("%d keys are there", named)
	}
	return check
}

// soaked checks that the service has done without its old values for the soak
// time.
func (v *validation) soaked(s *service) Check {
	check := Check{Question: Soaked, Subject: s.ID, How: "the time since it was switched"}
	var problem string
	switch age := v.now.Sub(s.switched); {
	case s.switched.IsZero():
		check.Result, check.Detail, check.Remedy = Unknown, "nobody knows when it was switched", "Validate with the migration's folder, which has the journal."
		return check
	case age < v.Soak:
		problem = fmt.Sprintf("switched %s ago, the soak time is %s", age.Round(time.Second), v.Soak)
		check.Result, check.Remedy = Unknown, fmt.Sprintf("Validate again after %s.", moment(s.switched.Add(v.Soak)))
	default:
		check.Result, check.Detail = Pass, fmt.Sprintf("switched at %s", moment(s.switched))
	}
	if s.How == plan.ByReference {
		check.How = fmt.Sprintf("the counters of its dual reads in CloudWatch (%s) in the soak time", spec.MetricNamespace)
		counted := s.counts.verdict()
		if s.unread != "" {
			counted = Check{Result: Unknown, Detail: "its counters can't be read: " + s.unread, Remedy: "Let the migrator call cloudwatch:GetMetricData: docs/migrating.md has the policy."}
		}
		if counted.Result == Fail || check.Result == Pass {
			check.Result, check.Detail, check.Remedy = counted.Result, counted.Detail, counted.Remedy
		}
	}
	check.Detail = strings.Trim(check.Detail+"; "+problem, "; ")
	return check
}
