package lambda

import (
	"context"

	"github.com/aistudio/secrets/localcloud/api"
)

type updateConfigurationInput struct {
	settingsInput
	RevisionId string
}

func (s *Service) updateFunctionConfiguration(ctx context.Context, r *api.Request, in *updateConfigurationInput) (*configuration, error) {
	ref, err := s.target(ctx, r, "UpdateFunctionConfiguration")
	if err != nil {
		return nil, err
	}
	old, err := s.updatable(ref, in.RevisionId)
	if err != nil {
		return nil, err
	}
	next := *old
	if next.settings, err = old.with(in.settingsInput); err != nil {
		return nil, err
	}
	if in.Role != nil {
		if err := s.passRole(ctx, r, next.role); err != nil {
			return nil, err
		}
	}
	if err := s.mayKeep(ctx, ref.region, next.settings); err != nil {
		return nil, err
	}
	if in.Layers != nil {
		if next.layerCode, err = s.resolveLayers(ctx, r, next.layers); err != nil {
			return nil, err
		}
	}
	return s.replace(ref, old, next, false)
}

type updateCodeInput struct {
	Architectures   []string
	DryRun          bool
	ImageUri        string
	Publish         bool
	RevisionId      string
	S3Bucket        string
	S3Key           string
	S3ObjectVersion string
	ZipFile         []byte
}

func (s *Service) updateFunctionCode(ctx context.Context, r *api.Request, in *updateCodeInput) (*configuration, error) {
	ref, err := s.target(ctx, r, "UpdateFunctionCode")
	if err != nil {
		return nil, err
	}
	switch {
	case in.S3Bucket != "" || in.S3Key != "" || in.S3ObjectVersion != "":
		return nil, unsupported("code from S3; send it as ZipFile")
	case in.ImageUri != "":
		return nil, unsupported("container images")
	case len(in.ZipFile) == 0:
		return nil, invalid("Please provide a source for function code.")
	}
	old, err := s.updatable(ref, in.RevisionId)
	if err != nil {
		return nil, err
	}
	next := *old
	if next.architecture, err = architectureOf(in.Architectures, old.architecture); err != nil {
		return nil, err
	}
	if next.code, err = s.packages.add(in.ZipFile); err != nil {
		return nil, err
	}
	if in.DryRun {
		s.mu.Lock()
		defer s.mu.Unlock()
		out := next.show(ref.functionKey.arn())
		return &out, nil
	}
	return s.replace(ref, old, next, in.Publish)
}

// updatable returns what an update starts from.
func (s *Service) updatable(ref reference, revisionID string) (*version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.update(ref, revisionID)
	if err != nil {
		return nil, err
	}
	return f.latest, nil
}

// replace makes next the function's $LATEST, unless something else has changed
// it meanwhile.
func (s *Service) replace(ref reference, old *version, next version, publish bool) (*configuration, error) {
	v, err := s.newVersion(next)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.update(ref, "")
	if err != nil {
		return nil, err
	}
	if f.latest != old {
		return nil, conflict("The operation cannot be performed at this time. An update is in progress for resource: %s", f.arn())
	}
	f.latest = v
	s.settle(f, v)
	out := v.show(f.arn())
	if publish {
		published := s.publish(f, "")
		out = published.show(qualified(f.functionKey, published.number))
	}
	return &out, nil
}
