package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func deletionCases() []testCase {
	remove := func(p *probe, in sm.DeleteSecretInput) (*sm.DeleteSecretOutput, error) {
		in.SecretId = p.name("s")
		return p.sm.DeleteSecret(p.ctx, &in)
	}
	return []testCase{
		{service: secretsManager, name: "delete waits 30 days", run: func(p *probe) {
			p.create(p.name("s"), "1")
			out, err := remove(p, sm.DeleteSecretInput{})
			require.NoError(p, err)
			assert.WithinDuration(p, time.Now().AddDate(0, 0, 30), *out.DeletionDate, 26*time.Hour)
			require.NotNil(p, p.describe(p.name("s")).DeletedDate)
		}},
		{service: secretsManager, name: "delete waits as long as told", run: func(p *probe) {
			p.create(p.name("s"), "1")
			out, err := remove(p, sm.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(7)})
			require.NoError(p, err)
			assert.WithinDuration(p, time.Now().AddDate(0, 0, 7), *out.DeletionDate, 26*time.Hour)
		}},
		{service: secretsManager, name: "delete with a window out of range", run: func(p *probe) {
			p.create(p.name("s"), "1")
			for _, days := range []int64{0, 6, 31} {
				_, err := remove(p, sm.DeleteSecretInput{RecoveryWindowInDays: &days})
				p.fails(err, "InvalidParameterException", "RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
			}
		}},
		{service: secretsManager, name: "delete by force with a window", run: func(p *probe) {
			p.create(p.name("s"), "1")
			_, err := remove(p, sm.DeleteSecretInput{RecoveryWindowInDays: aws.Int64(7), ForceDeleteWithoutRecovery: aws.Bool(true)})
			p.fails(err, "InvalidParameterException", "ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays")
		}},
		{service: secretsManager, name: "delete by force", run: func(p *probe) {
			first := p.create(p.name("s"), "1")
			_, err := remove(p, sm.DeleteSecretInput{ForceDeleteWithoutRecovery: aws.Bool(true)})
			require.NoError(p, err)
			_, err = p.sm.DescribeSecret(p.ctx, &sm.DescribeSecretInput{SecretId: p.name("s")})
			p.fails(err, "ResourceNotFoundException", notFound)
			second := p.create(p.name("s"), "1")
			require.NotEqual(p, *first.ARN, *second.ARN)
		}},
		{service: secretsManager, name: "delete by force what isn't there", run: func(p *probe) {
			_, err := remove(p, sm.DeleteSecretInput{ForceDeleteWithoutRecovery: aws.Bool(true)})
			require.NoError(p, err)
		}},
		{service: secretsManager, name: "delete by force what is scheduled", run: func(p *probe) {
			p.create(p.name("s"), "1")
			_, err := remove(p, sm.DeleteSecretInput{})
			require.NoError(p, err)
			_, err = remove(p, sm.DeleteSecretInput{ForceDeleteWithoutRecovery: aws.Bool(true)})
			require.NoError(p, err)
		}},
		{service: secretsManager, name: "a scheduled secret can't be used", run: func(p *probe) {
			id := p.name("s")
			p.create(id, "1")
			_, err := remove(p, sm.DeleteSecretInput{})
			require.NoError(p, err)
			_, err = p.sm.PutSecretValue(p.ctx, &sm.PutSecretValueInput{SecretId: id, SecretString: aws.String("2")})
			p.fails(err, "InvalidRequestException", deleted)
			_, err = p.sm.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: id})
			p.fails(err, "InvalidRequestException", "")
		}, moto: &difference{"takes a new value for it", "[PutSecretValue](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html): InvalidRequestException: the secret is scheduled for deletion"}},
		{service: secretsManager, name: "a scheduled secret can't be changed", run: func(p *probe) {
			id := p.name("s")
			p.create(id, "1")
			_, err := remove(p, sm.DeleteSecretInput{})
			require.NoError(p, err)
			_, err = p.sm.UpdateSecret(p.ctx, &sm.UpdateSecretInput{SecretId: id, Description: aws.String("d")})
			p.fails(err, "InvalidRequestException", deleted)
			_, err = p.sm.RotateSecret(p.ctx, &sm.RotateSecretInput{SecretId: id})
			p.fails(err, "InvalidRequestException", "")
			_, err = p.sm.DeleteSecret(p.ctx, &sm.DeleteSecretInput{SecretId: id})
			p.fails(err, "InvalidRequestException", "")
		}},
		{service: secretsManager, name: "a scheduled secret can't be tagged", run: func(p *probe) {
			id := p.name("s")
			p.create(id, "1")
			_, err := remove(p, sm.DeleteSecretInput{})
			require.NoError(p, err)
			_, err = p.sm.TagResource(p.ctx, &sm.TagResourceInput{SecretId: id, Tags: []types.Tag{tag("a", "b")}})
			p.fails(err, "InvalidRequestException", deleted)
			_, err = p.sm.UntagResource(p.ctx, &sm.UntagResourceInput{SecretId: id, TagKeys: []string{"a"}})
			p.fails(err, "InvalidRequestException", deleted)
		}, moto: &difference{"tags it", "[TagResource](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_TagResource.html): InvalidRequestException: the secret is scheduled for deletion"}},
		{service: secretsManager, name: "a scheduled name can't be created", run: func(p *probe) {
			p.create(p.name("s"), "1")
			_, err := remove(p, sm.DeleteSecretInput{})
			require.NoError(p, err)
			_, err = p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{Name: p.name("s"), SecretString: aws.String("1")})
			p.fails(err, "InvalidRequestException", "You can't create this secret because a secret with this name is already scheduled for deletion.")
		}, moto: &difference{"answers ResourceExistsException", "[CreateSecret](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html): InvalidRequestException: the secret is scheduled for deletion"}},
		{service: secretsManager, name: "restore", run: func(p *probe) {
			out := p.create(p.name("s"), "1")
			_, err := remove(p, sm.DeleteSecretInput{})
			require.NoError(p, err)
			restored, err := p.sm.RestoreSecret(p.ctx, &sm.RestoreSecretInput{SecretId: p.name("s")})
			require.NoError(p, err)
			p.equal(*out.ARN, *restored.ARN)
			p.equal("1", *p.get(p.name("s")).SecretString)
			require.Nil(p, p.describe(p.name("s")).DeletedDate)
		}},
		{service: secretsManager, name: "restore what isn't scheduled", run: func(p *probe) {
			p.create(p.name("s"), "1")
			_, err := p.sm.RestoreSecret(p.ctx, &sm.RestoreSecretInput{SecretId: p.name("s")})
			require.NoError(p, err)
		}},
	}
}

