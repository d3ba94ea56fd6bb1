package inventory

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/auditor/facts"
)

const pageSize = 100 // the most that ListSecrets gives

// list writes the secrets of all regions to their files. A region that can't be
// listed to its end is marked, and the others go on.
func (inv *Inventory) list(ctx context.Context) error {
	var group errgroup.Group
	for _, region := range inv.opts.Regions {
		group.Go(func() error { return inv.listRegion(ctx, region) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var reasons []error
	for _, region := range inv.opts.Regions {
		r := inv.Regions[region]
		if r.Incomplete == "" || r.Secrets+r.Replicas > 0 {
			return nil
		}
		reasons = append(reasons, fmt.Errorf("list the secrets of %s: %s", region, r.Incomplete))
	}
	return errors.Join(reasons...)
}

func (inv *Inventory) listRegion(ctx context.Context, region string) error {
	r := inv.Regions[region]
	out := bufio.NewWriterSize(r.file, 1<<16)
	encoder := json.NewEncoder(out)
	pages := secretsmanager.NewListSecretsPaginator(r.clients.secrets, &secretsmanager.ListSecretsInput{
		IncludePlannedDeletion: aws.Bool(true),
		MaxResults:             aws.Int32(pageSize),
		SortBy:                 types.SortByTypeName,
		SortOrder:              types.SortOrderTypeAsc,
	})
	for pages.HasMorePages() {
		err := wait(ctx, r.throttle.list)
		var page *secretsmanager.ListSecretsOutput
		if err == nil {
			page, err = pages.NextPage(ctx)
		}
		if err != nil {
			inv.opts.Log.ErrorContext(ctx, "the listing of a region ended early", "region", region, "seen", r.Secrets, "error", err)
			r.Incomplete = reason(err)
			break
		}
		for i := range page.SecretList {
			s := fromEntry(&page.SecretList[i], region)
			s.Deleted = deletedSince(s, inv.opts.Now)
			if s.PrimaryRegion != "" && s.PrimaryRegion != region {
				r.Replicas++
				r.index.addReplica(s)
				continue
			}
			r.Secrets++
			r.index.addPrimary(s)
			if err := encoder.Encode(s); err != nil {
				return fmt.Errorf("write the secrets of %s to %s: %w", region, r.file.Name(), err)
			}
		}
		inv.progress("secrets")
	}
	r.index.close()
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the secrets of %s to %s: %w", region, r.file.Name(), err)
	}
	return nil
}

func fromEntry(e *types.SecretListEntry, region string) facts.Secret {
	s := facts.Secret{
		ARN: aws.ToString(e.ARN), Name: aws.ToString(e.Name), Region: region,
		Created: utc(e.CreatedDate), Changed: utc(e.LastChangedDate), Accessed: utc(e.LastAccessedDate), Deleted: utc(e.DeletedDate),
		KeyID: aws.ToString(e.KmsKeyId), OwningService: aws.ToString(e.OwningService), PrimaryRegion: aws.ToString(e.PrimaryRegion),
		Rotation: facts.Rotation{
			Enabled: aws.ToBool(e.RotationEnabled), Function: aws.ToString(e.RotationLambdaARN),
			Last: utc(e.LastRotatedDate), Next: utc(e.NextRotationDate),
		},
	}
	if rules := e.RotationRules; rules != nil {
		s.Rotation.AfterDays = int(aws.ToInt64(rules.AutomaticallyAfterDays))
		s.Rotation.Schedule = aws.ToString(rules.ScheduleExpression)
		s.Rotation.Window = aws.ToString(rules.Duration)
	}
	if len(e.Tags) > 0 {
		s.Tags = make(map[string]string, len(e.Tags))
		for _, tag := range e.Tags {
			s.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
	}
	for id, stages := range e.SecretVersionsToStages {
		if slices.Contains(stages, "AWSCURRENT") {
			s.Current = id
		}
		if slices.Contains(stages, "AWSPENDING") {
			s.Pending = id
		}
	}
	return s
}

// deletedSince returns when the deletion of a secret was asked for. AWS's
// documents call DeletedDate that time for ListSecrets, and the time at which
// the secret will be gone for DescribeSecret; a time in the future is the latter,
// and then the last change was the deletion.
func deletedSince(s facts.Secret, now time.Time) time.Time {
	if s.Deleted.After(now) {
		return s.Changed
	}
	return s.Deleted
}

func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
