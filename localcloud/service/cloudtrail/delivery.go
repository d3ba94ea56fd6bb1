package cloudtrail

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/service/logs"
)

const (
	principal = "cloudtrail.amazonaws.com"

	// session is the name of the session of a trail's role.
	session = "CloudTrail"

	// filesEvery is how often log files are delivered: about every 5 minutes
	// (user guide, "How CloudTrail works").
	filesEvery = 5 * time.Minute
)

// Groups are the log groups to which trails write.
type Groups interface {
	HasGroup(account, region, name string) bool
	Write(ctx context.Context, caller api.Caller, region, group, stream string, e logs.Event) error
}

// Store is the S3 to which trails deliver log files.
type Store interface {
	// MayDeliver tells whether a service may look at a bucket and put an object.
	MayDeliver(ctx context.Context, caller api.Caller, bucket, key string, header http.Header) error
	Deliver(ctx context.Context, caller api.Caller, bucket, key string, body []byte, header http.Header) error
}

// Roles are the roles with which trails write to log groups.
type Roles interface {
	// Trusts tells whether a service may assume a role on behalf of something.
	Trusts(ctx context.Context, roleARN, service, sourceARN string) error
}

// Connect says where trails deliver. It is called before the first request.
// Without it, trails deliver to EventBridge only.
func (s *Service) Connect(g Groups, st Store, r Roles) { s.groups, s.store, s.roles = g, st, r }

// caller is CloudTrail as it delivers for a trail.
func (t *trail) caller() api.Caller {
	return api.Caller{Account: t.account, Service: principal, SourceARN: t.TrailARN}
}

// writer is a session of the trail's role.
func (t *trail) writer() api.Caller {
	role := t.CloudWatchLogsRoleArn
	return api.Caller{
		Account: t.account, Role: role, Session: session,
		ARN: "arn:aws:sts::" + t.account + ":assumed-role/" + role[strings.LastIndex(role, "/")+1:] + "/" + session,
	}
}

// header is that of a log file's request.
func (t *trail) header() http.Header {
	header := http.Header{"X-Amz-Acl": {"bucket-owner-full-control"}}
	if t.KmsKeyId != "" {
		text, _ := json.Marshal(map[string]string{"aws:cloudtrail:arn": t.TrailARN}) // a string can always be encoded
		header.Set("X-Amz-Server-Side-Encryption", "aws:kms")
		header.Set("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", t.KmsKeyId)
		header.Set("X-Amz-Server-Side-Encryption-Context", base64.StdEncoding.EncodeToString(text))
	}
	return header
}

// file is the key of a log file (user guide, "CloudTrail log file name format").
func (t *trail) file(region string, at time.Time, unique string) string {
	prefix := t.S3KeyPrefix
	if prefix != "" {
		prefix += "/"
	}
	return fmt.Sprintf("%sAWSLogs/%s/CloudTrail/%s/%s/%s_CloudTrail_%s_%s_%s.json.gz", prefix, t.account, region,
		at.Format("2006/01/02"), t.account, region, at.Format("20060102T1504Z"), unique)
}

// group is the name of the trail's log group, from an ARN that ends in ":*".
func (t *trail) group() (string, bool) {
	parts := strings.SplitN(t.CloudWatchLogsLogGroupArn, ":", 8)
	if len(parts) != 8 || parts[2] != "logs" || parts[3] != t.HomeRegion || parts[4] != t.account || parts[5] != "log-group" || parts[7] != "*" {
		return "", false
	}
	return parts[6], true
}

