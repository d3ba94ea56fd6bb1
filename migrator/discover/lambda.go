package discover

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/sdk/spec"
)

type functionReader interface {
	lambda.ListFunctionsAPIClient
	lambda.ListAliasesAPIClient
	GetFunction(context.Context, *lambda.GetFunctionInput, ...func(*lambda.Options)) (*lambda.GetFunctionOutput, error)
}

// readFunctions reads every function with its versions: a page of ListFunctions
// holds both. GetFunction adds the tags; it has a quota of its own, many times
// that of ListTags.
func (d *discovery) readFunctions(ctx context.Context) error {
	functions := map[string]*Function{}
	pages := lambda.NewListFunctionsPaginator(d.functions, &lambda.ListFunctionsInput{FunctionVersion: lambdatypes.FunctionVersionAll})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list the Lambda functions: %w", err)
		}
		for _, c := range page.Functions {
			d.takeFunction(functions, c)
		}
		d.progress("Lambda", len(functions), 0)
	}

	var done int
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, f := range functions {
		group.Go(func() error {
			if err := d.readTags(ctx, f); err != nil {
				return err
			}
			if err := d.readAliases(ctx, f); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			done++
			d.progress("Lambda", done, len(functions))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, f := range functions {
		slices.SortFunc(f.Versions, func(a, b Version) int {
			return cmp.Or(cmp.Compare(len(a.Number), len(b.Number)), cmp.Compare(a.Number, b.Number))
		})
		d.estate.Functions = append(d.estate.Functions, *f)
	}
	slices.SortFunc(d.estate.Functions, func(a, b Function) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

func (d *discovery) takeFunction(functions map[string]*Function, c lambdatypes.FunctionConfiguration) {
	version := aws.ToString(c.Version)
	arn := strings.TrimSuffix(aws.ToString(c.FunctionArn), ":"+version)
	f := functions[arn]
	if f == nil {
		f = &Function{ARN: arn, Name: aws.ToString(c.FunctionName)}
		functions[arn] = f
	}
	var settings []classify.Setting
	if e := c.Environment; e != nil {
		if e.Error != nil {
			d.unread(spec.ScanLambda, arn+":"+version, fmt.Sprintf("its environment can't be decrypted: %s", aws.ToString(e.Error.ErrorCode)))
		}
		for name, value := range e.Variables {
			settings = append(settings, classify.Setting{Name: name, Value: spec.ValueString(value)})
		}
		sortSettings(settings)
	}
	if version != "$LATEST" {
		f.Versions = append(f.Versions, Version{Number: version, Settings: settings})
		return
	}
	f.Role, f.Revision, f.KeyARN, f.Settings = aws.ToString(c.Role), aws.ToString(c.RevisionId), aws.ToString(c.KMSKeyArn), settings
}

func (f *Function) hasSettings() bool {
	return len(f.Settings) > 0 || slices.ContainsFunc(f.Versions, func(v Version) bool { return len(v.Settings) > 0 })
}

func (d *discovery) readTags(ctx context.Context, f *Function) error {
	out, err := d.functions.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &f.ARN})
	switch {
	case err == nil:
		f.Tags = out.Tags
		// ListFunctions leaves it out.
		f.Updating = out.Configuration != nil && out.Configuration.LastUpdateStatus == lambdatypes.LastUpdateStatusInProgress
		if out.TagsError != nil { // who may not list tags
			d.unread(spec.ScanLambda, f.ARN, "its tags can't be read, so whoever owns it isn't known: "+aws.ToString(out.TagsError.ErrorCode))
		}
		return nil
	case gone(err):
		return nil // deleted since it was listed; the plan is checked again before it is applied
	case denied(err):
		d.unread(spec.ScanLambda, f.ARN, "its tags can't be read, so whoever owns it isn't known: "+reason(err))
		return nil
	default:
		return fmt.Errorf("read Lambda function %s: %w", f.Name, err)
	}
}

// readAliases spares the functions that have no version an alias could name, and
// those without a variable, of which nothing migrates: ListAliases is in Lambda's
// smallest quota.
func (d *discovery) readAliases(ctx context.Context, f *Function) error {
	if d.plaintext || len(f.Versions) == 0 || !f.hasSettings() {
		return nil
	}
	pages := lambda.NewListAliasesPaginator(d.functions, &lambda.ListAliasesInput{FunctionName: &f.ARN})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		switch {
		case err == nil:
		case gone(err):
			return nil
		case denied(err):
			d.unread(spec.ScanLambda, f.ARN, "its aliases can't be read: "+reason(err))
			return nil
		default:
			return fmt.Errorf("list the aliases of Lambda function %s: %w", f.Name, err)
		}
		for _, a := range page.Aliases {
			alias := Alias{Name: aws.ToString(a.Name), Version: aws.ToString(a.FunctionVersion)}
			if a.RoutingConfig != nil {
				for version, weight := range a.RoutingConfig.AdditionalVersionWeights {
					alias.Second, alias.Weight = version, weight
				}
			}
			f.Aliases = append(f.Aliases, alias)
		}
	}
	slices.SortFunc(f.Aliases, func(a, b Alias) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}
