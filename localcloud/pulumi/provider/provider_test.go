package provider_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	smsdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/pulumi/handlers"
	"github.com/aistudio/secrets/localcloud/pulumi/provider"
)

const (
	// unknownMark is how the engine writes a value that isn't known yet.
	unknownMark = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
	secretURN   = "urn:pulumi:dev::project::aws:secretsmanager/secret:Secret::database"
	providerURN = "urn:pulumi:dev::project::pulumi:providers:aws::default"
)

// dial serves a provider, as the engine would start it, and connects to it. The
// channel gets what Serve returns.
func dial(ctx context.Context, t *testing.T, endpoint, engine string) (pulumirpc.ResourceProviderClient, <-chan error) {
	t.Helper()
	reader, writer := io.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- provider.Serve(ctx, provider.New(handlers.Config{Endpoint: endpoint}), engine, writer)
	}()
	port, err := bufio.NewReader(reader).ReadString('\n')
	require.NoError(t, err)
	conn, err := grpc.NewClient("127.0.0.1:"+strings.TrimSpace(port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, conn.Close()) })
	return pulumirpc.NewResourceProviderClient(conn), served
}

func configured(ctx context.Context, t *testing.T, endpoint string) (pulumirpc.ResourceProviderClient, <-chan error) {
	t.Helper()
	client, served := dial(ctx, t, endpoint, "")
	shaken, err := client.Handshake(ctx, &pulumirpc.ProviderHandshakeRequest{})
	require.NoError(t, err)
	assert.True(t, shaken.AcceptSecrets)
	answer, err := client.Configure(ctx, &pulumirpc.ConfigureRequest{
		Args:            properties(t, resource.PropertyMap{"region": resource.NewProperty("us-east-1")}),
		AcceptSecrets:   true,
		AcceptResources: true,
	})
	require.NoError(t, err)
	assert.True(t, answer.AcceptSecrets)
	assert.True(t, answer.SupportsPreview)
	return client, served
}

func properties(t *testing.T, m resource.PropertyMap) *structpb.Struct {
	t.Helper()
	s, err := plugin.MarshalProperties(m, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, KeepResources: true})
	require.NoError(t, err)
	return s
}

func propertyMap(t *testing.T, s *structpb.Struct) resource.PropertyMap {
	t.Helper()
	m, err := plugin.UnmarshalProperties(s, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, KeepResources: true})
	require.NoError(t, err)
	return m
}

func newCloud(t *testing.T) *localcloud.Cloud {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	return cloud
}

