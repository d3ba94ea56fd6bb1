package audittrail

import (
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudtrail"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/kms"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
)

const service = "cloudtrail.amazonaws.com"

// made is what the metric filters need of the stack's own trail.
type made struct {
	group  pulumi.StringInput
	keyARN pulumi.StringInput
}

// deployTrail registers the trail and all that it needs to be there first:
// CloudTrail tries its bucket, key and role when a trail is made.
func (t *AuditTrail) deployTrail(ctx *pulumi.Context, name string, args Args) (made, error) {
	document, err := keyPolicy(args).JSON()
	if err != nil {
		return made{}, err
	}
	lasting := []pulumi.ResourceOption{pulumi.Parent(t), pulumi.Protect(args.Protect), pulumi.RetainOnDelete(args.Protect)}
	key, err := kms.NewKey(ctx, name, &kms.KeyArgs{
		Description:          pulumi.String("Encrypts the audit trail of " + args.Prefix),
		EnableKeyRotation:    pulumi.Bool(true),
		DeletionWindowInDays: pulumi.Int(args.DeletionWindowDays),
		Policy:               pulumi.String(document),
		Tags:                 pulumi.ToStringMap(args.Tags),
	}, lasting...)
	if err != nil {
		return made{}, err
	}
	bucket, ready, err := t.deployBucket(ctx, name, args)
	if err != nil {
		return made{}, err
	}
	group, err := cloudwatch.NewLogGroup(ctx, name, &cloudwatch.LogGroupArgs{
		Name:            pulumi.String(args.groupName()),
		RetentionInDays: pulumi.Int(args.LogRetentionDays),
		KmsKeyId:        key.Arn,
		Tags:            pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(t), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return made{}, err
	}
	role, access, err := t.deployRole(ctx, name, args)
	if err != nil {
		return made{}, err
	}
	trail, err := cloudtrail.NewTrail(ctx, name, &cloudtrail.TrailArgs{
		Name:                       pulumi.String(args.trailName()),
		S3BucketName:               bucket.Bucket,
		KmsKeyId:                   key.Arn,
		IsMultiRegionTrail:         pulumi.Bool(true),
		IncludeGlobalServiceEvents: pulumi.Bool(true),
		EnableLogFileValidation:    pulumi.Bool(true),
		AdvancedEventSelectors:     selectors(args),
		// CloudTrail wants the ARN with the streams' wildcard.
		CloudWatchLogsGroupArn: group.Arn.ApplyT(func(arn string) string { return arn + ":*" }).(pulumi.StringOutput),
		CloudWatchLogsRoleArn:  role.Arn,
		Tags:                   pulumi.ToStringMap(args.Tags),
	}, append(lasting, pulumi.DependsOn([]pulumi.Resource{ready, access}), pulumi.DeleteBeforeReplace(true))...)
	if err != nil {
		return made{}, err
	}
	t.TrailARN, t.BucketName = trail.Arn, bucket.Bucket
	return made{group.Name, key.Arn}, nil
}

// selectors are what the trail logs. All management events are the calls of
// Secrets Manager and KMS: neither has data events, and those of KMS, which a
// trail may leave out because of their number, are how a key is seen to be used
// (CloudTrail user guide, "Logging data events" and "Logging management events";
// KMS developer guide, "Logging AWS KMS API calls with AWS CloudTrail"). Data
// events are asked for where secrets are handled: who invoked the stack's
// functions, and who read or wrote the audit's reports.
func selectors(args Args) cloudtrail.TrailAdvancedEventSelectorArray {
	field := func(name string, equals ...string) cloudtrail.TrailAdvancedEventSelectorFieldSelectorArgs {
		return cloudtrail.TrailAdvancedEventSelectorFieldSelectorArgs{Field: pulumi.String(name), Equals: pulumi.ToStringArray(equals)}
	}
	data := func(name, kind string, begins []string) cloudtrail.TrailAdvancedEventSelectorArgs {
		return cloudtrail.TrailAdvancedEventSelectorArgs{
			Name: pulumi.String(name),
			FieldSelectors: cloudtrail.TrailAdvancedEventSelectorFieldSelectorArray{
				field("eventCategory", "Data"),
				field("resources.type", kind),
				cloudtrail.TrailAdvancedEventSelectorFieldSelectorArgs{Field: pulumi.String("resources.ARN"), StartsWiths: pulumi.ToStringArray(begins)},
			},
		}
	}
	all := cloudtrail.TrailAdvancedEventSelectorArray{cloudtrail.TrailAdvancedEventSelectorArgs{
		Name:           pulumi.String("Management events"),
		FieldSelectors: cloudtrail.TrailAdvancedEventSelectorFieldSelectorArray{field("eventCategory", "Management")},
	}}
	var functions, objects []string
	for _, region := range args.FunctionRegions {
		functions = append(functions, "arn:"+args.Partition+":lambda:"+region+":"+args.AccountID+":function:"+args.Prefix+"-")
	}
	for _, bucket := range args.Buckets {
		objects = append(objects, "arn:"+args.Partition+":s3:::"+bucket+"/")
	}
	if len(functions) > 0 {
		all = append(all, data("Invocations of the stack's functions", "AWS::Lambda::Function", functions))
	}
	if len(objects) > 0 {
		all = append(all, data("Objects of the audit", "AWS::S3::Object", objects))
	}
	return all
}

// keyPolicy is CloudTrail's own for log files, and CloudWatch Logs' for the log
// group (CloudTrail user guide, "Configure AWS KMS key policies for CloudTrail";
// CloudWatch Logs user guide, "Encrypt log data in CloudWatch Logs using AWS
// KMS"). Who reads log files, IAM decides.
func keyPolicy(args Args) policy.Document {
	account := &policy.Principal{AWS: []string{"arn:" + args.Partition + ":iam::" + args.AccountID + ":root"}}
	trails := []string{"arn:" + args.Partition + ":cloudtrail:*:" + args.AccountID + ":trail/" + args.trailName()}
	ours := map[string][]string{"aws:SourceArn": {args.trailARN()}}
	return policy.Document{
		{
			Sid:       "Administration",
			Effect:    policy.Allow,
			Principal: &policy.Principal{AWS: args.Administrators},
			Action:    policy.KeyAdministration,
			Resource:  []string{policy.This},
		},
		{
			Sid:       "EncryptLogFiles",
			Effect:    policy.Allow,
			Principal: &policy.Principal{Service: []string{service}},
			Action:    []string{"kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"},
			Resource:  []string{policy.This},
			Condition: policy.Condition{"StringEquals": ours, "StringLike": {"kms:EncryptionContext:aws:cloudtrail:arn": trails}},
		},
		{
			Sid:       "DescribeKey",
			Effect:    policy.Allow,
			Principal: &policy.Principal{Service: []string{service}},
			Action:    []string{"kms:DescribeKey"},
			Resource:  []string{policy.This},
			Condition: policy.Condition{"StringEquals": ours},
		},
		{
			Sid:       "ReadLogFiles",
			Effect:    policy.Allow,
			Principal: account,
			Action:    []string{"kms:Decrypt"},
			Resource:  []string{policy.This},
			Condition: policy.Condition{"StringLike": {"kms:EncryptionContext:aws:cloudtrail:arn": trails}},
		},
		{
			Sid:       "EncryptLogGroup",
			Effect:    policy.Allow,
			Principal: &policy.Principal{Service: []string{"logs." + args.Region + ".amazonaws.com"}},
			Action:    []string{"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"},
			Resource:  []string{policy.This},
			Condition: policy.Condition{"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": {args.groupARN()}}},
		},
		{
			// For audits, of which IAM decides as well.
			Sid:       "ReadMetadata",
			Effect:    policy.Allow,
			Principal: account,
			Action:    []string{"kms:DescribeKey", "kms:GetKeyRotationStatus"},
			Resource:  []string{policy.This},
		},
	}
}