// names lists with filters, only the names of the case at hand, without its
// prefix.
func (p *probe) names(filters ...types.Filter) []string {
	var names []string
	pager := sm.NewListSecretsPaginator(p.sm, &sm.ListSecretsInput{Filters: filters, MaxResults: aws.Int32(100)})
	for pager.HasMorePages() {
		out, err := pager.NextPage(p.ctx)
		require.NoError(p, err)
		for _, s := range out.SecretList {
			if name, ok := strings.CutPrefix(*s.Name, p.prefix+"/"); ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func filter(key types.FilterNameStringType, values ...string) types.Filter {
	return types.Filter{Key: key, Values: values}
}

func listCases() []testCase {
	make3 := func(p *probe) {
		for _, s := range []struct{ name, description, key, value string }{
			{"alpha", "Master password of Alpha", "Team", "Payments"},
			{"beta", "api key", "Team", "Search"},
			{"gamma", "", "Owner", "payments"},
		} {
			in := &sm.CreateSecretInput{Name: p.name(s.name), SecretString: aws.String("v"), Tags: []types.Tag{tag(s.key, s.value)}}
			if s.description != "" {
				in.Description = &s.description
			}
			_, err := p.sm.CreateSecret(p.ctx, in)
			require.NoError(p, err)
		}
	}
	want := func(p *probe, names []string, filters ...types.Filter) {
		require.ElementsMatch(p, names, p.names(filters...))
	}
	return []testCase{
		{service: secretsManager, name: "list shows what describe shows", run: func(p *probe) {
			created, err := p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{Name: p.name("s"), SecretString: aws.String("v"), Description: aws.String("d"), Tags: []types.Tag{tag("a", "b")}})
			require.NoError(p, err)
			out, err := p.sm.ListSecrets(p.ctx, &sm.ListSecretsInput{Filters: []types.Filter{filter("name", *p.name("s"))}})
			require.NoError(p, err)
			require.Len(p, out.SecretList, 1)
			s := out.SecretList[0]
			p.equal(*created.ARN, *s.ARN)
			p.equal("d", *s.Description)
			p.equal([]types.Tag{tag("a", "b")}, s.Tags)
			p.equal(map[string][]string{*created.VersionId: {"AWSCURRENT"}}, s.SecretVersionsToStages)
			require.NotNil(p, s.CreatedDate)
		}},
		{service: secretsManager, name: "list by name: prefix, with case", run: func(p *probe) {
			make3(p)
			want(p, []string{"alpha"}, filter("name", *p.name("al")))
			want(p, nil, filter("name", *p.name("AL")))
			want(p, nil, filter("name", "alpha"))
		}},
		{service: secretsManager, name: "list by several values of one filter", run: func(p *probe) {
			make3(p)
			want(p, []string{"alpha", "beta"}, filter("name", *p.name("al"), *p.name("be")))
		}},
		{service: secretsManager, name: "list by several filters", run: func(p *probe) {
			make3(p)
			want(p, []string{"beta"}, filter("tag-key", "Team"), filter("name", *p.name("b"), *p.name("g")))
		}},
		{service: secretsManager, name: "list by negation", run: func(p *probe) {
			make3(p)
			want(p, []string{"beta", "gamma"}, filter("name", "!"+*p.name("al")))
			want(p, []string{"gamma"}, filter("tag-key", "!Team"))
		}},
		{service: secretsManager, name: "list by description: without case", run: func(p *probe) {
			make3(p)
			want(p, []string{"alpha"}, filter("description", "master"))
			want(p, []string{"beta"}, filter("description", "API K"))
		}, moto: &difference{"matches words, not the beginning", "[Filter](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html): description: prefix match, not case-sensitive"}},
		{service: secretsManager, name: "list by description: prefix", run: func(p *probe) {
			make3(p)
			want(p, nil, filter("description", "password"))
		}, moto: &difference{"matches any word of the description", "[Filter](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html): description: prefix match, not case-sensitive"}},
		{service: secretsManager, name: "list by tag key and value: with case", run: func(p *probe) {
			make3(p)
			want(p, []string{"alpha", "beta"}, filter("tag-key", "Te"))
			want(p, nil, filter("tag-key", "te"))
			want(p, []string{"alpha"}, filter("tag-value", "Pay"))
			want(p, []string{"gamma"}, filter("tag-value", "pay"))
		}},
		{service: secretsManager, name: "list by all: words, without case", run: func(p *probe) {
			make3(p)
			want(p, []string{"alpha", "gamma"}, filter("all", "PAYMENTS"))
			want(p, []string{"alpha"}, filter("all", "password"))
		}},
		{service: secretsManager, name: "list by primary region", run: func(p *probe) {
			_, err := p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{Name: p.name("replicated"), SecretString: aws.String("v"), AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(drRegion)}}})
			require.NoError(p, err)
			p.create(p.name("single"), "v")
			want(p, []string{"replicated"}, filter("primary-region", region))
		}},
		{service: secretsManager, name: "list by owning service", run: func(p *probe) {
			p.create(p.name("s"), "v")
			want(p, nil, filter("owning-service", "rds"))
		}},
		{service: secretsManager, name: "list by an unknown key", run: func(p *probe) {
			_, err := p.sm.ListSecrets(p.ctx, &sm.ListSecretsInput{Filters: []types.Filter{filter("colour", "red")}})
			p.fails(err, "ValidationException", "Member must satisfy enum value set")
		}},
		{service: secretsManager, name: "list without a filter's values", run: func(p *probe) {
			_, err := p.sm.ListSecrets(p.ctx, &sm.ListSecretsInput{Filters: []types.Filter{{Key: "name", Values: []string{}}}})
			require.Error(p, err)
		}, moto: &difference{"ignores the filter", "[Filter](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html): Values has at least 1 item"}},
		{service: secretsManager, name: "list leaves out what is scheduled for deletion", run: func(p *probe) {
			p.create(p.name("s"), "v")
			_, err := p.sm.DeleteSecret(p.ctx, &sm.DeleteSecretInput{SecretId: p.name("s")})
			require.NoError(p, err)
			require.Empty(p, p.names())
			out, err := p.sm.ListSecrets(p.ctx, &sm.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true), Filters: []types.Filter{filter("name", *p.name("s"))}})
			require.NoError(p, err)
			require.Len(p, out.SecretList, 1)
			require.NotNil(p, out.SecretList[0].DeletedDate)
		}},
		{service: secretsManager, name: "list in pages", run: func(p *probe) {
			for i := range 7 {
				p.create(p.name(fmt.Sprint(i)), "v")
			}
			seen := map[string]bool{}
			pages := 0
			pager := sm.NewListSecretsPaginator(p.sm, &sm.ListSecretsInput{MaxResults: aws.Int32(3), Filters: []types.Filter{filter("name", p.prefix)}})
			for pager.HasMorePages() {
				out, err := pager.NextPage(p.ctx)
				require.NoError(p, err)
				for _, s := range out.SecretList {
					seen[*s.Name] = true
				}
				pages++
			}
			require.Len(p, seen, 7)
			p.equal(3, pages)
		}},
		{service: secretsManager, name: "list with a bad token", run: func(p *probe) {
			_, err := p.sm.ListSecrets(p.ctx, &sm.ListSecretsInput{NextToken: aws.String("no token")})
			p.fails(err, "InvalidNextTokenException", "")
		}, moto: &difference{"answers 500", "[ListSecrets](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html): InvalidNextTokenException"}},
		{service: secretsManager, name: "list with too many a page", run: func(p *probe) {
			_, err := p.sm.ListSecrets(p.ctx, &sm.ListSecretsInput{MaxResults: aws.Int32(101)})
			p.fails(err, "ValidationException", "Member must have value less than or equal to 100")
		}, moto: &difference{"takes any number", "[ListSecrets](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html): MaxResults is at most 100"}},
		{service: secretsManager, name: "list sorted by name", run: func(p *probe) {
			for _, s := range []string{"b", "c", "a"} {
				p.create(p.name(s), "v")
			}
			for order, want := range map[types.SortOrderType]string{"asc": "abc", "desc": "cba"} {
				out, err := p.sm.ListSecrets(p.ctx, &sm.ListSecretsInput{SortBy: "name", SortOrder: order, Filters: []types.Filter{filter("name", p.prefix)}})
				require.NoError(p, err)
				got := ""
				for _, s := range out.SecretList {
					got += (*s.Name)[len(p.prefix)+1:]
				}
				p.equal(want, got)
			}
		}, moto: &difference{"ignores SortBy", "[ListSecrets](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html): SortBy and SortOrder"}},
	}
}

