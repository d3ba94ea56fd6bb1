package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/archive"
)

// layerVersion is a version of a Lambda layer; its ID is the version's ARN. A
// version can't be changed, so every change publishes another one, and deletes
// this one unless SkipDestroy.
type layerVersion struct {
	ARN                      string           `json:"arn" prop:"out"`
	Code                     *archive.Archive `json:"code" prop:"in,asset,replace"`
	CodeSHA256               string           `json:"codeSha256" prop:"out"`
	CompatibleArchitectures  []string         `json:"compatibleArchitectures,omitempty" prop:"in,replace,set"`
	CompatibleRuntimes       []string         `json:"compatibleRuntimes,omitempty" prop:"in,replace,set"`
	CreatedDate              string           `json:"createdDate" prop:"out"`
	Description              string           `json:"description,omitempty" prop:"in,replace"`
	LayerARN                 string           `json:"layerArn" prop:"out"`
	LayerName                string           `json:"layerName" prop:"in,required,replace"`
	LicenseInfo              string           `json:"licenseInfo,omitempty" prop:"in,replace"`
	SigningJobARN            string           `json:"signingJobArn" prop:"out"`
	SigningProfileVersionARN string           `json:"signingProfileVersionArn" prop:"out"`
	SkipDestroy              bool             `json:"skipDestroy" prop:"in,writeonly,default=false"`
	SourceCodeHash           string           `json:"sourceCodeHash" prop:"in,out,replace"`
	SourceCodeSize           int64            `json:"sourceCodeSize" prop:"out"`
	Version                  string           `json:"version" prop:"out"`
}

func layerVersionKind() resourceType {
	return kind[layerVersion]{
		token:  "aws:lambda/layerVersion:LayerVersion",
		create: createLayerVersion,
		read:   readLayerVersion,
		// Only SkipDestroy can change, which is for the deletion.
		update: func(context.Context, *clients, string, *layerVersion, *layerVersion) error { return nil },
		remove: func(ctx context.Context, c *clients, id string, l *layerVersion) error {
			if l.SkipDestroy {
				return nil
			}
			name, number, err := splitLayerVersion(id)
			if err != nil {
				return err
			}
			_, err = c.lambda.DeleteLayerVersion(ctx, &lambda.DeleteLayerVersionInput{LayerName: &name, VersionNumber: &number})
			return err
		},
	}
}

func (l *layerVersion) takeAssets(from resource.PropertyMap) {
	if code, _ := plain(from["code"]); code != nil {
		l.Code, _ = code.(*archive.Archive)
	}
}

func createLayerVersion(ctx context.Context, c *clients, l *layerVersion) (string, error) {
	content, err := zipOf(l.Code)
	if err != nil {
		return "", err
	}
	input := &lambda.PublishLayerVersionInput{
		Content:     &lambdatypes.LayerVersionContentInput{ZipFile: content},
		Description: optional(l.Description),
		LayerName:   &l.LayerName,
		LicenseInfo: optional(l.LicenseInfo),
	}
	for _, architecture := range l.CompatibleArchitectures {
		input.CompatibleArchitectures = append(input.CompatibleArchitectures, lambdatypes.Architecture(architecture))
	}
	for _, runtime := range l.CompatibleRuntimes {
		input.CompatibleRuntimes = append(input.CompatibleRuntimes, lambdatypes.Runtime(runtime))
	}
	published, err := c.lambda.PublishLayerVersion(ctx, input)
	if err != nil {
		return "", err
	}
	return aws.ToString(published.LayerVersionArn), nil
}

func readLayerVersion(ctx context.Context, c *clients, id string, l *layerVersion) error {
	got, err := c.lambda.GetLayerVersionByArn(ctx, &lambda.GetLayerVersionByArnInput{Arn: &id})
	if err != nil {
		return gone[*lambdatypes.ResourceNotFoundException](err)
	}
	name, number, err := splitLayerVersion(id)
	if err != nil {
		return err
	}
	l.ARN, l.LayerARN, l.Version = id, aws.ToString(got.LayerArn), strconv.FormatInt(number, 10)
	l.LayerName = keepSpelling(l.LayerName, name[strings.LastIndex(name, ":")+1:], func(known, _ string) bool { return known == name })
	l.Description, l.LicenseInfo = aws.ToString(got.Description), aws.ToString(got.LicenseInfo)
	l.CreatedDate = aws.ToString(got.CreatedDate)
	l.CompatibleArchitectures, l.CompatibleRuntimes = nil, nil
	for _, architecture := range got.CompatibleArchitectures {
		l.CompatibleArchitectures = append(l.CompatibleArchitectures, string(architecture))
	}
	for _, runtime := range got.CompatibleRuntimes {
		l.CompatibleRuntimes = append(l.CompatibleRuntimes, string(runtime))
	}
	if content := got.Content; content != nil {
		l.CodeSHA256, l.SourceCodeSize = aws.ToString(content.CodeSha256), content.CodeSize
		if l.SourceCodeHash == "" {
			l.SourceCodeHash = l.CodeSHA256
		}
		l.SigningJobARN, l.SigningProfileVersionARN = aws.ToString(content.SigningJobArn), aws.ToString(content.SigningProfileVersionArn)
	}
	return nil
}

