package secretsmanager

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

type batchInput struct {
	Filters      []filter
	MaxResults   *int64
	NextToken    *string
	SecretIdList []string
}

type batchOutput struct {
	Errors       []batchError `json:",omitempty"`
	NextToken    string       `json:",omitempty"`
	SecretValues []*secretValue
}

type batchError struct {
	ErrorCode string
	Message   string
	SecretId  string
}

const maxBatch = 20

func (in *batchInput) validate() error {
	var c constraints
	c.number("maxResults", in.MaxResults, maxBatch)
	if in.SecretIdList != nil {
		c.size("secretIdList", "", len(in.SecretIdList), 1, maxBatch)
	}
	c.filters(in.Filters)
	if err := c.err(); err != nil {
		return err
	}
	if (len(in.SecretIdList) > 0) == (len(in.Filters) > 0) {
		return errParameter("Either 'SecretIdList' or 'Filters' must be provided, but not both.")
	}
	if len(in.Filters) == 0 && in.MaxResults != nil {
		return errParameter("'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided.")
	}
	return nil
}

// batchGetSecretValue answers for each secret by itself: one that can't be read
// is an entry of Errors. The caller needs secretsmanager:GetSecretValue on each
// secret, and with filters secretsmanager:ListSecrets.
func (s *Service) batchGetSecretValue(ctx context.Context, r *api.Request, in *batchInput) (*batchOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "secretsmanager:BatchGetSecretValue", Resource: "*"}); err != nil {
		return nil, err
	}
	if err := in.validate(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &batchOutput{SecretValues: []*secretValue{}}
	ids := in.SecretIdList
	if len(in.Filters) > 0 {
		if err := r.Authorize(ctx, api.Check{Action: "secretsmanager:ListSecrets", Resource: "*"}); err != nil {
			return nil, err
		}
		found := s.match(place{r.Account, r.Region}, &listInput{Filters: in.Filters})
		part, next, err := page(found, in.MaxResults, maxBatch, in.NextToken)
		if err != nil {
			return nil, err
		}
		out.NextToken = next
		for _, sec := range part {
			ids = append(ids, sec.arn())
		}
	}
	for _, id := range ids {
		val, err := s.read(ctx, r, &getInput{SecretId: &id})
		s.recordRead(ctx, r, id, val, err)
		var apiErr *api.Error
		switch {
		case err == nil:
			out.SecretValues = append(out.SecretValues, val)
		case errors.As(err, &apiErr):
			out.Errors = append(out.Errors, batchError{ErrorCode: apiErr.Code, Message: apiErr.Message, SecretId: id})
		default:
			return nil, err
		}
	}
	return out, nil
}

// recordRead: CloudTrail has an entry GetSecretValue for each secret of a batch.
func (s *Service) recordRead(ctx context.Context, r *api.Request, id string, val *secretValue, err error) {
	e := api.Event{
		ID: uuid.NewString(), Name: "GetSecretValue", Source: "secretsmanager.amazonaws.com", Type: "AwsApiCall",
		Time: r.Time, Region: r.Region, Account: r.Account, Caller: r.Caller, ReadOnly: true,
		RequestID: r.ID, Request: map[string]any{"secretId": id},
	}
	if val != nil {
		e.Resources = []string{val.ARN}
	}
	var apiErr *api.Error
	if errors.As(err, &apiErr) {
		e.ErrorCode, e.ErrorMessage = apiErr.Code, apiErr.Message
	}
	s.env.Trail.Record(ctx, e)
}