func batchCases() []testCase {
	batch := func(p *probe, in sm.BatchGetSecretValueInput) (*sm.BatchGetSecretValueOutput, error) {
		return p.sm.BatchGetSecretValue(p.ctx, &in)
	}
	return []testCase{
		{service: secretsManager, name: "batch by ids", run: func(p *probe) {
			p.create(p.name("a"), "1")
			arn := p.create(p.name("b"), "2").ARN
			out, err := batch(p, sm.BatchGetSecretValueInput{SecretIdList: []string{*p.name("a"), *arn}})
			require.NoError(p, err)
			require.Len(p, out.SecretValues, 2)
			require.Empty(p, out.Errors)
			values := map[string]string{}
			for _, v := range out.SecretValues {
				values[*v.Name] = *v.SecretString
			}
			p.equal(map[string]string{*p.name("a"): "1", *p.name("b"): "2"}, values)
		}},
		{service: secretsManager, name: "batch with an unknown id", run: func(p *probe) {
			p.create(p.name("a"), "1")
			out, err := batch(p, sm.BatchGetSecretValueInput{SecretIdList: []string{*p.name("a"), *p.name("none")}})
			require.NoError(p, err)
			require.Len(p, out.SecretValues, 1)
			require.Len(p, out.Errors, 1)
			p.equal("ResourceNotFoundException", *out.Errors[0].ErrorCode)
			p.equal(*p.name("none"), *out.Errors[0].SecretId)
		}},
		{service: secretsManager, name: "batch by filter", run: func(p *probe) {
			p.create(p.name("a"), "1")
			p.create(p.name("b"), "2")
			out, err := batch(p, sm.BatchGetSecretValueInput{Filters: []types.Filter{filter("name", p.prefix)}})
			require.NoError(p, err)
			require.Len(p, out.SecretValues, 2)
		}},
		{service: secretsManager, name: "batch by filter in pages", run: func(p *probe) {
			for i := range 5 {
				p.create(p.name(fmt.Sprint(i)), "1")
			}
			n := 0
			pager := sm.NewBatchGetSecretValuePaginator(p.sm, &sm.BatchGetSecretValueInput{Filters: []types.Filter{filter("name", p.prefix)}, MaxResults: aws.Int32(2)})
			for pager.HasMorePages() {
				out, err := pager.NextPage(p.ctx)
				require.NoError(p, err)
				n += len(out.SecretValues)
			}
			p.equal(5, n)
		}},
		{service: secretsManager, name: "batch by ids and filter", run: func(p *probe) {
			_, err := batch(p, sm.BatchGetSecretValueInput{SecretIdList: []string{"a"}, Filters: []types.Filter{filter("name", "a")}})
			p.fails(err, "InvalidParameterException", "Either 'SecretIdList' or 'Filters' must be provided, but not both.")
		}},
		{service: secretsManager, name: "batch by nothing", run: func(p *probe) {
			_, err := batch(p, sm.BatchGetSecretValueInput{})
			p.fails(err, "InvalidParameterException", "")
		}, moto: &difference{"answers with nothing", "[BatchGetSecretValue](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html): you must include Filters or SecretIdList, but not both"}},
		{service: secretsManager, name: "batch of 21 ids", run: func(p *probe) {
			_, err := batch(p, sm.BatchGetSecretValueInput{SecretIdList: make([]string, 21)})
			p.fails(err, "ValidationException", "Member must have length less than or equal to 20")
		}, moto: &difference{"takes any number", "[BatchGetSecretValue](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html): SecretIdList has at most 20 items"}},
	}
}

