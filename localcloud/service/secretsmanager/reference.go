package secretsmanager

import (
	"context"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// ReadString reads the current version of a secret for another service in the
// caller's name, as the Parameter Store does for its references to secrets:
// https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html.
func (s *Service) ReadString(ctx context.Context, caller api.Caller, region, id string) (value string, created time.Time, err error) {
	return s.readFor(ctx, caller, region, &getInput{SecretId: &id})
}

// ReadVersion reads the version with a stage or an ID, "" for any, as ECS does for
// the secrets of a container.
func (s *Service) ReadVersion(ctx context.Context, caller api.Caller, region, id, stage, versionID string) (string, error) {
	in := &getInput{SecretId: &id}
	if stage != "" {
		in.VersionStage = &stage
	}
	if versionID != "" {
		in.VersionId = &versionID
	}
	value, _, err := s.readFor(ctx, caller, region, in)
	return value, err
}

func (s *Service) readFor(ctx context.Context, caller api.Caller, region string, in *getInput) (value string, created time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := api.NewRequest(api.Request{
		Service: s.Name(), Operation: "GetSecretValue", Region: region, Account: caller.Account,
		Caller: caller, Time: s.env.Clock.Now(),
	}, s.env.IAM)
	out, err := s.read(ctx, r, in)
	if err != nil {
		return "", time.Time{}, err
	}
	if out.SecretString == nil {
		return "", time.Time{}, api.Errorf("InvalidRequestException", "The secret %s is binary: it can't be read as a text.", *in.SecretId)
	}
	return *out.SecretString, out.CreatedDate.Time, nil
}
