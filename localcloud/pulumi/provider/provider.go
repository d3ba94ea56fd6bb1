// Package provider is the plugin that lets Pulumi's engine deploy into a local
// cloud: it answers, in place of the real pulumi-aws, for the package "aws".
//
// The engine starts the binary pulumi-resource-aws (see the folder cmd) from the
// folder that the project's plugins.providers entry names, and talks gRPC to it.
// What the calls mean for AWS is in package handlers.
package provider

import (
	"context"
	"fmt"
	"os"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"

	"github.com/aistudio/secrets/localcloud/pulumi/handlers"
)

// Version is the version of pulumi-aws whose schema the plugin speaks, and under
// which the engine looks for it.
const Version = "6.83.4"

// Provider implements Pulumi's provider protocol. The engine configures it once
// and then calls it concurrently.
type Provider struct {
	plugin.UnimplementedProvider

	base   handlers.Config
	cancel context.CancelFunc
	done   context.Context // ends with Close

	// handlers is set by Configure, which the engine calls before all else.
	handlers *handlers.Provider
}

var _ plugin.Provider = (*Provider)(nil)

// New returns a provider that isn't configured yet. What the stack's
// configuration leaves out comes from base.
func New(base handlers.Config) *Provider {
	done, cancel := context.WithCancel(context.Background())
	return &Provider{base: base, done: done, cancel: cancel}
}

// ConfigFromEnvironment is what the AWS SDKs' environment variables say:
// AWS_REGION or AWS_DEFAULT_REGION, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
func ConfigFromEnvironment() handlers.Config {
	region := os.Getenv("AWS_REGION")
	if region == "" {
		region = os.Getenv("AWS_DEFAULT_REGION")
	}
	return handlers.Config{
		Region:       region,
		Endpoint:     os.Getenv("AWS_ENDPOINT_URL"),
		AccessKey:    os.Getenv("AWS_ACCESS_KEY_ID"),
		SecretKey:    os.Getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
	}
}

// bounded is ctx, ended also by Close.
func (p *Provider) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(p.done, cancel)
	return ctx, func() { stop(); cancel() }
}

// Handshake tells the engine what the provider understands.
func (p *Provider) Handshake(context.Context, plugin.ProviderHandshakeRequest) (*plugin.ProviderHandshakeResponse, error) {
	return &plugin.ProviderHandshakeResponse{AcceptSecrets: true, AcceptResources: true, AcceptOutputs: true}, nil
}

// GetPluginInfo tells the plugin's version.
func (p *Provider) GetPluginInfo(context.Context) (plugin.PluginInfo, error) {
	version := semver.MustParse(Version)
	return plugin.PluginInfo{Version: &version}, nil
}

// Attach takes note of an engine's address; the provider never calls it.
func (p *Provider) Attach(string) error { return nil }

// Close ends all calls.
func (p *Provider) Close() error {
	p.cancel()
	return nil
}

// SignalCancellation does nothing: the user has pressed Ctrl-C, and what has begun
// is finished, so that the engine learns how it ended. Pulumi's AWS provider does
// the same. Source:
// https://github.com/pulumi/pulumi-terraform-bridge/blob/main/pkg/tfshim/sdk-v2/provider.go
func (p *Provider) SignalCancellation(context.Context) error { return nil }

// CheckConfig refuses what the local cloud has no meaning for.
func (p *Provider) CheckConfig(_ context.Context, req plugin.CheckConfigRequest) (plugin.CheckConfigResponse, error) {
	return plugin.CheckConfigResponse{
		Properties: req.News,
		Failures:   failures(handlers.CheckConfig(req.News)),
	}, nil
}

// DiffConfig replaces a provider, and so all of its resources, if it moves to
// another region.
func (p *Provider) DiffConfig(_ context.Context, req plugin.DiffConfigRequest) (plugin.DiffConfigResponse, error) {
	old, news := req.OldInputs, req.NewInputs
	if old.HasValue("region") && news.HasValue("region") && !old["region"].DeepEquals(news["region"]) {
		return plugin.DiffResult{
			Changes:      plugin.DiffSome,
			DetailedDiff: map[string]plugin.PropertyDiff{"region": {Kind: plugin.DiffUpdateReplace, InputDiff: true}},
		}, nil
	}
	if old.DeepEquals(news) {
		return plugin.DiffResult{Changes: plugin.DiffNone}, nil
	}
	return plugin.DiffResult{Changes: plugin.DiffSome}, nil
}

// Configure makes the provider ready.
func (p *Provider) Configure(_ context.Context, req plugin.ConfigureRequest) (plugin.ConfigureResponse, error) {
	config, err := handlers.ParseConfig(req.Inputs, p.base)
	if err != nil {
		return plugin.ConfigureResponse{}, fmt.Errorf("configure provider aws: %w", err)
	}
	p.handlers, err = handlers.New(config)
	return plugin.ConfigureResponse{}, err
}