func TestTheProtocol(t *testing.T) {
	cloud := newCloud(t)
	ctx := t.Context()
	client, _ := configured(ctx, t, cloud.URL())

	info, err := client.GetPluginInfo(ctx, &emptypb.Empty{})
	require.NoError(t, err)
	assert.Equal(t, provider.Version, info.Version)

	inputs := properties(t, resource.PropertyMap{
		"description": resource.MakeSecret(resource.NewProperty("confidential")),
		"kmsKeyId":    resource.MakeComputed(resource.NewProperty("")),
	})
	assert.Equal(t, unknownMark, inputs.Fields["kmsKeyId"].GetStringValue())
	checked, err := client.Check(ctx, &pulumirpc.CheckRequest{Urn: secretURN, News: inputs, RandomSeed: []byte("seed")})
	require.NoError(t, err)
	require.Empty(t, checked.Failures)
	foretold, err := client.Create(ctx, &pulumirpc.CreateRequest{Urn: secretURN, Properties: checked.Inputs, Preview: true})
	require.NoError(t, err)
	assert.Empty(t, foretold.Id)
	state := propertyMap(t, foretold.Properties)
	assert.True(t, state["arn"].ContainsUnknowns())
	assert.True(t, state["description"].IsSecret())
	secrets := smsdk.NewFromConfig(cloud.Config("us-east-1"))
	listed, err := secrets.ListSecrets(ctx, &smsdk.ListSecretsInput{})
	require.NoError(t, err)
	assert.Empty(t, listed.SecretList, "a preview makes nothing")

	delete(inputs.Fields, "kmsKeyId")
	checked, err = client.Check(ctx, &pulumirpc.CheckRequest{Urn: secretURN, News: inputs, RandomSeed: []byte("seed")})
	require.NoError(t, err)
	created, err := client.Create(ctx, &pulumirpc.CreateRequest{Urn: secretURN, Properties: checked.Inputs})
	require.NoError(t, err)
	state = propertyMap(t, created.Properties)
	assert.Equal(t, created.Id, state["arn"].StringValue())
	assert.True(t, state["description"].IsSecret(), "what the program marks as secret is kept as one")

	diff, err := client.Diff(ctx, &pulumirpc.DiffRequest{Urn: secretURN, Id: created.Id, OldInputs: checked.Inputs, Olds: created.Properties, News: checked.Inputs})
	require.NoError(t, err)
	assert.Equal(t, pulumirpc.DiffResponse_DIFF_NONE, diff.Changes)

	renamed := propertyMap(t, checked.Inputs)
	renamed["name"] = resource.NewProperty("another")
	diff, err = client.Diff(ctx, &pulumirpc.DiffRequest{Urn: secretURN, Id: created.Id, OldInputs: checked.Inputs, Olds: created.Properties, News: properties(t, renamed)})
	require.NoError(t, err)
	assert.Equal(t, pulumirpc.DiffResponse_DIFF_SOME, diff.Changes)
	assert.Equal(t, []string{"name"}, diff.Replaces)

	changed := propertyMap(t, checked.Inputs)
	delete(changed, "description")
	diff, err = client.Diff(ctx, &pulumirpc.DiffRequest{Urn: secretURN, Id: created.Id, OldInputs: checked.Inputs, Olds: created.Properties, News: properties(t, changed)})
	require.NoError(t, err)
	assert.Equal(t, pulumirpc.PropertyDiff_DELETE, diff.DetailedDiff["description"].Kind)
	updated, err := client.Update(ctx, &pulumirpc.UpdateRequest{Urn: secretURN, Id: created.Id, OldInputs: checked.Inputs, Olds: created.Properties, News: properties(t, changed)})
	require.NoError(t, err)
	assert.Empty(t, propertyMap(t, updated.Properties)["description"].StringValue())

	read, err := client.Read(ctx, &pulumirpc.ReadRequest{Urn: secretURN, Id: created.Id, Inputs: properties(t, changed), Properties: updated.Properties})
	require.NoError(t, err)
	assert.Equal(t, changed, propertyMap(t, read.Inputs))

	_, err = client.Delete(ctx, &pulumirpc.DeleteRequest{Urn: secretURN, Id: created.Id, OldInputs: properties(t, changed), Properties: updated.Properties})
	require.NoError(t, err)
	read, err = client.Read(ctx, &pulumirpc.ReadRequest{Urn: secretURN, Id: created.Id, Inputs: properties(t, changed), Properties: updated.Properties})
	require.NoError(t, err)
	assert.Empty(t, read.Id, "no ID: the resource is gone")
}

func TestFunctionsAreAnswered(t *testing.T) {
	client, _ := configured(t.Context(), t, newCloud(t).URL())
	answer, err := client.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: "aws:index/getCallerIdentity:getCallerIdentity"})
	require.NoError(t, err)
	assert.Equal(t, localcloud.DefaultAccount, answer.Return.Fields["accountId"].GetStringValue())

	_, err = client.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: "aws:ec2/getVpc:getVpc"})
	assert.ErrorContains(t, err, "aws:ec2/getVpc:getVpc has no handler in the local cloud")
}

