package extension

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	secrets "github.com/aistudio/secrets/sdk"
)

// attempts of a call: the cache has its own back-off, and a replica may answer
// sooner.
const attempts = 2

// bodies is Secrets Manager with the whole body of an answer in the place of
// the value, so that the cache holds what is served. A hit encodes nothing.
type bodies struct{ api secrets.API }

// orError makes an error of a panic, to be deferred. Without it a panic in a
// call to AWS, which no request's goroutine makes, would end the process. What
// was panicked with isn't told: it might hold a value.
func orError(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic (%T) in a call to AWS: %s", p, debug.Stack())
	}
}

// guarded is a feed whose panics are errors: the SDK asks it in a goroutine of
// its own, too.
type guarded struct{ secrets.Feed }

func (g guarded) Changes(ctx context.Context, since time.Time) (_ []secrets.Change, err error) {
	defer orError(&err)
	return g.Feed.Changes(ctx, since)
}

// secretBodies returns Secrets Manager by region.
func secretBodies(c aws.Config) func(region string) secrets.API {
	return func(region string) secrets.API {
		return bodies{secretsmanager.NewFromConfig(c, func(o *secretsmanager.Options) {
			o.Region = region
			o.ClientLogMode &^= aws.LogRequestWithBody | aws.LogResponseWithBody // they hold the values
			if o.RetryMaxAttempts == 0 {
				o.RetryMaxAttempts = attempts
			}
		})}
	}
}

func (b bodies) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, options ...func(*secretsmanager.Options)) (_ *secretsmanager.GetSecretValueOutput, err error) {
	defer orError(&err)
	out, err := b.api.GetSecretValue(ctx, in, options...)
	if err != nil {
		return nil, err
	}
	body, err := encodeSecret(out)
	clear(out.SecretBinary)
	if err != nil {
		return nil, err
	}
	return &secretsmanager.GetSecretValueOutput{
		ARN: out.ARN, Name: out.Name, VersionId: out.VersionId, VersionStages: out.VersionStages,
		CreatedDate: out.CreatedDate, SecretBinary: body,
	}, nil
}

func (b bodies) BatchGetSecretValue(ctx context.Context, in *secretsmanager.BatchGetSecretValueInput, options ...func(*secretsmanager.Options)) (_ *secretsmanager.BatchGetSecretValueOutput, err error) {
	defer orError(&err)
	out, err := b.api.BatchGetSecretValue(ctx, in, options...)
	if err != nil {
		return nil, err
	}
	answer := &secretsmanager.BatchGetSecretValueOutput{Errors: out.Errors}
	for _, v := range out.SecretValues {
		body, err := encodeSecret(&secretsmanager.GetSecretValueOutput{
			ARN: v.ARN, CreatedDate: v.CreatedDate, Name: v.Name, SecretBinary: v.SecretBinary,
			SecretString: v.SecretString, VersionId: v.VersionId, VersionStages: v.VersionStages,
		})
		clear(v.SecretBinary)
		if err != nil {
			return nil, err
		}
		answer.SecretValues = append(answer.SecretValues, types.SecretValueEntry{
			ARN: v.ARN, Name: v.Name, VersionId: v.VersionId, VersionStages: v.VersionStages,
			CreatedDate: v.CreatedDate, SecretBinary: body,
		})
	}
	return answer, nil
}

// parameterAPI is what is needed of the Parameter Store. *ssm.Client is one.
type parameterAPI interface {
	GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error)
}

// parameters is the Parameter Store in the form of Secrets Manager, so that the
// SDK's cache keeps parameters by the same rules. Their ids are those of
// parameterID.
type parameters struct{ api parameterAPI }

func parameterBodies(c aws.Config) func(region string) secrets.API {
	return func(region string) secrets.API {
		return parameters{ssm.NewFromConfig(c, func(o *ssm.Options) {
			o.Region = region
			o.ClientLogMode &^= aws.LogRequestWithBody | aws.LogResponseWithBody
			if o.RetryMaxAttempts == 0 {
				o.RetryMaxAttempts = attempts
			}
		})}
	}
}

// parameterID returns the id of what is asked for: a query, which is never
// taken for an ARN.
func parameterID(r ParameterRequest) string {
	name := r.Name
	switch { // API reference, GetParameter: name:version or name:label
	case r.Version != "":
		name += ":" + r.Version
	case r.Label != "":
		name += ":" + r.Label
	}
	return url.Values{"name": {name}, "withDecryption": {strconv.FormatBool(r.Decrypt)}}.Encode()
}

func (p parameters) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (_ *secretsmanager.GetSecretValueOutput, err error) {
	defer orError(&err)
	query, err := url.ParseQuery(*in.SecretId)
	if err != nil {
		return nil, err
	}
	out, err := p.api.GetParameter(ctx, &ssm.GetParameterInput{
		Name: aws.String(query.Get("name")), WithDecryption: aws.Bool(query.Get("withDecryption") == "true"),
	})
	if err != nil {
		return nil, err
	}
	body, err := encodeParameter(out)
	if err != nil {
		return nil, err
	}
	return &secretsmanager.GetSecretValueOutput{
		ARN: in.SecretId, Name: in.SecretId, SecretBinary: body,
		VersionId: aws.String(strconv.FormatInt(out.Parameter.Version, 10)),
	}, nil
}

func (parameters) BatchGetSecretValue(context.Context, *secretsmanager.BatchGetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.BatchGetSecretValueOutput, error) {
	return nil, errors.New("parameters are read one by one")
}
