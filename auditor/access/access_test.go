package access_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/access"
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/trail"
	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/faults"
)

const (
	region = "us-east-1"
	app    = "arn:aws:iam::123456789012:role/app"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// TestAForgedRow: a caller writes what the trail quotes, and it stays in its cell.
func TestAForgedRow(t *testing.T) {
	var out strings.Builder
	require.NoError(t, access.Report{Complete: true, Accesses: []access.Access{{Access: facts.Access{
		Principal: "arn:aws:iam::123456789012:role/x", Version: "v\n2026-01-01 00:00:00\tadmin\x1b[2J\u202e", Event: "GetSecretValue", Error: "AccessDenied",
	}}}}.Table(&out))
	require.Len(t, strings.Split(out.String(), "\n"), 5, "a heading, a row, a line for the sum")
	require.NotContains(t, out.String(), "\x1b")
	require.NotContains(t, out.String(), "\u202e")
}

func TestMark(t *testing.T) {
	at := func(hours float64, principal, region string) facts.Access {
		return facts.Access{Time: noon.Add(time.Duration(hours * float64(time.Hour))), Principal: principal, Region: region}
	}
	before := []facts.Access{at(-1, "app", "east"), at(-1.5, "app", "east"), at(-30, "batch", "west")}
	for name, tt := range map[string]struct {
		since []facts.Access
		want  []string // of the newest
	}{
		"as ever":       {[]facts.Access{at(1, "app", "east")}, nil},
		"new principal": {[]facts.Access{at(1, "mallory", "east")}, []string{"new principal"}},
		"new region":    {[]facts.Access{at(1, "app", "south")}, []string{"new region"}},
		"both":          {[]facts.Access{at(1, "mallory", "south")}, []string{"new principal", "new region"}},
		"a few":         {many(19, at(1, "app", "east")), nil},
		"a spike":       {many(20, at(1, "app", "east")), []string{"spike: 20 in an hour"}},
	} {
		marked := access.Mark(append(tt.since, before...), noon)
		require.Len(t, marked, len(tt.since), name)
		require.Equal(t, tt.want, marked[0].Unusual, name)
	}
	require.Empty(t, access.Mark([]facts.Access{at(1, "mallory", "south")}, noon)[0].Unusual, "without a past nothing is unusual")
}

func many(n int, a facts.Access) []facts.Access {
	var list []facts.Access
	for range n {
		list = append(list, a)
	}
	return list
}

// TestWhoReadIt asks the local cloud's trail after reads of an hour ago and now,
// allowed and refused, by ARN and by name.
func TestWhoReadIt(t *testing.T) {
	ctx := t.Context()
	// At the end the cloud's clock shows the real time: where it is far from it,
	// the SDK takes a refusal for one of the clock and asks again.
	cloud, err := localcloud.New(localcloud.WithStart(time.Now().Add(-31*time.Hour - time.Minute)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	root := secretsmanager.NewFromConfig(cloud.Config(region))
	created, err := root.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("acme/prod/app/key"), SecretString: aws.String("canary")})
	require.NoError(t, err)
	_, err = root.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("acme/prod/app/other"), SecretString: aws.String("canary")})
	require.NoError(t, err)
	makeRole(t, cloud, "app", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*"}}`)
	makeRole(t, cloud, "stranger", `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`)

	_, err = as(t, cloud, "app").GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: created.ARN})
	require.NoError(t, err)
	require.NoError(t, cloud.Advance(ctx, 30*time.Hour))
	since := cloud.Clock().Now()
	require.NoError(t, cloud.Advance(ctx, time.Hour))
	_, err = as(t, cloud, "app").GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("acme/prod/app/key"), VersionStage: aws.String("AWSCURRENT")})
	require.NoError(t, err)
	_, err = as(t, cloud, "app").GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("acme/prod/app/other")})
	require.NoError(t, err)
	require.NoError(t, cloud.Advance(ctx, time.Minute))
	_, err = as(t, cloud, "stranger").GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("acme/prod/app/key")})
	require.ErrorContains(t, err, "AccessDenied")

	trails := map[string]trail.API{region: cloudtrail.NewFromConfig(cloud.Config(region))}
	q := access.Query{Secret: "acme/prod/app/key", ARN: *created.ARN, Since: since, Now: cloud.Clock().Now().Add(time.Second), Pages: 10}
	report, err := access.Find(ctx, trails, q)
	require.NoError(t, err)
	require.True(t, report.Complete)
	require.Len(t, report.Accesses, 2)
	refused, allowed := report.Accesses[0], report.Accesses[1]
	require.Equal(t, "arn:aws:iam::123456789012:role/stranger", refused.Principal)
	require.Equal(t, "AccessDenied", refused.Error)
	require.Equal(t, []string{"new principal"}, refused.Unusual)
	require.Equal(t, app, allowed.Principal)
	require.Equal(t, "AWSCURRENT", allowed.Version)
	require.Empty(t, allowed.Error)
	require.Empty(t, allowed.Unusual)

	var table bytes.Buffer
	require.NoError(t, report.Table(&table))
	require.Contains(t, table.String(), "refused: AccessDenied")
	require.Contains(t, table.String(), "2 accesses since")
	text, err := json.Marshal(report)
	require.NoError(t, err)
	for _, out := range []string{table.String(), string(text)} {
		require.NotContains(t, out, "canary")
	}

	q.Pages = 0
	report, err = access.Find(ctx, trails, q)
	require.NoError(t, err)
	require.False(t, report.Complete, "what wasn't read isn't absent")

	_, err = cloud.Faults.Add(faults.Fault{Service: "cloudtrail", Kind: faults.Error, Status: 400, Code: "AccessDeniedException"})
	require.NoError(t, err)
	q.Pages = 1
	_, err = access.Find(ctx, trails, q)
	require.ErrorContains(t, err, "read the trail of us-east-1")
}

func makeRole(t *testing.T, cloud *localcloud.Cloud, name, document string) {
	t.Helper()
	ctx, identity := t.Context(), iam.NewFromConfig(cloud.Config(region))
	_, err := identity.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}}`)})
	require.NoError(t, err)
	_, err = identity.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("p"), PolicyDocument: &document})
	require.NoError(t, err)
}

// as returns a client with a session of a role, which holds for an hour.
func as(t *testing.T, cloud *localcloud.Cloud, name string) *secretsmanager.Client {
	t.Helper()
	out, err := sts.NewFromConfig(cloud.Config(region)).AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::123456789012:role/" + name), RoleSessionName: aws.String("test"),
	})
	require.NoError(t, err)
	c := out.Credentials
	return secretsmanager.NewFromConfig(cloud.ConfigFor(region, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken))
}
