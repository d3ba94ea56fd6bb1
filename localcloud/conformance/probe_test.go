package conformance

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	region   = "us-east-1"
	drRegion = "us-west-2"
	account  = "123456789012"
)

// waitLimit is for what becomes ready in the background.
const waitLimit = time.Minute

// probe runs one case against one cloud. It is a require.TestingT that notes a
// failure instead of failing the test, as a failure of moto can be expected.
type probe struct {
	ctx      context.Context
	config   func(region string) aws.Config
	prefix   string
	failures []string
	sm       *sm.Client
}

func newProbe(t *testing.T, c testCase, config func(region string) aws.Config) *probe {
	once := func(region string) aws.Config {
		cfg := config(region)
		cfg.RetryMaxAttempts = 1
		return cfg
	}
	p := &probe{ctx: t.Context(), config: once}
	p.prefix = regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(c.service+"-"+c.name), "-")
	p.sm = p.smIn(region)
	return p
}

// judge returns what failed, or nothing.
func (p *probe) judge(run func(*probe)) (failure string) {
	defer func() {
		if r := recover(); r != nil {
			switch r := r.(type) {
			case stopped:
			case runtime.Error: // a reply without what the case looks at
				p.failures = append(p.failures, r.Error())
			default:
				panic(r)
			}
		}
		failure = strings.Join(p.failures, "\n")
	}()
	run(p)
	return ""
}

type stopped struct{}

// Errorf implements require.TestingT. It keeps the reason and leaves out where
// in the test it happened.
func (p *probe) Errorf(format string, args ...any) {
	var lines []string
	trace := false
	for _, line := range strings.Split(fmt.Sprintf(format, args...), "\n") {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, "Error Trace:"):
			trace = true
		case strings.HasPrefix(text, "Error:"):
			trace = false
			lines = append(lines, text)
		case text != "" && !trace:
			lines = append(lines, text)
		}
	}
	p.failures = append(p.failures, strings.Join(lines, " "))
}

// FailNow implements require.TestingT.
func (p *probe) FailNow() { panic(stopped{}) }

func (p *probe) smIn(region string) *sm.Client { return sm.NewFromConfig(p.config(region)) }

// name is a name of this case's own.
func (p *probe) name(s string) *string { return aws.String(p.prefix + "/" + s) }

// ok stops the case when a call fails that must not.
func ok[T any](p *probe) func(T, error) T {
	return func(v T, err error) T {
		require.NoError(p, err)
		return v
	}
}

// fails checks an error's code and, where AWS documents or is known to send
// one, a part of its message.
func (p *probe) fails(err error, code, message string) {
	var apiErr smithy.APIError
	require.Error(p, err, "the call should have failed with %s", code)
	require.ErrorAs(p, err, &apiErr)
	require.Equal(p, code, apiErr.ErrorCode())
	require.Contains(p, apiErr.ErrorMessage(), message)
}

// create makes a secret, with a value unless it is empty.
func (p *probe) create(name *string, value string) *sm.CreateSecretOutput {
	in := &sm.CreateSecretInput{Name: name}
	if value != "" {
		in.SecretString = &value
	}
	return ok[*sm.CreateSecretOutput](p)(p.sm.CreateSecret(p.ctx, in))
}

func (p *probe) put(id *string, value string, stages ...string) string {
	out := ok[*sm.PutSecretValueOutput](p)(p.sm.PutSecretValue(p.ctx, &sm.PutSecretValueInput{SecretId: id, SecretString: &value, VersionStages: stages}))
	return *out.VersionId
}

func (p *probe) describe(id *string) *sm.DescribeSecretOutput {
	return ok[*sm.DescribeSecretOutput](p)(p.sm.DescribeSecret(p.ctx, &sm.DescribeSecretInput{SecretId: id}))
}

func (p *probe) get(id *string) *sm.GetSecretValueOutput {
	return ok[*sm.GetSecretValueOutput](p)(p.sm.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: id}))
}

func (p *probe) staged(id *string, stage string) *sm.GetSecretValueOutput {
	return ok[*sm.GetSecretValueOutput](p)(p.sm.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: id, VersionStage: &stage}))
}

func (p *probe) equal(want, have any) { require.Equal(p, want, have) }

func (p *probe) stages(id *string, version string, want ...string) {
	assert.ElementsMatch(p, want, p.describe(id).VersionIdsToStages[version])
	if len(p.failures) > 0 {
		p.FailNow()
	}
}

func tag(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }

func (p *probe) createWithKey(arn *string) {
	_, err := p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{Name: p.name("s"), SecretString: aws.String("v"), KmsKeyId: arn})
	require.NoError(p, err)
}

func (p *probe) getErr(id *string) (*sm.GetSecretValueOutput, error) {
	return p.sm.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: id})
}