func tagCases() []testCase {
	return []testCase{
		{service: secretsManager, name: "tag and untag", run: func(p *probe) {
			id := p.name("s")
			p.create(id, "v")
			_, err := p.sm.TagResource(p.ctx, &sm.TagResourceInput{SecretId: id, Tags: []types.Tag{tag("a", "1"), tag("b", "2")}})
			require.NoError(p, err)
			_, err = p.sm.TagResource(p.ctx, &sm.TagResourceInput{SecretId: id, Tags: []types.Tag{tag("a", "3")}})
			require.NoError(p, err)
			require.ElementsMatch(p, []types.Tag{tag("a", "3"), tag("b", "2")}, p.describe(id).Tags)
			_, err = p.sm.UntagResource(p.ctx, &sm.UntagResourceInput{SecretId: id, TagKeys: []string{"a", "none"}})
			require.NoError(p, err)
			p.equal([]types.Tag{tag("b", "2")}, p.describe(id).Tags)
		}},
		{service: secretsManager, name: "tag with a reserved key", run: func(p *probe) {
			p.create(p.name("s"), "v")
			_, err := p.sm.TagResource(p.ctx, &sm.TagResourceInput{SecretId: p.name("s"), Tags: []types.Tag{tag("aws:x", "1")}})
			p.fails(err, "InvalidParameterException", "")
		}, moto: &difference{"takes it", "[TagResource](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_TagResource.html): do not use the aws: prefix in tag names"}},
		{service: secretsManager, name: "51 tags", run: func(p *probe) {
			p.create(p.name("s"), "v")
			var tags []types.Tag
			for i := range 51 {
				tags = append(tags, tag(fmt.Sprint(i), "x"))
			}
			_, err := p.sm.TagResource(p.ctx, &sm.TagResourceInput{SecretId: p.name("s"), Tags: tags})
			p.fails(err, "InvalidParameterException", "")
		}, moto: &difference{"takes any number", "[TagResource](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_TagResource.html): at most 50 tags per secret"}},
	}
}
