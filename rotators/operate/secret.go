package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
)

// Secret is what Secrets Manager tells of a secret.
type Secret struct {
	Name     string    `json:"name"`
	ARN      string    `json:"arn"`
	Rotation Rotation  `json:"rotation"`
	Versions []Version `json:"versions"` // those with a staging label, the newest first
	Replicas []Replica `json:"replicas,omitempty"`
	// Now is AWS's time at which this was so.
	Now time.Time `json:"now"`
}

// Rotation is how a secret is rotated.
type Rotation struct {
	On       bool      `json:"on"`
	Function string    `json:"function,omitempty"` // its ARN
	Schedule string    `json:"schedule,omitempty"` // rate(…), cron(…), or days as rate(n days)
	Window   string    `json:"window,omitempty"`   // how long a window is, such as 2h; empty: AWS's default
	Last     time.Time `json:"last,omitzero"`
	// Next is the end of the next window, at which the rotation has been at the
	// latest.
	Next time.Time `json:"next,omitzero"`
}

// Version is one of a secret's values.
type Version struct {
	ID      string    `json:"id"`
	Stages  []string  `json:"stages"`
	Created time.Time `json:"created,omitzero"`
}

// Replica is a secret's copy in another region.
type Replica struct {
	Region string `json:"region"`
	InSync bool   `json:"inSync"`
	Reason string `json:"reason,omitempty"` // why it isn't
}

// staged returns the version with a stage, or nil.
func (s *Secret) staged(stage string) *Version {
	for i := range s.Versions {
		if slices.Contains(s.Versions[i].Stages, stage) {
			return &s.Versions[i]
		}
	}
	return nil
}

// pending returns the version of a rotation that hasn't ended, or nil. After a
// rotation the label may stay on the current version.
func (s *Secret) pending() *Version {
	if v := s.staged(stagePending); v != nil && !slices.Contains(v.Stages, stageCurrent) {
		return v
	}
	return nil
}

// find describes a secret that is named by its name or ARN.
func (o *Operator) find(ctx context.Context, id string) (*Secret, error) {
	out, err := o.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil {
		return nil, explain("describe", id, err)
	}
	s := &Secret{
		Name: aws.ToString(out.Name), ARN: aws.ToString(out.ARN),
		Rotation: Rotation{
			On: aws.ToBool(out.RotationEnabled), Function: aws.ToString(out.RotationLambdaARN),
			Last: aws.ToTime(out.LastRotatedDate), Next: aws.ToTime(out.NextRotationDate),
		},
	}
	if rules := out.RotationRules; rules != nil {
		s.Rotation.Window = aws.ToString(rules.Duration)
		switch {
		case aws.ToString(rules.ScheduleExpression) != "":
			s.Rotation.Schedule = *rules.ScheduleExpression
		case rules.AutomaticallyAfterDays != nil:
			s.Rotation.Schedule = fmt.Sprintf("rate(%d days)", *rules.AutomaticallyAfterDays)
		}
	}
	for _, r := range out.ReplicationStatus {
		replica := Replica{Region: aws.ToString(r.Region), InSync: r.Status == types.StatusTypeInSync}
		if !replica.InSync {
			replica.Reason = fmt.Sprintf("%s %s", r.Status, aws.ToString(r.StatusMessage))
		}
		s.Replicas = append(s.Replicas, replica)
	}
	var ok bool
	if s.Now, ok = awsmiddleware.GetServerTime(out.ResultMetadata); !ok {
		s.Now = time.Now()
	}
	s.Now = s.Now.UTC()
	if s.Versions, err = o.versions(ctx, s.ARN); err != nil {
		return nil, err
	}
	switch {
	case out.DeletedDate != nil:
		return s, refuse("%s is to be deleted: restore it first (aws secretsmanager restore-secret)", s.Name)
	case out.PrimaryRegion != nil && *out.PrimaryRegion != regionOf(s.ARN):
		return s, refuse("%s is a replica here: its rotation is run in its primary region, so set AWS_REGION=%s", s.Name, *out.PrimaryRegion)
	}
	return s, nil
}

func (o *Operator) versions(ctx context.Context, arn string) ([]Version, error) {
	var versions []Version
	pages := secretsmanager.NewListSecretVersionIdsPaginator(o.secrets, &secretsmanager.ListSecretVersionIdsInput{SecretId: &arn})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explain("list the versions of", arn, err)
		}
		for _, v := range page.Versions {
			if len(v.VersionStages) > 0 {
				versions = append(versions, Version{aws.ToString(v.VersionId), v.VersionStages, aws.ToTime(v.CreatedDate).UTC()})
			}
		}
	}
	slices.SortStableFunc(versions, func(a, b Version) int { return b.Created.Compare(a.Created) })
	return versions, nil
}

// rotates refuses a secret that nothing rotates.
func (s *Secret) rotates() error {
	if s.Rotation.Function == "" {
		return refuse("%s has no rotation function: its rotation was never set up (see the stack's catalogue)", s.Name)
	}
	return nil
}

// explain says what to do about an answer of AWS that is the caller's to mend.
func explain(doing, what string, err error) error {
	err = fmt.Errorf("%s %s: %w", doing, what, err)
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch api.ErrorCode() {
	case "ResourceNotFoundException":
		return &RefusedError{err.Error() + ": see the name, AWS_PROFILE and AWS_REGION"}
	case "AccessDeniedException", "AccessDenied":
		return &RefusedError{err.Error() + ": docs/operating-rotation.md lists the rights that an operator needs"}
	}
	return err
}

// version returns the version with an id and a stage, or nil.
func (s *Secret) version(id string) *Version {
	for i := range s.Versions {
		if s.Versions[i].ID == id {
			return &s.Versions[i]
		}
	}
	return nil
}
