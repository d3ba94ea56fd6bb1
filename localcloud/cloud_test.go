package localcloud_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/faults"
)

func newCloud(t *testing.T, opts ...localcloud.Option) *localcloud.Cloud {
	t.Helper()
	cloud, err := localcloud.New(opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	return cloud
}

// keys counts the KMS keys that somebody sees.
func keys(t *testing.T, cfg aws.Config) int {
	t.Helper()
	out, err := kms.NewFromConfig(cfg).ListKeys(t.Context(), &kms.ListKeysInput{})
	require.NoError(t, err)
	return len(out.Keys)
}

func TestRegionsAndAccountsAreApart(t *testing.T) {
	cloud := newCloud(t)
	_, err := kms.NewFromConfig(cloud.Config("us-east-1")).CreateKey(t.Context(), &kms.CreateKeyInput{})
	require.NoError(t, err)
	require.Equal(t, 1, keys(t, cloud.Config("us-east-1")))
	require.Equal(t, 0, keys(t, cloud.Config("us-west-2")))
	require.Equal(t, 0, keys(t, cloud.ConfigFor("us-east-1", "210987654321", "x", "")))
}

func TestARegionGoesDown(t *testing.T) {
	cloud := newCloud(t)
	up, err := cloud.Faults.Add(faults.Fault{Kind: faults.DropBefore, Region: "us-east-1"})
	require.NoError(t, err)
	east := cloud.Config("us-east-1")
	east.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	_, err = kms.NewFromConfig(east).ListKeys(t.Context(), &kms.ListKeysInput{})
	require.Error(t, err)
	require.Equal(t, 0, keys(t, cloud.Config("us-west-2")))
	up()
	require.Equal(t, 0, keys(t, east))
}

func TestAFaultForOneCallerOnly(t *testing.T) {
	cloud := newCloud(t)
	root := cloud.Config("us-east-1")
	_, err := iam.NewFromConfig(root).CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: aws.String("app"), AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}]}`),
	})
	require.NoError(t, err)
	role := "arn:aws:iam::123456789012:role/app"
	out, err := sts.NewFromConfig(root).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("s1")})
	require.NoError(t, err)
	session := cloud.ConfigFor("us-east-1", *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	session.Retryer = func() aws.Retryer { return aws.NopRetryer{} }

	_, err = cloud.Faults.Add(faults.Fault{Kind: faults.Throttle, Principal: role})
	require.NoError(t, err)
	_, err = sts.NewFromConfig(root).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	require.NoError(t, err)
	_, err = sts.NewFromConfig(session).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	require.ErrorContains(t, err, "ThrottlingException")
}

func TestResetForgetsEverything(t *testing.T) {
	cloud := newCloud(t, localcloud.WithStart(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)))
	url := cloud.URL()
	_, err := kms.NewFromConfig(cloud.Config("us-east-1")).CreateKey(t.Context(), &kms.CreateKeyInput{})
	require.NoError(t, err)
	_, err = cloud.Faults.Add(faults.Fault{Kind: faults.Throttle, Service: "sqs"})
	require.NoError(t, err)
	_, err = iam.NewFromConfig(cloud.Config("us-east-1")).ListGroups(t.Context(), &iam.ListGroupsInput{})
	require.Error(t, err)
	require.Equal(t, map[string]int{"iam:ListGroups": 1}, cloud.Unsupported())
	require.NoError(t, cloud.Advance(t.Context(), 24*time.Hour))
	old := cloud.Clock()
	old.AfterFunc(time.Hour, func() { t.Error("a timer of the old state fired") })

	require.NoError(t, cloud.Reset())
	require.Equal(t, url, cloud.URL())
	require.Equal(t, 0, keys(t, cloud.Config("us-east-1")))
	require.Empty(t, cloud.Faults.List())
	require.Empty(t, cloud.Unsupported())
	require.Equal(t, 1, cloud.Clock().Now().Day())
	require.NoError(t, old.Advance(t.Context(), 2*time.Hour))
}

func TestOptions(t *testing.T) {
	cloud := newCloud(t, localcloud.WithAccount("210987654321"), localcloud.WithWorkDir(t.TempDir()), localcloud.WithAddress("127.0.0.1:0"))
	require.Equal(t, "210987654321", cloud.Account())
	out, err := sts.NewFromConfig(cloud.Config("us-east-1")).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	require.NoError(t, err)
	require.Equal(t, "210987654321", *out.Account)
	_, err = localcloud.New(localcloud.WithAddress("127.0.0.1:-1"))
	require.ErrorContains(t, err, "start the local cloud")
}

func TestAHundredClientsAtOnce(t *testing.T) {
	cloud := newCloud(t)
	var wg sync.WaitGroup
	failed := make([]error, 100)
	for i := range failed {
		wg.Go(func() { failed[i] = useIAM(t, cloud, i) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(failed...))
	out, err := iam.NewFromConfig(cloud.Config("us-east-1")).ListRoles(t.Context(), &iam.ListRolesInput{})
	require.NoError(t, err)
	require.Empty(t, out.Roles)
}

func useIAM(t *testing.T, cloud *localcloud.Cloud, i int) error {
	client := iam.NewFromConfig(cloud.Config("us-east-1"))
	name := aws.String(fmt.Sprintf("role-%d", i))
	created, err := client.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}]}`)})
	if err != nil {
		return err
	}
	if _, err = client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("p"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"arn:aws:iam::*:role/` + *name + `"}]}`)}); err != nil {
		return err
	}
	out, err := sts.NewFromConfig(cloud.Config("us-east-1")).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: created.Role.Arn, RoleSessionName: aws.String("s1")})
	if err != nil {
		return err
	}
	own := iam.NewFromConfig(cloud.ConfigFor("us-east-1", *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken))
	if _, err = own.GetRole(t.Context(), &iam.GetRoleInput{RoleName: name}); err != nil {
		return err
	}
	if _, err = own.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("p")}); err != nil {
		return err
	}
	_, err = client.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: name})
	return err
}
