package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	secrets "github.com/aistudio/secrets/sdk"
)

// Summary is how the story ended.
type Summary struct {
	Engine    string
	Rotations int // from the trail: RotationSucceeded
	Failed    int // from the trail: RotationFailed
	Logins    map[string]int
	Failures  []string
	Cache     secrets.Stats
	Versions  []Version
	Reads     map[Reader]int
	Key       KeyRotation

	Migration     Migration
	Before, After Audit
	Loss          Loss
}

// Version is a version of the secret with its staging labels.
type Version struct {
	ID     string
	Stages []string
}

// Reader is who read the secret, and whether it was let.
type Reader struct {
	Principal string
	Outcome   string // "allowed" or an error code
}

// summarise adds what became of the database's secret.
func (w *World) summarise(ctx context.Context, s *Summary) error {
	s.Engine, s.Reads = w.Engine, map[Reader]int{}
	out, err := secretsmanager.NewFromConfig(w.Cloud.Config(Region)).ListSecretVersionIds(ctx,
		&secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String(SecretName), IncludeDeprecated: aws.Bool(true)})
	if err != nil {
		return fmt.Errorf("list the versions of %s: %w", SecretName, err)
	}
	for _, v := range out.Versions {
		s.Versions = append(s.Versions, Version{*v.VersionId, v.VersionStages})
	}
	return w.readTrail(ctx, out.ARN, s)
}

// readTrail counts what CloudTrail knows of the secret.
func (w *World) readTrail(ctx context.Context, arn *string, s *Summary) error {
	pages := cloudtrail.NewLookupEventsPaginator(cloudtrail.NewFromConfig(w.Cloud.Config(Region)), &cloudtrail.LookupEventsInput{
		LookupAttributes: []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyResourceName, AttributeValue: arn}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("look up the events of %s: %w", SecretName, err)
		}
		for _, event := range page.Events {
			if err := s.count(*event.EventName, *event.CloudTrailEvent); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Summary) count(name, record string) error {
	switch name {
	case "RotationSucceeded":
		s.Rotations++
	case "RotationFailed", "RotationAbandoned":
		s.Failed++
	case "GetSecretValue":
		var event struct {
			ErrorCode    string
			UserIdentity struct {
				ARN            string
				SessionContext struct{ SessionIssuer struct{ ARN string } }
			}
		}
		if err := json.Unmarshal([]byte(record), &event); err != nil {
			return fmt.Errorf("read an event of the trail: %w", err)
		}
		r := Reader{Principal: event.UserIdentity.SessionContext.SessionIssuer.ARN, Outcome: "allowed"}
		if r.Principal == "" {
			r.Principal = event.UserIdentity.ARN
		}
		switch event.ErrorCode {
		case "":
		case "ResourceNotFoundException":
			// Each rotation looks whether an earlier try stored a pending value.
			r.Outcome = "found no pending value yet"
		default:
			r.Outcome = event.ErrorCode
		}
		s.Reads[r]++
	}
	return nil
}

// FunctionLog returns what the rotation function has logged.
func (w *World) FunctionLog(ctx context.Context) ([]string, error) {
	var lines []string
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(cloudwatchlogs.NewFromConfig(w.Cloud.Config(Region)),
		&cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/" + Rotator)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the log of %s: %w", Rotator, err)
		}
		for _, event := range page.Events {
			lines = append(lines, strings.TrimRight(*event.Message, "\n"))
		}
	}
	return lines, nil
}

// Check returns what is wrong with how the story ended, or nil.
func (s Summary) Check(rotations int) error {
	var errs []error
	if s.Rotations != rotations || s.Failed != 0 {
		errs = append(errs, fmt.Errorf("%d rotations succeeded and %d failed, wanted %d and 0", s.Rotations, s.Failed, rotations))
	}
	if len(s.Failures) > 0 {
		errs = append(errs, fmt.Errorf("%d logins failed, the first with: %s", len(s.Failures), s.Failures[0]))
	}
	if len(s.Logins) != 2 && rotations > 1 {
		errs = append(errs, fmt.Errorf("the client logged in as %v, wanted two users", slices.Sorted(maps.Keys(s.Logins))))
	}
	if len(s.Migration.Failures) > 0 {
		errs = append(errs, fmt.Errorf("%d invocations failed in the migration, the first with: %s", len(s.Migration.Failures), s.Migration.Failures[0]))
	}
	if len(s.Before.Plaintext) == 0 || len(s.After.Plaintext) > 0 || s.Migration.Left > 0 {
		errs = append(errs, fmt.Errorf("the audits found %v in plaintext before the migration and %v after it, and %d secrets are left",
			s.Before.Plaintext, s.After.Plaintext, s.Migration.Left))
	}
	return errors.Join(errs...)
}

// String is the summary for people.
func (s Summary) String() string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	row := func(format string, args ...any) { fmt.Fprintf(table, format+"\n", args...) }
	row("\nSummary\t")
	row("  deployed by\t%s", s.Engine)
	row("  migration\t%d secrets moved, %d left in plaintext, %d checks passed", s.Migration.Secrets, s.Migration.Left, s.Migration.Checks)
	row("    answers meanwhile\t%d, %d failed", s.Migration.Answers, len(s.Migration.Failures))
	row("  audit before\t%s", s.Before)
	row("  audit after\t%s", s.After)
	row("    its page\t%s", s.After.Report)
	row("  rotations\t%d succeeded, %d failed", s.Rotations, s.Failed)
	row("  logins\t%d", total(s.Logins))
	for _, user := range slices.Sorted(maps.Keys(s.Logins)) {
		row("    as %s\t%d", user, s.Logins[user])
	}
	row("  failed logins\t%d", len(s.Failures))
	row("  cache\t%d reads, %d calls to Secrets Manager, %d of them after a refused login",
		s.Cache.Hits+s.Cache.Misses, s.Cache.Fetches, s.Cache.Refreshes)
	row("  API key\t%s", s.Key)
	row("  region lost\tfirst read of a replica after %d ms", s.Loss.FirstRead.Milliseconds())
	row("    drill\t%s", s.Loss)
	row("  versions\t%d", len(s.Versions))
	for _, v := range s.Versions {
		stages := strings.Join(v.Stages, ", ")
		if stages == "" {
			stages = "no label"
		}
		row("    %.8s…\t%s", v.ID, stages)
	}
	row("  reads in the trail\t(it goes 90 days back)")
	for _, r := range slices.SortedFunc(maps.Keys(s.Reads), func(a, b Reader) int {
		return strings.Compare(a.Principal+a.Outcome, b.Principal+b.Outcome)
	}) {
		row("    %s\t%d %s", r.Principal[strings.LastIndexByte(r.Principal, '/')+1:], s.Reads[r], r.Outcome)
	}
	_ = table.Flush() // a strings.Builder takes everything
	b.WriteString("\nWhat to try next\n")
	if s.Engine == mockEngine {
		b.WriteString("  go tool mage tools:install   builds the Pulumi CLI (5 to 10 minutes); the demo then uses the real engine\n")
	}
	b.WriteString("  go tool mage local:start     the emulator as a server, for the aws CLI and any SDK\n")
	b.WriteString("  go tool mage test            all tests\n")
	return b.String()
}
