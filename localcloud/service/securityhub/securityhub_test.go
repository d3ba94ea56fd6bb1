package securityhub_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/securityhub"
	"github.com/aws/aws-sdk-go-v2/service/securityhub/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

const product = "arn:aws:securityhub:us-east-1:123456789012:product/123456789012/default"

func start(t *testing.T) (*localcloud.Cloud, *securityhub.Client) {
	cloud, err := localcloud.New(localcloud.WithStart(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	cfg := cloud.Config("us-east-1")
	cfg.RetryMaxAttempts = 1
	return cloud, securityhub.NewFromConfig(cfg)
}

func enable(t *testing.T, c *securityhub.Client) {
	_, err := c.EnableSecurityHub(t.Context(), &securityhub.EnableSecurityHubInput{EnableDefaultStandards: aws.Bool(false)})
	require.NoError(t, err)
}

func finding(id string) types.AwsSecurityFinding {
	return types.AwsSecurityFinding{
		SchemaVersion: aws.String("2018-10-08"), Id: &id, ProductArn: aws.String(product), GeneratorId: aws.String("rule"),
		AwsAccountId: aws.String("123456789012"), Types: []string{"Software and Configuration Checks"},
		CreatedAt: aws.String("2026-03-01T12:00:00Z"), UpdatedAt: aws.String("2026-03-01T12:00:00Z"),
		Severity: &types.Severity{Label: types.SeverityLabelHigh}, Title: aws.String("title"), Description: aws.String("text"),
		Resources: []types.Resource{{Type: aws.String("AwsSecretsManagerSecret"), Id: aws.String("arn:" + id)}},
	}
}

func code(t *testing.T, err error) string {
	t.Helper()
	var e smithy.APIError
	require.ErrorAs(t, err, &e)
	return e.ErrorCode()
}

func TestFindingsAreFoundAgain(t *testing.T) {
	cloud, c := start(t)
	_, err := c.GetFindings(t.Context(), &securityhub.GetFindingsInput{})
	assert.Equal(t, "InvalidAccessException", code(t, err), "nobody enabled it")
	enable(t, c)
	_, err = c.EnableSecurityHub(t.Context(), &securityhub.EnableSecurityHubInput{EnableDefaultStandards: aws.Bool(false)})
	assert.Equal(t, "ResourceConflictException", code(t, err))
	hub, err := c.DescribeHub(t.Context(), &securityhub.DescribeHubInput{})
	require.NoError(t, err)
	assert.Equal(t, "arn:aws:securityhub:us-east-1:123456789012:hub/default", *hub.HubArn)

	archived := finding("a")
	archived.RecordState = types.RecordStateArchived
	out, err := c.BatchImportFindings(t.Context(), &securityhub.BatchImportFindingsInput{Findings: []types.AwsSecurityFinding{archived, finding("b"), finding("c")}})
	require.NoError(t, err)
	assert.EqualValues(t, 3, *out.SuccessCount)
	find := func(filters *types.AwsSecurityFindingFilters) (ids []string) {
		pages := securityhub.NewGetFindingsPaginator(c, &securityhub.GetFindingsInput{Filters: filters, MaxResults: aws.Int32(1)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			require.NoError(t, err)
			for _, f := range page.Findings {
				ids = append(ids, *f.Id)
			}
		}
		return ids
	}
	equals := func(v string) []types.StringFilter {
		return []types.StringFilter{{Comparison: types.StringFilterComparisonEquals, Value: &v}}
	}
	assert.Equal(t, []string{"a", "b", "c"}, find(nil))
	assert.Equal(t, []string{"b", "c"}, find(&types.AwsSecurityFindingFilters{RecordState: equals("ACTIVE"), SeverityLabel: equals("HIGH")}))
	assert.Equal(t, []string{"c"}, find(&types.AwsSecurityFindingFilters{ResourceId: equals("arn:c")}))
	assert.Empty(t, find(&types.AwsSecurityFindingFilters{SeverityLabel: equals("LOW")}))
	got, err := c.GetFindings(t.Context(), &securityhub.GetFindingsInput{Filters: &types.AwsSecurityFindingFilters{Id: equals("b")}})
	require.NoError(t, err)
	assert.Equal(t, types.WorkflowStatusNew, got.Findings[0].Workflow.Status)
	assert.EqualValues(t, 70, *got.Findings[0].Severity.Normalized)
	assert.Equal(t, types.SeverityLabelHigh, got.Findings[0].FindingProviderFields.Severity.Label)
	assert.Empty(t, cloud.Unsupported())
}

func TestAnUpdateHasToBeNewer(t *testing.T) {
	_, c := start(t)
	enable(t, c)
	put := func(title, updated string) string {
		f := finding("a")
		f.Title, f.UpdatedAt = &title, &updated
		_, err := c.BatchImportFindings(t.Context(), &securityhub.BatchImportFindingsInput{Findings: []types.AwsSecurityFinding{f}})
		require.NoError(t, err)
		out, err := c.GetFindings(t.Context(), &securityhub.GetFindingsInput{})
		require.NoError(t, err)
		require.Len(t, out.Findings, 1)
		return *out.Findings[0].Title
	}
	assert.Equal(t, "first", put("first", "2026-03-01T12:00:00Z"))
	assert.Equal(t, "second", put("second", "2026-03-02T12:00:00Z"))
	assert.Equal(t, "second", put("third", "2026-03-02T12:00:00Z"))
}

func TestWhatIsNoFindingFailsAlone(t *testing.T) {
	_, c := start(t)
	enable(t, c)
	for problem, change := range map[string]func(*types.AwsSecurityFinding){
		"Types":         func(f *types.AwsSecurityFinding) { f.Types = nil },
		"Severity":      func(f *types.AwsSecurityFinding) { f.Severity = nil },
		"SchemaVersion": func(f *types.AwsSecurityFinding) { f.SchemaVersion = aws.String("2020-01-01") },
		"Title":         func(f *types.AwsSecurityFinding) { f.Title = aws.String(strings.Repeat("ü", 257)) },
		"UpdatedAt":     func(f *types.AwsSecurityFinding) { f.UpdatedAt = aws.String("yesterday") },
		"account":       func(f *types.AwsSecurityFinding) { f.AwsAccountId = aws.String("210987654321") },
		"default product": func(f *types.AwsSecurityFinding) {
			f.ProductArn = aws.String(strings.Replace(product, "east", "west", 1))
		},
		"Compliance": func(f *types.AwsSecurityFinding) { f.Compliance = &types.Compliance{Status: "BROKEN"} },
		"larger than": func(f *types.AwsSecurityFinding) {
			f.ProductFields = map[string]string{"k": strings.Repeat("x", 240<<10)}
		},
	} {
		bad := finding("bad")
		change(&bad)
		out, err := c.BatchImportFindings(t.Context(), &securityhub.BatchImportFindingsInput{Findings: []types.AwsSecurityFinding{finding("good"), bad}})
		require.NoError(t, err, problem)
		require.EqualValues(t, 1, *out.FailedCount, problem)
		assert.EqualValues(t, 1, *out.SuccessCount, problem)
		assert.Equal(t, "bad", *out.FailedFindings[0].Id)
		assert.Contains(t, *out.FailedFindings[0].ErrorMessage, problem)
	}
}

func TestTheLimitsOfAnImport(t *testing.T) {
	cloud, c := start(t)
	enable(t, c)
	many := make([]types.AwsSecurityFinding, 101)
	for i := range many {
		many[i] = finding(fmt.Sprint(i))
	}
	_, err := c.BatchImportFindings(t.Context(), &securityhub.BatchImportFindingsInput{Findings: many})
	assert.Equal(t, "InvalidInputException", code(t, err))
	_, err = c.BatchImportFindings(t.Context(), &securityhub.BatchImportFindingsInput{Findings: many[:100]})
	require.NoError(t, err)
	throttled := func() bool {
		for range 200 {
			if _, err := c.BatchImportFindings(t.Context(), &securityhub.BatchImportFindingsInput{Findings: many[:1]}); err != nil {
				return assert.Equal(t, "TooManyRequestsException", code(t, err))
			}
		}
		return false
	}
	assert.True(t, throttled(), "more than 10 calls a second")
	require.NoError(t, cloud.Advance(t.Context(), time.Minute))
	_, err = c.BatchImportFindings(t.Context(), &securityhub.BatchImportFindingsInput{Findings: many[:1]})
	require.NoError(t, err)
}

func TestOnlyWhoMayImports(t *testing.T) {
	cloud, c := start(t)
	enable(t, c)
	users := iam.NewFromConfig(cloud.Config("us-east-1"))
	_, err := users.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("u")})
	require.NoError(t, err)
	_, err = users.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("u"), PolicyName: aws.String("p"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"securityhub:BatchImportFindings","Resource":"` + product + `"}}`)})
	require.NoError(t, err)
	key, err := users.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("u")})
	require.NoError(t, err)
	u := securityhub.NewFromConfig(cloud.ConfigFor("us-east-1", *key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, ""))
	_, err = u.BatchImportFindings(t.Context(), &securityhub.BatchImportFindingsInput{Findings: []types.AwsSecurityFinding{finding("a")}})
	require.NoError(t, err)
	_, err = u.GetFindings(t.Context(), &securityhub.GetFindingsInput{})
	assert.Contains(t, code(t, err), "AccessDenied")
}
