package securityhub_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	hub "github.com/aws/aws-sdk-go-v2/service/securityhub"
	"github.com/aws/aws-sdk-go-v2/service/securityhub/types"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/policy"
	"github.com/aistudio/secrets/auditor/run"
	"github.com/aistudio/secrets/auditor/securityhub"
	"github.com/aistudio/secrets/auditor/state"
	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/sdk/spec"
)

// recorder stands where Security Hub is and refuses one finding.
type recorder struct {
	batches [][]types.AwsSecurityFinding
	refuses string // in a resource's id
}

func (r *recorder) BatchImportFindings(_ context.Context, in *hub.BatchImportFindingsInput, _ ...func(*hub.Options)) (*hub.BatchImportFindingsOutput, error) {
	r.batches = append(r.batches, append([]types.AwsSecurityFinding(nil), in.Findings...))
	out := &hub.BatchImportFindingsOutput{SuccessCount: aws.Int32(int32(len(in.Findings)))}
	for _, f := range in.Findings {
		if r.refuses != "" && strings.Contains(*f.Resources[0].Id, r.refuses) && *f.GeneratorId == "secrets-auditor/tags-missing" {
			*out.SuccessCount--
			out.FailedFindings = append(out.FailedFindings, types.ImportFindingsError{Id: f.Id, ErrorCode: aws.String("InvalidInput"), ErrorMessage: aws.String("too odd")})
		}
	}
	return out, nil
}

func TestImport(t *testing.T) {
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	client := secretsmanager.NewFromConfig(cloud.Config("us-east-1"))
	for i := range 80 {
		_, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(fmt.Sprintf("loose%02d", i)), SecretString: aws.String("canary")})
		require.NoError(t, err)
	}
	audit := func(store state.File) *run.Outcome {
		outcome, err := run.Run(t.Context(), run.Options{
			AWS: cloud.Config("us-east-1"), Environment: "prod", Regions: []string{"us-east-1"}, Policy: policy.Default(), Store: store,
			Scan: facts.Unknown[*spec.Scan]("none"), Now: time.Now(), Log: slog.New(slog.DiscardHandler), QuotaShare: 1000,
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, outcome.Close()) })
		return outcome
	}
	store := state.File(filepath.Join(t.TempDir(), "state"))
	outcome := audit(store)

	r := &recorder{refuses: "loose07"}
	imported, err := securityhub.Import(t.Context(), r, "us-east-1", outcome.Result)
	require.ErrorContains(t, err, "too odd")
	total := 0
	seen := map[string]bool{}
	var unjudged []string
	for _, batch := range r.batches {
		require.LessOrEqual(t, len(batch), 100, "what a call takes")
		total += len(batch)
		for _, f := range batch {
			require.False(t, seen[*f.Id], "twice")
			seen[*f.Id] = true
			for _, required := range []*string{f.AwsAccountId, f.CreatedAt, f.Description, f.GeneratorId, f.Id, f.ProductArn, f.SchemaVersion, f.Title, f.UpdatedAt} {
				require.NotEmpty(t, aws.ToString(required), "an attribute that ASFF requires")
			}
			require.NotEmpty(t, f.Severity.Label)
			require.NotEmpty(t, f.Resources[0].Type)
			require.Equal(t, f.Severity.Label, f.FindingProviderFields.Severity.Label, "what an import may change")
			if f.Compliance.Status == types.ComplianceStatusPassed {
				require.Equal(t, types.RecordStateArchived, f.RecordState)
				require.Equal(t, "AwsAccount", *f.Resources[0].Type, "a rule that could judge all")
				continue
			}
			require.Equal(t, types.RecordStateActive, f.RecordState)
			if f.Compliance.Status == types.ComplianceStatusNotAvailable {
				unjudged = append(unjudged, strings.TrimPrefix(*f.GeneratorId, "secrets-auditor/"))
				require.Equal(t, "AWS::::Account:"+localcloud.DefaultAccount, *f.Resources[0].Id, "one for each rule, which the next import can end")
			}
			require.NotContains(t, *f.Description, "canary")
		}
	}
	require.Equal(t, []string{"plaintext-lambda", "plaintext-ecs", "plaintext-ssm"}, unjudged)
	require.Greater(t, len(r.batches), 2)
	require.Equal(t, total-1, imported)

	_, err = client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("loose42"), ForceDeleteWithoutRecovery: aws.Bool(true)})
	require.NoError(t, err)
	require.NoError(t, cloud.Settle(t.Context()))
	r = &recorder{}
	_, err = securityhub.Import(t.Context(), r, "us-east-1", audit(store).Result)
	require.NoError(t, err)
	archived := 0
	for _, batch := range r.batches {
		for _, f := range batch {
			if f.RecordState == types.RecordStateArchived && *f.Resources[0].Type != "AwsAccount" {
				archived++
				require.Contains(t, *f.Resources[0].Id, "loose42")
				require.Equal(t, types.ComplianceStatusPassed, f.Compliance.Status)
				require.True(t, seen[*f.Id], "the finding keeps its id")
			}
		}
	}
	require.Equal(t, 3, archived)
}
