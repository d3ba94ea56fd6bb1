package caches

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// API stands for Secrets Manager: it answers every id after a while and counts
// the calls. It is safe for concurrent use.
type API struct {
	// Delay is how long a call takes.
	Delay time.Duration

	calls atomic.Int64
}

// Calls returns how many calls there were.
func (a *API) Calls() int64 { return a.calls.Load() }

// GetSecretValue answers with a secret of the length that a database's has.
func (a *API) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	a.calls.Add(1)
	if a.Delay > 0 {
		select {
		case <-time.After(a.Delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	name := aws.ToString(in.SecretId)
	return &secretsmanager.GetSecretValueOutput{
		ARN:           aws.String("arn:aws:secretsmanager:us-east-1:123456789012:secret:" + name + "-AbCdEf"),
		Name:          aws.String(name),
		VersionId:     aws.String("00000001-0000-4000-8000-000000000000"),
		VersionStages: []string{"AWSCURRENT"},
		SecretString:  aws.String(`{"engine":"postgres","host":"db.example.com","port":5432,"username":"shop","password":"example of ` + name + `"}`),
	}, nil
}

// BatchGetSecretValue isn't used by any benchmark.
func (a *API) BatchGetSecretValue(context.Context, *secretsmanager.BatchGetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.BatchGetSecretValueOutput, error) {
	return nil, errors.New("the benchmarks' API has no BatchGetSecretValue")
}