// splitLayerVersion splits a layer version's ARN into the layer's and the
// number.
func splitLayerVersion(arn string) (layer string, number int64, err error) {
	at := strings.LastIndex(arn, ":")
	if at < 0 {
		return "", 0, fmt.Errorf("%q is not the ARN of a layer version", arn)
	}
	number, err = strconv.ParseInt(arn[at+1:], 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not the ARN of a layer version", arn)
	}
	return arn[:at], number, nil
}

// layerPermission is a statement of a layer version's policy. Lambda can't
// change a statement, so every change replaces. Its ID is "<layer>,<version>".
type layerPermission struct {
	Action         string `json:"action" prop:"in,required,replace"`
	LayerName      string `json:"layerName" prop:"in,required,replace"`
	OrganizationID string `json:"organizationId,omitempty" prop:"in,replace"`
	Policy         string `json:"policy" prop:"out,json"`
	Principal      string `json:"principal" prop:"in,required,replace"`
	RevisionID     string `json:"revisionId" prop:"out"`
	SkipDestroy    bool   `json:"skipDestroy" prop:"in,writeonly,default=false"`
	StatementID    string `json:"statementId" prop:"in,required,replace"`
	VersionNumber  int64  `json:"versionNumber" prop:"in,required,replace"`
}

func layerPermissionKind() resourceType {
	return kind[layerPermission]{
		token: "aws:lambda/layerVersionPermission:LayerVersionPermission",
		create: func(ctx context.Context, c *clients, p *layerPermission) (string, error) {
			_, err := c.lambda.AddLayerVersionPermission(ctx, &lambda.AddLayerVersionPermissionInput{
				Action:         &p.Action,
				LayerName:      &p.LayerName,
				OrganizationId: optional(p.OrganizationID),
				Principal:      &p.Principal,
				StatementId:    &p.StatementID,
				VersionNumber:  &p.VersionNumber,
			})
			if err != nil {
				return "", err
			}
			return p.LayerName + "," + strconv.FormatInt(p.VersionNumber, 10), nil
		},
		read: readLayerPermission,
		// Only SkipDestroy can change, which is for the deletion.
		update: func(context.Context, *clients, string, *layerPermission, *layerPermission) error { return nil },
		remove: func(ctx context.Context, c *clients, _ string, p *layerPermission) error {
			if p.SkipDestroy {
				return nil
			}
			_, err := c.lambda.RemoveLayerVersionPermission(ctx, &lambda.RemoveLayerVersionPermissionInput{
				LayerName: &p.LayerName, StatementId: &p.StatementID, VersionNumber: &p.VersionNumber,
			})
			return unlessGone[*lambdatypes.ResourceNotFoundException](err)
		},
	}
}

func readLayerPermission(ctx context.Context, c *clients, id string, p *layerPermission) error {
	if p.LayerName == "" {
		return fmt.Errorf("a layer's permission can't be imported into the local cloud: its ID %q doesn't name the statement", id)
	}
	got, err := c.lambda.GetLayerVersionPolicy(ctx, &lambda.GetLayerVersionPolicyInput{LayerName: &p.LayerName, VersionNumber: &p.VersionNumber})
	if err != nil {
		return gone[*lambdatypes.ResourceNotFoundException](err)
	}
	var policy struct{ Statement []statement }
	if err := json.Unmarshal([]byte(aws.ToString(got.Policy)), &policy); err != nil {
		return fmt.Errorf("read the policy of layer %s: %w", p.LayerName, err)
	}
	for _, s := range policy.Statement {
		if s.Sid != p.StatementID {
			continue
		}
		principal, err := s.principal()
		if err != nil {
			return err
		}
		p.Action, p.OrganizationID = s.Action, s.condition("aws:PrincipalOrgID")
		p.Principal = keepSpelling(p.Principal, principal, samePrincipal)
		p.Policy, p.RevisionID = aws.ToString(got.Policy), aws.ToString(got.RevisionId)
		return nil
	}
	return errNotFound
}
