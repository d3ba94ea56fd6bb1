package conformance

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/require"
)

const secretsManager = "Secrets Manager"

const (
	notFound = "Secrets Manager can't find the specified secret."
	deleted  = "You can't perform this operation on the secret because it was marked for deletion."
)

func token(n byte) *string { return aws.String(strings.Repeat(string('a'+rune(n)), 32)) }

func secretCases() []testCase {
	return []testCase{
		{service: secretsManager, name: "create with a string", run: func(p *probe) {
			out := p.create(p.name("s"), "v")
			require.Regexp(p, `^arn:aws:secretsmanager:us-east-1:123456789012:secret:`+*p.name("s")+`-[A-Za-z0-9]{6}$`, *out.ARN)
			p.equal(*p.name("s"), *out.Name)
			got := p.get(out.Name)
			p.equal("v", *got.SecretString)
			require.Nil(p, got.SecretBinary)
			p.equal(*out.VersionId, *got.VersionId)
			p.equal([]string{"AWSCURRENT"}, got.VersionStages)
			require.NotNil(p, got.CreatedDate)
		}},
		{service: secretsManager, name: "create with bytes", run: func(p *probe) {
			data := []byte{0, 1, 255}
			_, err := p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{Name: p.name("s"), SecretBinary: data})
			require.NoError(p, err)
			got := p.get(p.name("s"))
			p.equal(data, got.SecretBinary)
			require.Nil(p, got.SecretString)
		}},
		{service: secretsManager, name: "create without a value", run: func(p *probe) {
			out := p.create(p.name("s"), "")
			require.Nil(p, out.VersionId)
			_, err := p.sm.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s")})
			p.fails(err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT")
		}},
		{service: secretsManager, name: "create with both kinds of value", run: func(p *probe) {
			_, err := p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{Name: p.name("s"), SecretString: aws.String("v"), SecretBinary: []byte("v")})
			p.fails(err, "InvalidParameterException", "")
		}, moto: &difference{"takes both", "[CreateSecret](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html): either SecretString or SecretBinary, but not both"}},
		{service: secretsManager, name: "create uses the token as version id", run: func(p *probe) {
			out, err := p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{Name: p.name("s"), SecretString: aws.String("v"), ClientRequestToken: token(0)})
			require.NoError(p, err)
			p.equal(*token(0), *out.VersionId)
		}},
		{service: secretsManager, name: "create again with the same token and value", run: func(p *probe) {
			in := &sm.CreateSecretInput{Name: p.name("s"), SecretString: aws.String("v"), ClientRequestToken: token(0)}
			first, err := p.sm.CreateSecret(p.ctx, in)
			require.NoError(p, err)
			second, err := p.sm.CreateSecret(p.ctx, in)
			require.NoError(p, err)
			p.equal(*first.ARN, *second.ARN)
		}},
		{service: secretsManager, name: "create again with the same token and another value", run: func(p *probe) {
			in := &sm.CreateSecretInput{Name: p.name("s"), SecretString: aws.String("v"), ClientRequestToken: token(0)}
			_, err := p.sm.CreateSecret(p.ctx, in)
			require.NoError(p, err)
			in.SecretString = aws.String("w")
			_, err = p.sm.CreateSecret(p.ctx, in)
			p.fails(err, "ResourceExistsException", "")
		}},
		{service: secretsManager, name: "create a name that is there", run: func(p *probe) {
			p.create(p.name("s"), "v")
			_, err := p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{Name: p.name("s"), SecretString: aws.String("v")})
			p.fails(err, "ResourceExistsException", "The operation failed because the secret "+*p.name("s")+" already exists.")
		}},
		{service: secretsManager, name: "create with a bad name", run: func(p *probe) {
			for _, name := range []string{"a b", " ab", "a*b?", "ä", "a]"} {
				_, err := p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{Name: &name, SecretString: aws.String("v")})
				p.fails(err, "ValidationException", "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
			}
		}, moto: &difference{"creates secrets with any name", "[CreateSecret](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html): Name has ASCII letters, numbers and /_+=.@-"}},
		{service: secretsManager, name: "create with a name of 513 characters", run: func(p *probe) {
			_, err := p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{Name: aws.String(strings.Repeat("n", 513))})
			p.fails(err, "ValidationException", "Member must have length less than or equal to 512")
		}, moto: &difference{"creates it", "[CreateSecret](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html): Name has at most 512 characters"}},
		{service: secretsManager, name: "create with 64 KB", run: func(p *probe) {
			p.create(p.name("s"), strings.Repeat("x", 65536))
			_, err := p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{Name: p.name("t"), SecretString: aws.String(strings.Repeat("x", 65537))})
			p.fails(err, "ValidationException", "Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536")
		}, moto: &difference{"takes longer values", "[CreateSecret](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html): SecretString has at most 65536 bytes"}},
		{service: secretsManager, name: "create with a short token", run: func(p *probe) {
			_, err := p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{Name: p.name("s"), SecretString: aws.String("v"), ClientRequestToken: aws.String("short")})
			p.fails(err, "InvalidParameterException", "ClientRequestToken must be 32-64 characters long.")
		}},
		{service: secretsManager, name: "create with description and tags", run: func(p *probe) {
			_, err := p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{
				Name: p.name("s"), SecretString: aws.String("v"), Description: aws.String("what it is"),
				Tags: []types.Tag{tag("Owner", "us"), tag("Empty", "")},
			})
			require.NoError(p, err)
			d := p.describe(p.name("s"))
			p.equal("what it is", *d.Description)
			p.equal([]types.Tag{tag("Owner", "us"), tag("Empty", "")}, d.Tags)
		}},
		{service: secretsManager, name: "describe a new secret", run: func(p *probe) {
			out := p.create(p.name("s"), "v")
			d := p.describe(p.name("s"))
			p.equal(*out.ARN, *d.ARN)
			p.equal(map[string][]string{*out.VersionId: {"AWSCURRENT"}}, d.VersionIdsToStages)
			require.NotNil(p, d.CreatedDate)
			require.NotNil(p, d.LastChangedDate)
			require.Nil(p, d.DeletedDate)
			require.Nil(p, d.LastRotatedDate)
			require.Nil(p, d.PrimaryRegion)
			require.Empty(p, d.ReplicationStatus)
			require.Nil(p, d.OwningService)
		}},
		{service: secretsManager, name: "describe: no date of access before the first read", run: func(p *probe) {
			p.create(p.name("s"), "v")
			require.Nil(p, p.describe(p.name("s")).LastAccessedDate)
			p.get(p.name("s"))
			at := p.describe(p.name("s")).LastAccessedDate
			require.NotNil(p, at)
			p.equal("00:00:00", at.UTC().Format("15:04:05"))
		}, moto: &difference{"shows a date at once", "[DescribeSecret](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html): LastAccessedDate is omitted if the secret has never been retrieved in the Region"}},
		{service: secretsManager, name: "describe: rotation never configured", run: func(p *probe) {
			p.create(p.name("s"), "v")
			d := p.describe(p.name("s"))
			require.Nil(p, d.RotationEnabled)
			require.Nil(p, d.RotationRules)
			require.Nil(p, d.NextRotationDate)
		}},
		{service: secretsManager, name: "describe: the default key isn't shown", run: func(p *probe) {
			p.create(p.name("s"), "v")
			require.Nil(p, p.describe(p.name("s")).KmsKeyId)
		}},
		{service: secretsManager, name: "names that aren't there", run: func(p *probe) {
			id := p.name("none")
			_, err := p.sm.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: id})
			p.fails(err, "ResourceNotFoundException", notFound)
			_, err = p.sm.DescribeSecret(p.ctx, &sm.DescribeSecretInput{SecretId: id})
			p.fails(err, "ResourceNotFoundException", notFound)
			_, err = p.sm.PutSecretValue(p.ctx, &sm.PutSecretValueInput{SecretId: id, SecretString: aws.String("v")})
			p.fails(err, "ResourceNotFoundException", notFound)
			_, err = p.sm.UpdateSecret(p.ctx, &sm.UpdateSecretInput{SecretId: id, SecretString: aws.String("v")})
			p.fails(err, "ResourceNotFoundException", notFound)
			_, err = p.sm.ListSecretVersionIds(p.ctx, &sm.ListSecretVersionIdsInput{SecretId: id})
			p.fails(err, "ResourceNotFoundException", notFound)
			_, err = p.sm.TagResource(p.ctx, &sm.TagResourceInput{SecretId: id, Tags: []types.Tag{tag("a", "b")}})
			p.fails(err, "ResourceNotFoundException", notFound)
			_, err = p.sm.DeleteSecret(p.ctx, &sm.DeleteSecretInput{SecretId: id})
			p.fails(err, "ResourceNotFoundException", notFound)
			_, err = p.sm.RestoreSecret(p.ctx, &sm.RestoreSecretInput{SecretId: id})
			p.fails(err, "ResourceNotFoundException", notFound)
			_, err = p.sm.RotateSecret(p.ctx, &sm.RotateSecretInput{SecretId: id})
			p.fails(err, "ResourceNotFoundException", notFound)
			_, err = p.sm.GetResourcePolicy(p.ctx, &sm.GetResourcePolicyInput{SecretId: id})
			p.fails(err, "ResourceNotFoundException", notFound)
		}, moto: &difference{"answers 500 to ListSecretVersionIds", "[ListSecretVersionIds](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecretVersionIds.html): ResourceNotFoundException"}},
		{service: secretsManager, name: "find by ARN", run: func(p *probe) {
			out := p.create(p.name("s"), "v")
			p.equal("v", *p.get(out.ARN).SecretString)
		}},
		{service: secretsManager, name: "find by ARN without its suffix", run: func(p *probe) {
			out := p.create(p.name("s"), "v")
			p.equal("v", *p.get(aws.String((*out.ARN)[:len(*out.ARN)-7])).SecretString)
		}},
		{service: secretsManager, name: "find by an ARN with another suffix", run: func(p *probe) {
			out := p.create(p.name("s"), "v")
			_, err := p.sm.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: aws.String((*out.ARN)[:len(*out.ARN)-6] + "000000")})
			p.fails(err, "ResourceNotFoundException", notFound)
		}},
		{service: secretsManager, name: "a name that ends like an ARN's suffix", run: func(p *probe) {
			out := p.create(p.name("s-a1b2c3"), "v")
			p.equal("v", *p.get(p.name("s-a1b2c3")).SecretString)
			p.equal("v", *p.get(out.ARN).SecretString)
			_, err := p.sm.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: aws.String((*out.ARN)[:len(*out.ARN)-7])})
			p.fails(err, "ResourceNotFoundException", notFound)
		}, moto: &difference{"finds it by its partial ARN", "[user guide](https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen): Finding a secret from a partial ARN"}},
		{service: secretsManager, name: "regions are apart", run: func(p *probe) {
			p.create(p.name("s"), "v")
			_, err := p.smIn(drRegion).GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s")})
			p.fails(err, "ResourceNotFoundException", notFound)
		}},
		{service: secretsManager, name: "an ARN of another region", run: func(p *probe) {
			out := p.create(p.name("s"), "v")
			_, err := p.smIn(drRegion).GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: out.ARN})
			p.fails(err, "ResourceNotFoundException", notFound)
		}},
	}
}