// TestAnUnfinishedResourceIsHandedOver: the error carries what the engine needs
// to keep the resource in its state.
func TestAnUnfinishedResourceIsHandedOver(t *testing.T) {
	cloud := newCloud(t)
	client, _ := configured(t.Context(), t, cloud.URL())
	_, err := client.Create(t.Context(), &pulumirpc.CreateRequest{Urn: secretURN, Properties: properties(t, resource.PropertyMap{
		"name":   resource.NewProperty("database"),
		"policy": resource.NewProperty(`{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps"}]}`),
	})})
	require.Error(t, err)
	details := rpcerror.Convert(err).Details()
	require.Len(t, details, 1)
	failed, ok := details[0].(*pulumirpc.ErrorResourceInitFailed)
	require.True(t, ok)
	secret, err := smsdk.NewFromConfig(cloud.Config("us-east-1")).DescribeSecret(t.Context(), &smsdk.DescribeSecretInput{SecretId: awssdk.String("database")})
	require.NoError(t, err)
	assert.Equal(t, awssdk.ToString(secret.ARN), failed.Id)
	assert.Equal(t, "database", failed.Inputs.Fields["name"].GetStringValue())
}

func TestAProviderThatMovesIsReplaced(t *testing.T) {
	client, _ := dial(t.Context(), t, "http://127.0.0.1:1", "")
	diff := func(old, news resource.PropertyMap) *pulumirpc.DiffResponse {
		answer, err := client.DiffConfig(t.Context(), &pulumirpc.DiffRequest{Urn: providerURN, OldInputs: properties(t, old), News: properties(t, news)})
		require.NoError(t, err)
		return answer
	}
	here, there := resource.NewProperty("us-east-1"), resource.NewProperty("us-west-2")
	assert.Equal(t, []string{"region"}, diff(resource.PropertyMap{"region": here}, resource.PropertyMap{"region": there}).Replaces)
	assert.Equal(t, pulumirpc.DiffResponse_DIFF_NONE, diff(resource.PropertyMap{"region": here}, resource.PropertyMap{"region": here}).Changes)
	other := diff(resource.PropertyMap{"region": here}, resource.PropertyMap{"region": here, "accessKey": there})
	assert.Equal(t, pulumirpc.DiffResponse_DIFF_SOME, other.Changes)
	assert.Empty(t, other.Replaces)

	checked, err := client.CheckConfig(t.Context(), &pulumirpc.CheckRequest{Urn: providerURN, News: properties(t, resource.PropertyMap{"profile": here})})
	require.NoError(t, err)
	require.Len(t, checked.Failures, 1)
	assert.Equal(t, "profile", checked.Failures[0].Property)
}

func TestServeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, served := configured(ctx, t, "http://127.0.0.1:1")
	cancel()
	assert.NoError(t, <-served)
}

// TestACancelledUpdateFinishesItsCalls: the user presses Ctrl-C, the engine tells
// the provider, and a call that AWS is answering goes on. Were it given up, nobody
// would know whether AWS has made what it was asked for.
func TestACancelledUpdateFinishesItsCalls(t *testing.T) {
	called, release := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(called)
		<-release
		_, _ = io.WriteString(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
			<Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
	}))
	t.Cleanup(slow.Close)
	client, _ := configured(t.Context(), t, slow.URL)

	type answer struct {
		response *pulumirpc.InvokeResponse
		err      error
	}
	answered := make(chan answer, 1)
	go func() {
		response, err := client.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: "aws:index/getCallerIdentity:getCallerIdentity"})
		answered <- answer{response, err}
	}()
	<-called
	_, err := client.Cancel(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
	close(release)
	got := <-answered
	require.NoError(t, got.err)
	assert.Equal(t, "123456789012", got.response.GetReturn().GetFields()["accountId"].GetStringValue())
}

// TestAnEngineThatCannotBeWatched: a wrong address is an error at once. That a
// watched engine's end ends the plugin is Pulumi's own code.
func TestAnEngineThatCannotBeWatched(t *testing.T) {
	err := provider.Serve(t.Context(), provider.New(handlers.Config{}), "\x00", io.Discard)
	assert.ErrorContains(t, err, "watch the engine")
}

func TestAPortThatCannotBeTold(t *testing.T) {
	reader, writer := net.Pipe()
	require.NoError(t, reader.Close())
	err := provider.Serve(t.Context(), provider.New(handlers.Config{}), "", writer)
	assert.ErrorContains(t, err, "tell the engine the port")
}
