// Package securityhub imports an audit's findings into AWS Security Hub.
package securityhub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/securityhub"
	"github.com/aws/aws-sdk-go-v2/service/securityhub/types"
	"golang.org/x/time/rate"

	"github.com/aistudio/secrets/auditor/audit"
	"github.com/aistudio/secrets/auditor/report"
)

// The limits of BatchImportFindings (Security Hub API reference): findings a
// call, calls a second.
const (
	batchSize = 100
	perSecond = 10
)

type importer interface {
	BatchImportFindings(context.Context, *securityhub.BatchImportFindingsInput, ...func(*securityhub.Options)) (*securityhub.BatchImportFindingsOutput, error)
}

// Import hands over what report.ToASFF.All says. It is idempotent. A finding that Security Hub refuses doesn't keep back the others,
// and is an error at the end.
func Import(ctx context.Context, hub importer, region string, r *audit.Result) (imported int, err error) {
	b := batcher{hub: hub, limit: rate.NewLimiter(perSecond*0.8, 1)}
	for a, err := range report.NewToASFF(r, region).All() {
		if err == nil {
			err = b.add(ctx, a)
		}
		if err != nil {
			return b.imported, err
		}
	}
	if err := b.flush(ctx); err != nil {
		return b.imported, err
	}
	return b.imported, errors.Join(b.refused...)
}

type batcher struct {
	hub      importer
	limit    *rate.Limiter
	batch    []types.AwsSecurityFinding
	imported int
	refused  []error
}

func (b *batcher) add(ctx context.Context, a report.ASFF) error {
	// The format's JSON and the SDK's type have the same names.
	text, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("import into Security Hub: %w", err)
	}
	var f types.AwsSecurityFinding
	if err := json.Unmarshal(text, &f); err != nil {
		return fmt.Errorf("import into Security Hub: %w", err)
	}
	b.batch = append(b.batch, f)
	if len(b.batch) == batchSize {
		return b.flush(ctx)
	}
	return nil
}

const maxRefused = 10 // that are told one by one

func (b *batcher) flush(ctx context.Context) error {
	if len(b.batch) == 0 {
		return nil
	}
	if err := b.limit.Wait(ctx); err != nil {
		return fmt.Errorf("import into Security Hub: %w", err)
	}
	out, err := b.hub.BatchImportFindings(ctx, &securityhub.BatchImportFindingsInput{Findings: b.batch})
	if err != nil {
		return fmt.Errorf("import %d findings into Security Hub: %w", len(b.batch), err)
	}
	b.imported += int(aws.ToInt32(out.SuccessCount))
	for _, f := range out.FailedFindings {
		if len(b.refused) < maxRefused {
			b.refused = append(b.refused, fmt.Errorf("Security Hub refused finding %s: %s: %s", aws.ToString(f.Id), aws.ToString(f.ErrorCode), aws.ToString(f.ErrorMessage)))
		}
	}
	b.batch = b.batch[:0]
	return nil
}