// check asks, as AWS does when a trail is made or changed, whether it could
// deliver.
func (s *Service) check(ctx context.Context, r *api.Request, t *trail) error {
	if s.store == nil {
		return nil
	}
	err := s.store.MayDeliver(ctx, t.caller(), t.S3BucketName, t.file(t.HomeRegion, s.env.Clock.Now(), "0"), t.header())
	var refused *api.Error
	switch {
	case err == nil:
	case errors.As(err, &refused) && refused.Code == "NoSuchBucket":
		return api.Errorf("S3BucketDoesNotExistException", "S3 bucket %s does not exist!", t.S3BucketName)
	case errors.As(err, &refused) && strings.HasPrefix(refused.Code, "KMS."), errors.As(err, &refused) && strings.Contains(refused.Message, "kms:"):
		return api.Errorf("InsufficientEncryptionPolicyException", "Insufficient permissions to access S3 bucket %s or KMS key %s.", t.S3BucketName, t.KmsKeyId)
	default:
		return api.Errorf("InsufficientS3BucketPolicyException", "Incorrect S3 bucket policy is detected for bucket: %s", t.S3BucketName)
	}
	if (t.CloudWatchLogsLogGroupArn == "") != (t.CloudWatchLogsRoleArn == "") {
		return api.Errorf("InvalidCloudWatchLogsLogGroupArnException", "A log group needs a role, and a role a log group.")
	}
	if t.CloudWatchLogsLogGroupArn == "" {
		return nil
	}
	name, ok := t.group()
	if !ok || !s.groups.HasGroup(t.account, t.HomeRegion, name) {
		return api.Errorf("InvalidCloudWatchLogsLogGroupArnException", "CloudTrail cannot validate the specified log group ARN %s.", t.CloudWatchLogsLogGroupArn)
	}
	if err := r.Authorize(ctx, api.Check{
		Action: "iam:PassRole", Resource: t.CloudWatchLogsRoleArn, Context: map[string][]string{"iam:PassedToService": {principal}},
	}); err != nil {
		return err
	}
	if err := s.roles.Trusts(ctx, t.CloudWatchLogsRoleArn, principal, t.TrailARN); err != nil {
		return api.Errorf("InvalidCloudWatchLogsRoleArnException", "Access denied. Check the trust relationships for your role.")
	}
	return nil
}

// deliver gives an event to the log group and the next log file of a trail.
func (s *Service) deliver(ctx context.Context, t *trail, e api.Event, text []byte) {
	if s.store == nil {
		return
	}
	if name, ok := t.group(); ok {
		stream := t.account + "_CloudTrail_" + t.HomeRegion
		err := s.groups.Write(ctx, t.writer(), t.HomeRegion, name, stream, logs.Event{Time: e.Time, Message: string(text)})
		s.note(t.TrailARN, err, func(t *trail) *outcome { return &t.toGroup })
	}
	// The files hold no calls that delivering them makes: there would be files
	// for ever.
	if e.Caller.Service == principal {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := pendingKey{t.TrailARN, e.Region}
	if s.pending[key] = append(s.pending[key], text); len(s.pending[key]) > 1 {
		return
	}
	copied := *t
	s.env.Clock.AfterFunc(filesEvery, func() { s.deliverFile(context.WithoutCancel(ctx), &copied, key) })
}

// pendingKey is what one log file is about.
type pendingKey struct{ trail, region string }

func (s *Service) deliverFile(ctx context.Context, t *trail, key pendingKey) {
	s.mu.Lock()
	records := s.pending[key]
	delete(s.pending, key)
	if current := s.trails[key.trail]; current != nil {
		copied := *current
		t = &copied // as it is now
	}
	s.mu.Unlock()
	file := struct{ Records []json.RawMessage }{}
	for _, record := range records {
		file.Records = append(file.Records, record)
	}
	body, err := compress(file)
	if err == nil {
		err = s.store.Deliver(ctx, t.caller(), t.S3BucketName, t.file(key.region, s.env.Clock.Now(), strings.ReplaceAll(uuid.NewString(), "-", "")[:16]), body, t.header())
	}
	s.note(t.TrailARN, err, func(t *trail) *outcome { return &t.toBucket })
}

func compress(v any) ([]byte, error) {
	var content bytes.Buffer
	zipped := gzip.NewWriter(&content)
	if err := json.NewEncoder(zipped).Encode(v); err != nil {
		return nil, err
	}
	if err := zipped.Close(); err != nil {
		return nil, err
	}
	return content.Bytes(), nil
}

// outcome is what came of a trail's deliveries.
type outcome struct {
	last  time.Time
	error string // of the last attempt; "": it succeeded
}

// note keeps what came of a delivery. Deliveries that fail are lost; AWS tries
// again for 30 days.
func (s *Service) note(arn string, err error, of func(*trail) *outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.trails[arn]
	if t == nil {
		return
	}
	if err != nil {
		s.env.Log.Warn("a trail can't deliver", "trail", arn, "error", err)
		of(t).error = codeOf(err)
		return
	}
	*of(t) = outcome{last: s.env.Clock.Now()}
}

func codeOf(err error) string {
	var refused *api.Error
	if errors.As(err, &refused) {
		return strings.TrimSuffix(refused.Code, "Exception")
	}
	return "InternalError"
}