// Check validates and completes a resource's inputs.
func (p *Provider) Check(_ context.Context, req plugin.CheckRequest) (plugin.CheckResponse, error) {
	inputs, failed, err := p.handlers.Check(string(req.Type), req.Name, req.Olds, req.News, req.RandomSeed)
	if err != nil {
		return plugin.CheckResponse{}, err
	}
	return plugin.CheckResponse{Properties: inputs, Failures: failures(failed)}, nil
}

func failures(list []handlers.Failure) []plugin.CheckFailure {
	var failures []plugin.CheckFailure
	for _, f := range list {
		failures = append(failures, plugin.CheckFailure{Property: resource.PropertyKey(f.Property), Reason: f.Reason})
	}
	return failures
}

// Diff tells what an update would do.
func (p *Provider) Diff(_ context.Context, req plugin.DiffRequest) (plugin.DiffResponse, error) {
	diff, err := p.handlers.Diff(string(req.Type), req.OldInputs, req.NewInputs)
	if err != nil {
		return plugin.DiffResult{}, err
	}
	if len(diff.Changes) == 0 {
		return plugin.DiffResult{Changes: plugin.DiffNone}, nil
	}
	result := plugin.DiffResult{
		Changes:             plugin.DiffSome,
		DeleteBeforeReplace: diff.DeleteFirst,
		DetailedDiff:        map[string]plugin.PropertyDiff{},
	}
	for _, change := range diff.Changes {
		kind := plugin.DiffUpdate
		switch {
		case change.Added:
			kind = plugin.DiffAdd
		case change.Removed:
			kind = plugin.DiffDelete
		}
		if change.Replace {
			kind = kind.AsReplace()
		}
		result.DetailedDiff[change.Property] = plugin.PropertyDiff{Kind: kind, InputDiff: true}
	}
	return result, nil
}

// Create makes a resource, or in a preview foretells its state.
func (p *Provider) Create(ctx context.Context, req plugin.CreateRequest) (plugin.CreateResponse, error) {
	if req.Preview {
		state, err := p.handlers.Preview(string(req.Type), nil, req.Properties)
		return plugin.CreateResponse{Properties: state}, err
	}
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	id, state, err := p.handlers.Create(ctx, string(req.Type), req.Properties)
	if err != nil && id != "" {
		// It is there but not finished: the engine records it, and the next
		// deployment finishes it.
		return plugin.CreateResponse{}, unfinished(id, state, req.Properties, err)
	}
	return plugin.CreateResponse{ID: resource.ID(id), Properties: state}, err
}

// unfinished is the error that makes the engine keep a resource in its state.
func unfinished(id string, state, inputs resource.PropertyMap, cause error) error {
	options := plugin.MarshalOptions{KeepSecrets: true, KeepResources: true}
	properties, err := plugin.MarshalProperties(state, options)
	if err != nil {
		return fmt.Errorf("%w (and its state can't be recorded: %w)", cause, err)
	}
	given, err := plugin.MarshalProperties(inputs, options)
	if err != nil {
		return fmt.Errorf("%w (and its inputs can't be recorded: %w)", cause, err)
	}
	return rpcerror.WithDetails(rpcerror.New(codes.Unknown, cause.Error()), &pulumirpc.ErrorResourceInitFailed{
		Id:         id,
		Inputs:     given,
		Properties: properties,
		Reasons:    []string{cause.Error()},
	})
}

// Read tells a resource's state; without one, that it is gone.
func (p *Provider) Read(ctx context.Context, req plugin.ReadRequest) (plugin.ReadResponse, error) {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	state, inputs, found, err := p.handlers.Read(ctx, string(req.Type), string(req.ID), req.State, req.Inputs)
	if err != nil || !found {
		return plugin.ReadResponse{}, err
	}
	return plugin.ReadResponse{ReadResult: plugin.ReadResult{ID: req.ID, Inputs: inputs, Outputs: state}}, nil
}

// Update changes a resource, or in a preview foretells its state.
func (p *Provider) Update(ctx context.Context, req plugin.UpdateRequest) (plugin.UpdateResponse, error) {
	if req.Preview {
		state, err := p.handlers.Preview(string(req.Type), req.OldOutputs, req.NewInputs)
		return plugin.UpdateResponse{Properties: state}, err
	}
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	state, err := p.handlers.Update(ctx, string(req.Type), string(req.ID), req.OldOutputs, req.NewInputs)
	return plugin.UpdateResponse{Properties: state}, err
}

// Delete removes a resource.
func (p *Provider) Delete(ctx context.Context, req plugin.DeleteRequest) (plugin.DeleteResponse, error) {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	return plugin.DeleteResponse{}, p.handlers.Delete(ctx, string(req.Type), string(req.ID), req.Outputs)
}

// Invoke answers one of Pulumi's functions.
func (p *Provider) Invoke(ctx context.Context, req plugin.InvokeRequest) (plugin.InvokeResponse, error) {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	result, err := p.handlers.Invoke(ctx, string(req.Tok), req.Args)
	return plugin.InvokeResponse{Properties: result}, err
}
