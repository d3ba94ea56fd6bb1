package recovery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/sdk/spec"
)

// Pointer is where a function read its secrets from before it was repointed: the
// values of two variables, nil for one that it didn't have.
type Pointer struct {
	Region   *string `json:"region"`   // spec.EnvRegion
	Failover *string `json:"failover"` // spec.EnvFailoverRegions
}

// function is a Lambda function of a service that reads secrets.
type function struct {
	at   site
	arn  string
	name string
}

// repoint lets the services' Lambda functions read from the DR region. The old
// primaries are no fallback: once their region is back, what they hold is old.
func (r *run) repoint(ctx context.Context, homeAnswers bool) error {
	var functions []function
	at := []site{r.standby}
	if homeAnswers {
		at = append(at, r.home)
	} else {
		r.note("the services' Lambda functions in %s are not repointed, since it doesn't answer", r.home.region)
	}
	for _, site := range at {
		found, err := r.functions(ctx, site)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("list the Lambda functions: stopped, run it again to go on: %w", context.Cause(ctx))
		case err != nil:
			r.fail(site.region, "list the Lambda functions", err)
		}
		functions = append(functions, found...)
	}
	return r.point(ctx, "repoint functions", functions, func(arn string, variables map[string]string) error {
		region, isSet := variables[spec.EnvRegion]
		_, fails := variables[spec.EnvFailoverRegions]
		if (region == r.standby.region || !isSet && strings.Contains(arn, ":"+r.standby.region+":")) && !fails {
			return nil // it is already
		}
		r.record.Functions[arn] = Pointer{lookup(variables, spec.EnvRegion), lookup(variables, spec.EnvFailoverRegions)}
		if err := r.writeRecord(r.record); err != nil {
			return err
		}
		variables[spec.EnvRegion] = r.standby.region
		delete(variables, spec.EnvFailoverRegions)
		return nil
	})
}

// repointBack undoes repoint.
func (r *run) repointBack(ctx context.Context) error {
	var functions []function
	for _, arn := range slices.Sorted(maps.Keys(r.record.Functions)) {
		at := r.home
		if strings.Contains(arn, ":"+r.standby.region+":") {
			at = r.standby
		}
		functions = append(functions, function{at, arn, arn[strings.LastIndexByte(arn, ':')+1:]})
	}
	return r.point(ctx, "repoint functions back", functions, func(arn string, variables map[string]string) error {
		before := r.record.Functions[arn]
		restore(variables, spec.EnvRegion, before.Region)
		restore(variables, spec.EnvFailoverRegions, before.Failover)
		return nil
	})
}

func lookup(variables map[string]string, name string) *string {
	if value, ok := variables[name]; ok {
		return &value
	}
	return nil
}

func restore(variables map[string]string, name string, value *string) {
	if value == nil {
		delete(variables, name)
		return
	}
	variables[name] = *value
}

// changers is how many functions are changed at once: a change takes Lambda some
// seconds, and it takes few calls a second.
const changers = 8

// point changes the variables of functions. change is called by one at a time.
func (r *run) point(ctx context.Context, step string, functions []function, change func(arn string, variables map[string]string) error) error {
	began := time.Now()
	var (
		mu       sync.Mutex
		group    errgroup.Group
		problems = make([]error, len(functions))
	)
	group.SetLimit(changers)
	r.tell(Progress{step, 0, len(functions)})
	changed := 0
	for i, f := range functions {
		group.Go(func() error {
			problems[i] = f.change(ctx, r.Estate, func(arn string, variables map[string]string) error {
				mu.Lock()
				defer mu.Unlock()
				return change(arn, variables)
			})
			mu.Lock()
			defer mu.Unlock()
			changed++
			r.tell(Progress{step, changed, len(functions)})
			return nil
		})
	}
	_ = group.Wait() // never fails
	if ctx.Err() != nil {
		return fmt.Errorf("%s: stopped, run it again to go on: %w", step, context.Cause(ctx))
	}
	done := 0
	for i, f := range functions {
		if problems[i] != nil {
			r.fail(f.arn, step, problems[i])
			continue
		}
		done++
		r.noteAliases(ctx, f)
	}
	r.outcome.Steps = append(r.outcome.Steps, Step{step, done, len(functions) - done, time.Since(began).Seconds()})
	return nil
}

// noteAliases notes the aliases of a function that are on published versions:
// these keep their variables for ever, and the alias has to be moved to a version
// that is published now.
func (r *run) noteAliases(ctx context.Context, f function) {
	out, err := f.at.lambda.ListAliases(ctx, &lambda.ListAliasesInput{FunctionName: &f.arn})
	if err != nil {
		if !has(err, "ResourceNotFoundException") {
			r.note("%s: whether its aliases are on published versions isn't known: %s", f.arn, short(err))
		}
		return
	}
	var names []string
	for _, alias := range out.Aliases {
		if aws.ToString(alias.FunctionVersion) != "$LATEST" {
			names = append(names, aws.ToString(alias.Name))
		}
	}
	if len(names) > 0 {
		r.note("%s: what runs behind its aliases %s is a published version, which keeps its variables: publish a new one and move them", f.arn, few(names))
	}
}

// functions returns those whose role is one of the services' in the stack.
func (r *run) functions(ctx context.Context, at site) ([]function, error) {
	roles := map[string]bool{}
	for service := range r.stack.Services {
		roles[r.role(service)] = true
	}
	var found []function
	pages := lambda.NewListFunctionsPaginator(at.lambda, &lambda.ListFunctionsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, short(err)
		}
		for _, f := range page.Functions {
			if _, role, ok := strings.Cut(aws.ToString(f.Role), ":role/"); ok && roles["role/"+role] {
				found = append(found, function{at, aws.ToString(f.FunctionArn), aws.ToString(f.FunctionName)})
			}
		}
	}
	return found, nil
}

// change reads a function's variables, changes them and writes them all, as
// Lambda wants it, unless somebody else wrote meanwhile. Nothing of them is kept
// but what change keeps.
func (f function) change(ctx context.Context, e *Estate, change func(string, map[string]string) error) error {
	return e.wait(ctx, "the change of "+f.name, func(ctx context.Context) (bool, error) {
		out, err := f.at.lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &f.arn})
		switch {
		case has(err, "ResourceNotFoundException"):
			return true, nil // it is gone, and reads nothing
		case err != nil:
			return false, short(err)
		case out.LastUpdateStatus == lambdatypes.LastUpdateStatusInProgress:
			return false, nil // ours, or somebody else's: Lambda takes one at a time
		}
		variables := map[string]string{}
		if out.Environment != nil {
			if out.Environment.Error != nil {
				return false, fmt.Errorf("its variables can't be read: %s", aws.ToString(out.Environment.Error.ErrorCode))
			}
			maps.Copy(variables, out.Environment.Variables)
		}
		before := maps.Clone(variables)
		if err := change(f.arn, variables); err != nil {
			return false, err
		}
		if maps.Equal(before, variables) {
			if out.LastUpdateStatus == lambdatypes.LastUpdateStatusFailed {
				return false, fmt.Errorf("Lambda couldn't change it: %s", out.LastUpdateStatusReasonCode)
			}
			return true, nil
		}
		_, err = f.at.lambda.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
			FunctionName: &f.arn, RevisionId: out.RevisionId, Environment: &lambdatypes.Environment{Variables: variables},
		})
		if has(err, "ResourceConflictException", "PreconditionFailedException") {
			return false, nil // changed meanwhile: look again
		}
		return false, short(err) // the next look tells how it went
	})
}