// deployRole registers the role with which CloudTrail writes to the log group
// (CloudTrail user guide, "Role policy document for CloudTrail to use CloudWatch
// Logs for monitoring"). The streams of a trail have names that begin so, and end
// with a number where there are several.
func (t *AuditTrail) deployRole(ctx *pulumi.Context, name string, args Args) (*iam.Role, *iam.RolePolicy, error) {
	trust, err := policy.Trust([]string{service}, nil).JSON()
	if err != nil {
		return nil, nil, err
	}
	access, err := policy.Document{{
		Sid:      "WriteTrail",
		Effect:   policy.Allow,
		Action:   []string{"logs:CreateLogStream", "logs:PutLogEvents"},
		Resource: []string{args.groupARN() + ":log-stream:" + args.AccountID + "_CloudTrail_" + args.Region + "*"},
	}}.JSON()
	if err != nil {
		return nil, nil, err
	}
	child := []pulumi.ResourceOption{pulumi.Parent(t), pulumi.DeleteBeforeReplace(true)}
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{
		Name:             pulumi.String(args.trailName()),
		Description:      pulumi.String("Writes the audit trail of " + args.Prefix + " to its log group"),
		AssumeRolePolicy: pulumi.String(trust),
		Tags:             pulumi.ToStringMap(args.Tags),
	}, child...)
	if err != nil {
		return nil, nil, err
	}
	written, err := iam.NewRolePolicy(ctx, name, &iam.RolePolicyArgs{
		Name:   pulumi.String("access"),
		Role:   role.Name,
		Policy: pulumi.String(access),
	}, child...)
	return role, written, err
}