func versionCases() []testCase {
	return []testCase{
		{service: secretsManager, name: "put moves AWSCURRENT and AWSPREVIOUS", run: func(p *probe) {
			first := *p.create(p.name("s"), "1").VersionId
			second := p.put(p.name("s"), "2")
			p.equal("2", *p.get(p.name("s")).SecretString)
			p.equal("1", *p.staged(p.name("s"), "AWSPREVIOUS").SecretString)
			p.stages(p.name("s"), first, "AWSPREVIOUS")
			third := p.put(p.name("s"), "3")
			p.stages(p.name("s"), second, "AWSPREVIOUS")
			p.stages(p.name("s"), third, "AWSCURRENT")
			p.stages(p.name("s"), first)
		}},
		{service: secretsManager, name: "put gives the labels of the reply", run: func(p *probe) {
			p.create(p.name("s"), "1")
			out, err := p.sm.PutSecretValue(p.ctx, &sm.PutSecretValueInput{SecretId: p.name("s"), SecretString: aws.String("2")})
			require.NoError(p, err)
			p.equal([]string{"AWSCURRENT"}, out.VersionStages)
		}},
		{service: secretsManager, name: "put as AWSPENDING leaves AWSCURRENT", run: func(p *probe) {
			first := *p.create(p.name("s"), "1").VersionId
			second := p.put(p.name("s"), "2", "AWSPENDING")
			p.equal("1", *p.get(p.name("s")).SecretString)
			p.equal("2", *p.staged(p.name("s"), "AWSPENDING").SecretString)
			p.stages(p.name("s"), first, "AWSCURRENT")
			p.stages(p.name("s"), second, "AWSPENDING")
		}},
		{service: secretsManager, name: "put with own labels moves them", run: func(p *probe) {
			p.create(p.name("s"), "1")
			second := p.put(p.name("s"), "2", "BLUE", "GREEN")
			third := p.put(p.name("s"), "3", "GREEN")
			p.stages(p.name("s"), second, "BLUE")
			p.stages(p.name("s"), third, "GREEN")
			p.equal("1", *p.get(p.name("s")).SecretString)
		}},
		{service: secretsManager, name: "put with AWSCURRENT and own labels", run: func(p *probe) {
			first := *p.create(p.name("s"), "1").VersionId
			second := p.put(p.name("s"), "2", "AWSCURRENT", "BLUE")
			p.stages(p.name("s"), first, "AWSPREVIOUS")
			p.stages(p.name("s"), second, "AWSCURRENT", "BLUE")
		}},
		{service: secretsManager, name: "the first version is AWSCURRENT in any case", run: func(p *probe) {
			p.create(p.name("s"), "")
			first := p.put(p.name("s"), "1", "AWSPENDING")
			p.stages(p.name("s"), first, "AWSCURRENT", "AWSPENDING")
		}},
		{service: secretsManager, name: "put again with the same token and value", run: func(p *probe) {
			p.create(p.name("s"), "1")
			in := &sm.PutSecretValueInput{SecretId: p.name("s"), SecretString: aws.String("2"), ClientRequestToken: token(0)}
			_, err := p.sm.PutSecretValue(p.ctx, in)
			require.NoError(p, err)
			p.put(p.name("s"), "3")
			_, err = p.sm.PutSecretValue(p.ctx, in)
			require.NoError(p, err)
			p.equal("3", *p.get(p.name("s")).SecretString)
		}},
		{service: secretsManager, name: "put again with the same token and another value", run: func(p *probe) {
			p.create(p.name("s"), "1")
			in := &sm.PutSecretValueInput{SecretId: p.name("s"), SecretString: aws.String("2"), ClientRequestToken: token(0)}
			_, err := p.sm.PutSecretValue(p.ctx, in)
			require.NoError(p, err)
			in.SecretString = aws.String("3")
			_, err = p.sm.PutSecretValue(p.ctx, in)
			p.fails(err, "ResourceExistsException", "You can't use ClientRequestToken "+*token(0)+" because that value is already in use for a version of secret")
			p.equal("2", *p.get(p.name("s")).SecretString)
		}},
		{service: secretsManager, name: "put the bytes of a string is another value", run: func(p *probe) {
			p.create(p.name("s"), "1")
			_, err := p.sm.PutSecretValue(p.ctx, &sm.PutSecretValueInput{SecretId: p.name("s"), SecretString: aws.String("2"), ClientRequestToken: token(0)})
			require.NoError(p, err)
			_, err = p.sm.PutSecretValue(p.ctx, &sm.PutSecretValueInput{SecretId: p.name("s"), SecretBinary: []byte("2"), ClientRequestToken: token(0)})
			p.fails(err, "ResourceExistsException", "")
		}},
		{service: secretsManager, name: "put without a value", run: func(p *probe) {
			p.create(p.name("s"), "1")
			_, err := p.sm.PutSecretValue(p.ctx, &sm.PutSecretValueInput{SecretId: p.name("s")})
			p.fails(err, "InvalidRequestException", "You must provide either SecretString or SecretBinary.")
		}},
		{service: secretsManager, name: "put with a token of 65 characters", run: func(p *probe) {
			p.create(p.name("s"), "1")
			_, err := p.sm.PutSecretValue(p.ctx, &sm.PutSecretValueInput{SecretId: p.name("s"), SecretString: aws.String("2"), ClientRequestToken: aws.String(strings.Repeat("t", 65))})
			p.fails(err, "InvalidParameterException", "ClientRequestToken must be 32-64 characters long.")
		}},
		{service: secretsManager, name: "put more than 20 labels", run: func(p *probe) {
			p.create(p.name("s"), "1")
			var labels []string
			for i := range 20 {
				labels = append(labels, "L"+string('A'+rune(i)))
			}
			_, err := p.sm.PutSecretValue(p.ctx, &sm.PutSecretValueInput{SecretId: p.name("s"), SecretString: aws.String("2"), VersionStages: labels})
			p.fails(err, "LimitExceededException", "")
		}, moto: &difference{"takes any number", "[user guide](https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html): 20 labels across all versions of a secret"}},
		{service: secretsManager, name: "get by version id", run: func(p *probe) {
			first := p.create(p.name("s"), "1").VersionId
			p.put(p.name("s"), "2")
			out, err := p.sm.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s"), VersionId: first})
			require.NoError(p, err)
			p.equal("1", *out.SecretString)
			p.equal([]string{"AWSPREVIOUS"}, out.VersionStages)
		}},
		{service: secretsManager, name: "get by version id and label", run: func(p *probe) {
			first := p.create(p.name("s"), "1").VersionId
			out, err := p.sm.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s"), VersionId: first, VersionStage: aws.String("AWSCURRENT")})
			require.NoError(p, err)
			p.equal("1", *out.SecretString)
		}},
		{service: secretsManager, name: "get by a version id and the label of another", run: func(p *probe) {
			first := p.create(p.name("s"), "1").VersionId
			p.put(p.name("s"), "2")
			_, err := p.sm.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s"), VersionId: first, VersionStage: aws.String("AWSCURRENT")})
			p.fails(err, "InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId.")
		}},
		{service: secretsManager, name: "get an unknown version", run: func(p *probe) {
			p.create(p.name("s"), "1")
			_, err := p.sm.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s"), VersionId: token(5)})
			p.fails(err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: "+*token(5))
		}},
		{service: secretsManager, name: "get an unknown label", run: func(p *probe) {
			p.create(p.name("s"), "1")
			_, err := p.sm.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s"), VersionStage: aws.String("AWSPREVIOUS")})
			p.fails(err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: AWSPREVIOUS")
		}, moto: &difference{"says that there is no such secret", "[GetSecretValue](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html): ResourceNotFoundException; the message names the label, as AWS's own rotation functions rely on"}},
		{service: secretsManager, name: "a version without labels can still be read", run: func(p *probe) {
			first := p.create(p.name("s"), "1").VersionId
			p.put(p.name("s"), "2")
			p.put(p.name("s"), "3")
			out, err := p.sm.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s"), VersionId: first})
			require.NoError(p, err)
			p.equal("1", *out.SecretString)
			require.Empty(p, out.VersionStages)
		}},
		{service: secretsManager, name: "list versions", run: func(p *probe) {
			p.create(p.name("s"), "1")
			p.put(p.name("s"), "2")
			p.put(p.name("s"), "3")
			out, err := p.sm.ListSecretVersionIds(p.ctx, &sm.ListSecretVersionIdsInput{SecretId: p.name("s")})
			require.NoError(p, err)
			require.Len(p, out.Versions, 2)
			out, err = p.sm.ListSecretVersionIds(p.ctx, &sm.ListSecretVersionIdsInput{SecretId: p.name("s"), IncludeDeprecated: aws.Bool(true)})
			require.NoError(p, err)
			require.Len(p, out.Versions, 3)
		}, moto: &difference{"lists versions without labels without being asked to", "[ListSecretVersionIds](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecretVersionIds.html): IncludeDeprecated: by default versions without staging labels are not included"}},
		{service: secretsManager, name: "list versions names the default key", run: func(p *probe) {
			p.create(p.name("s"), "1")
			out, err := p.sm.ListSecretVersionIds(p.ctx, &sm.ListSecretVersionIdsInput{SecretId: p.name("s")})
			require.NoError(p, err)
			p.equal([]string{"DefaultEncryptionKey"}, out.Versions[0].KmsKeyIds)
		}, moto: &difference{"leaves KmsKeyIds out", "[ListSecretVersionIds](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecretVersionIds.html): KmsKeyIds, the keys used to encrypt the version"}},
		{service: secretsManager, name: "list versions in pages", run: func(p *probe) {
			p.create(p.name("s"), "1")
			for range 4 {
				p.put(p.name("s"), "2")
			}
			n, pages := 0, 0
			pager := sm.NewListSecretVersionIdsPaginator(p.sm, &sm.ListSecretVersionIdsInput{SecretId: p.name("s"), MaxResults: aws.Int32(2), IncludeDeprecated: aws.Bool(true)})
			for pager.HasMorePages() {
				out, err := pager.NextPage(p.ctx)
				require.NoError(p, err)
				n += len(out.Versions)
				pages++
			}
			p.equal(5, n)
			p.equal(3, pages)
		}, moto: &difference{"ignores MaxResults", "[ListSecretVersionIds](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecretVersionIds.html): MaxResults and NextToken"}},
		{service: secretsManager, name: "update the value", run: func(p *probe) {
			p.create(p.name("s"), "1")
			out, err := p.sm.UpdateSecret(p.ctx, &sm.UpdateSecretInput{SecretId: p.name("s"), SecretString: aws.String("2"), ClientRequestToken: token(0)})
			require.NoError(p, err)
			p.equal(*token(0), *out.VersionId)
			p.equal("2", *p.get(p.name("s")).SecretString)
			p.equal("1", *p.staged(p.name("s"), "AWSPREVIOUS").SecretString)
		}},
		{service: secretsManager, name: "update the description makes no version", run: func(p *probe) {
			p.create(p.name("s"), "1")
			out, err := p.sm.UpdateSecret(p.ctx, &sm.UpdateSecretInput{SecretId: p.name("s"), Description: aws.String("new")})
			require.NoError(p, err)
			require.Nil(p, out.VersionId)
			d := p.describe(p.name("s"))
			p.equal("new", *d.Description)
			require.Len(p, d.VersionIdsToStages, 1)
		}},
		{service: secretsManager, name: "update keeps the description", run: func(p *probe) {
			_, err := p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{Name: p.name("s"), Description: aws.String("d"), SecretString: aws.String("1")})
			require.NoError(p, err)
			_, err = p.sm.UpdateSecret(p.ctx, &sm.UpdateSecretInput{SecretId: p.name("s"), SecretString: aws.String("2")})
			require.NoError(p, err)
			p.equal("d", *p.describe(p.name("s")).Description)
		}},
		{service: secretsManager, name: "update with the token of a version", run: func(p *probe) {
			p.create(p.name("s"), "1")
			in := &sm.UpdateSecretInput{SecretId: p.name("s"), SecretString: aws.String("2"), ClientRequestToken: token(0)}
			_, err := p.sm.UpdateSecret(p.ctx, in)
			require.NoError(p, err)
			in.SecretString = aws.String("3")
			_, err = p.sm.UpdateSecret(p.ctx, in)
			p.fails(err, "ResourceExistsException", "")
		}},
		{service: secretsManager, name: "update with the token and value of a version", run: func(p *probe) {
			p.create(p.name("s"), "1")
			in := &sm.UpdateSecretInput{SecretId: p.name("s"), SecretString: aws.String("2"), ClientRequestToken: token(0)}
			_, err := p.sm.UpdateSecret(p.ctx, in)
			require.NoError(p, err)
			_, err = p.sm.UpdateSecret(p.ctx, in)
			p.fails(err, "ResourceExistsException", "")
		}, moto: &difference{"does nothing, successfully", "[UpdateSecret](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecret.html): a ClientRequestToken that matches an existing version's VersionId results in an error"}},
	}
}

func stageCases() []testCase {
	move := func(p *probe, label string, from, to *string) error {
		_, err := p.sm.UpdateSecretVersionStage(p.ctx, &sm.UpdateSecretVersionStageInput{SecretId: p.name("s"), VersionStage: &label, RemoveFromVersionId: from, MoveToVersionId: to})
		return err
	}
	two := func(p *probe) (first, second *string) {
		first = p.create(p.name("s"), "1").VersionId
		second = aws.String(p.put(p.name("s"), "2", "AWSPENDING"))
		return first, second
	}
	return []testCase{
		{service: secretsManager, name: "move AWSCURRENT", run: func(p *probe) {
			first, second := two(p)
			require.NoError(p, move(p, "AWSCURRENT", first, second))
			p.stages(p.name("s"), *first, "AWSPREVIOUS")
			p.stages(p.name("s"), *second, "AWSCURRENT", "AWSPENDING")
			p.equal("2", *p.get(p.name("s")).SecretString)
		}, moto: &difference{"reads the former version when it is asked for no version", "[UpdateSecretVersionStage](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html): you can move AWSCURRENT to this version"}},
		{service: secretsManager, name: "move AWSCURRENT back", run: func(p *probe) {
			first, second := two(p)
			require.NoError(p, move(p, "AWSCURRENT", first, second))
			require.NoError(p, move(p, "AWSCURRENT", second, first))
			p.stages(p.name("s"), *first, "AWSCURRENT")
			p.stages(p.name("s"), *second, "AWSPREVIOUS", "AWSPENDING")
		}},
		{service: secretsManager, name: "move without naming the version that loses the label", run: func(p *probe) {
			first, second := two(p)
			p.fails(move(p, "AWSCURRENT", nil, second), "InvalidParameterException",
				"The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version "+*first+", so you must explicitly reference that version in RemoveFromVersionId.")
		}},
		{service: secretsManager, name: "move from a version without the label", run: func(p *probe) {
			_, second := two(p)
			p.fails(move(p, "AWSCURRENT", second, second), "InvalidParameterException", "")
		}},
		{service: secretsManager, name: "move to an unknown version", run: func(p *probe) {
			first, _ := two(p)
			err := move(p, "AWSCURRENT", first, token(9))
			require.Error(p, err)
			p.equal("1", *p.get(p.name("s")).SecretString)
		}},
		{service: secretsManager, name: "add a label", run: func(p *probe) {
			first, _ := two(p)
			require.NoError(p, move(p, "BLUE", nil, first))
			p.stages(p.name("s"), *first, "AWSCURRENT", "BLUE")
		}},
		{service: secretsManager, name: "add a label that is there", run: func(p *probe) {
			first, _ := two(p)
			require.NoError(p, move(p, "AWSCURRENT", nil, first))
			p.stages(p.name("s"), *first, "AWSCURRENT")
		}, moto: &difference{"refuses it", "[UpdateSecretVersionStage](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html): RemoveFromVersionId is needed only where the label is attached to a different version"}},
		{service: secretsManager, name: "remove a label", run: func(p *probe) {
			_, second := two(p)
			require.NoError(p, move(p, "AWSPENDING", second, nil))
			p.stages(p.name("s"), *second)
			_, err := p.sm.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s"), VersionStage: aws.String("AWSPENDING")})
			p.fails(err, "ResourceNotFoundException", "")
		}},
		{service: secretsManager, name: "remove AWSCURRENT", run: func(p *probe) {
			first, _ := two(p)
			p.fails(move(p, "AWSCURRENT", first, nil), "InvalidParameterException",
				"You can only move staging label AWSCURRENT to a different secret version.")
		}, moto: &difference{"removes it", "[user guide](https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html): a secret always has a version labeled AWSCURRENT"}},
		{service: secretsManager, name: "neither move nor remove", run: func(p *probe) {
			two(p)
			p.fails(move(p, "BLUE", nil, nil), "InvalidParameterException", "")
		}, moto: &difference{"does nothing, successfully", "[UpdateSecretVersionStage](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html): MoveToVersionId adds a label, RemoveFromVersionId removes one"}},
	}
}
