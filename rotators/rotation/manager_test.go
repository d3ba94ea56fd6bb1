package rotation_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
)

const (
	arn  = "arn:aws:secretsmanager:us-east-1:123456789012:secret:aistudio/dev/orders/postgres-a1B2c3"
	name = "aistudio/dev/orders/postgres"
)

// manager is Secrets Manager with one secret, in memory, with AWS's rules for
// versions and stages. What it can't do is read late: lag is how many reads of
// a fresh version are answered as if it weren't there.
type manager struct {
	mu       sync.Mutex
	enabled  *bool
	versions map[string]*managed
	order    []string
	lag      int
	now      time.Time // the time of values that are put
	tokens   []string  // the RotationTokens of PutSecretValue
	// intercept is called before each call; its error is the call's.
	intercept func(operation string) error
	// after is called when a call has had its effect; its error is the call's.
	after func(operation string) error
}

type managed struct {
	text    *string
	binary  []byte
	created time.Time
	stages  []string
	unseen  int
}

func newManager() *manager {
	return &manager{enabled: aws.Bool(true), versions: map[string]*managed{}}
}

// startRotation does what RotateSecret does before the first step: a pending
// version without a value. It refuses while another rotation hasn't ended.
func (m *manager) startRotation(token string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, version := range m.versions {
		if slices.Contains(version.stages, "AWSPENDING") && !slices.Contains(version.stages, "AWSCURRENT") {
			return &types.InvalidRequestException{Message: aws.String("A previous rotation isn't complete. That rotation will be reattempted.")}
		}
	}
	m.version(token)
	m.label(token, "AWSPENDING")
	return nil
}

func (m *manager) version(id string) *managed {
	if m.versions[id] == nil {
		m.versions[id] = &managed{unseen: m.lag}
		m.order = append(m.order, id)
	}
	return m.versions[id]
}

// label moves a stage, and AWSPREVIOUS with AWSCURRENT.
func (m *manager) label(id, stage string) {
	for other, version := range m.versions {
		if !slices.Contains(version.stages, stage) {
			continue
		}
		if other == id {
			return
		}
		version.stages = slices.DeleteFunc(version.stages, func(s string) bool { return s == stage })
		if stage == "AWSCURRENT" {
			m.label(other, "AWSPREVIOUS")
		}
	}
	m.versions[id].stages = append(m.versions[id].stages, stage)
}

// labelled is the id of the version with a stage.
func (m *manager) labelled(stage string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.find(stage)
}

func (m *manager) find(stage string) string {
	for id, version := range m.versions {
		if slices.Contains(version.stages, stage) {
			return id
		}
	}
	return ""
}

// value is the text of the version with a stage.
func (m *manager) value(stage string) string {
	id := m.labelled(stage)
	if id == "" {
		return ""
	}
	return aws.ToString(m.versions[id].text)
}

func (m *manager) call(operation string, do func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.intercept != nil {
		if err := m.intercept(operation); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if m.after != nil {
		return m.after(operation)
	}
	return nil
}

var errNotFound = &types.ResourceNotFoundException{Message: aws.String("Secrets Manager can't find the specified secret value")}

func (m *manager) DescribeSecret(_ context.Context, in *secretsmanager.DescribeSecretInput, _ ...func(*secretsmanager.Options)) (out *secretsmanager.DescribeSecretOutput, err error) {
	err = m.call("DescribeSecret", func() error {
		if id := aws.ToString(in.SecretId); id != arn && id != name {
			return errNotFound
		}
		out = &secretsmanager.DescribeSecretOutput{ARN: aws.String(arn), Name: aws.String(name), RotationEnabled: m.enabled, VersionIdsToStages: map[string][]string{}}
		for id, version := range m.versions {
			if len(version.stages) > 0 {
				out.VersionIdsToStages[id] = slices.Clone(version.stages)
			}
		}
		return nil
	})
	return out, err
}

func (m *manager) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (out *secretsmanager.GetSecretValueOutput, err error) {
	err = m.call("GetSecretValue", func() error {
		id := aws.ToString(in.VersionId)
		if id == "" {
			id = m.find(aws.ToString(in.VersionStage))
		}
		version := m.versions[id]
		if version == nil || version.text == nil && version.binary == nil || in.VersionStage != nil && !slices.Contains(version.stages, *in.VersionStage) {
			return errNotFound
		}
		if version.unseen > 0 {
			version.unseen--
			return errNotFound
		}
		out = &secretsmanager.GetSecretValueOutput{ARN: aws.String(arn), VersionId: &id, SecretString: version.text, SecretBinary: version.binary, CreatedDate: &version.created}
		return nil
	})
	return out, err
}

func (m *manager) PutSecretValue(_ context.Context, in *secretsmanager.PutSecretValueInput, _ ...func(*secretsmanager.Options)) (out *secretsmanager.PutSecretValueOutput, err error) {
	err = m.call("PutSecretValue", func() error {
		id := aws.ToString(in.ClientRequestToken)
		m.tokens = append(m.tokens, aws.ToString(in.RotationToken))
		first := len(m.versions) == 0
		version := m.version(id)
		if version.text != nil || version.binary != nil {
			if aws.ToString(version.text) != aws.ToString(in.SecretString) || !slices.Equal(version.binary, in.SecretBinary) {
				return &types.ResourceExistsException{Message: aws.String("You can't use ClientRequestToken because that value is already in use")}
			}
		} else {
			version.created = m.now
		}
		version.text, version.binary = in.SecretString, in.SecretBinary
		for _, stage := range in.VersionStages {
			m.label(id, stage)
		}
		if first {
			m.label(id, "AWSCURRENT")
		}
		out = &secretsmanager.PutSecretValueOutput{ARN: aws.String(arn), VersionId: &id}
		return nil
	})
	return out, err
}

func (m *manager) UpdateSecretVersionStage(_ context.Context, in *secretsmanager.UpdateSecretVersionStageInput, _ ...func(*secretsmanager.Options)) (out *secretsmanager.UpdateSecretVersionStageOutput, err error) {
	err = m.call("UpdateSecretVersionStage", func() error {
		stage, holder := aws.ToString(in.VersionStage), m.find(aws.ToString(in.VersionStage))
		if from := aws.ToString(in.RemoveFromVersionId); holder != from && (from != "" || holder != aws.ToString(in.MoveToVersionId)) {
			return &types.InvalidParameterException{Message: aws.String("The parameter RemoveFromVersionId can't be empty or wrong: staging label " + stage + " is attached to another version")}
		}
		if to := aws.ToString(in.MoveToVersionId); to != "" {
			m.label(to, stage)
		} else {
			version := m.versions[holder]
			version.stages = slices.DeleteFunc(version.stages, func(s string) bool { return s == stage })
		}
		out = &secretsmanager.UpdateSecretVersionStageOutput{ARN: aws.String(arn)}
		return nil
	})
	return out, err
}

// throttled is an answer that passes, denied one that doesn't.
var (
	throttled error = &smithy.GenericAPIError{Code: "ThrottlingException", Message: "Rate exceeded", Fault: smithy.FaultClient}
	denied    error = &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "not authorized to perform: secretsmanager:PutSecretValue", Fault: smithy.FaultClient}
	lost            = errors.New("connection reset by peer")
)
