package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/faults"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type world struct {
	*testing.T
	cloud  *localcloud.Cloud
	client *s3.Client
}

func start(t *testing.T) world {
	cloud, err := localcloud.New(localcloud.WithStart(noon))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	return world{t, cloud, s3.NewFromConfig(cloud.Config("us-east-1"))}
}

// bucket makes one, versioned if it is to be.
func (w world) bucket(versioned bool) *string {
	w.Helper()
	name := aws.String("reports")
	_, err := w.client.CreateBucket(w.Context(), &s3.CreateBucketInput{Bucket: name})
	require.NoError(w, err)
	if versioned {
		_, err = w.client.PutBucketVersioning(w.Context(), &s3.PutBucketVersioningInput{Bucket: name, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
		require.NoError(w, err)
	}
	return name
}

func (w world) put(bucket *string, key, body string) *s3.PutObjectOutput {
	w.Helper()
	out, err := w.client.PutObject(w.Context(), &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader(body)})
	require.NoError(w, err)
	return out
}

func read(t *testing.T, out *s3.GetObjectOutput, err error) string {
	t.Helper()
	require.NoError(t, err)
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	require.NoError(t, err)
	return string(body)
}

func code(t *testing.T, err error) string {
	t.Helper()
	var e smithy.APIError
	require.ErrorAs(t, err, &e)
	return e.ErrorCode()
}

func TestABucketFromBirthToDeath(t *testing.T) {
	w := start(t)
	bucket := w.bucket(false)
	_, err := w.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket})
	require.NoError(t, err, "in us-east-1 one's own bucket can be made again")
	west := s3.NewFromConfig(w.cloud.Config("us-west-2"))
	_, err = west.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "us-west-2"}})
	assert.Equal(t, "BucketAlreadyOwnedByYou", code(t, err))
	_, err = west.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("other")})
	assert.Equal(t, "IllegalLocationConstraintException", code(t, err))
	_, err = west.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("other"), CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "us-west-2"}})
	require.NoError(t, err)
	_, err = w.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("No_Name")})
	assert.Equal(t, "InvalidBucketName", code(t, err))
	list, err := w.client.ListBuckets(t.Context(), &s3.ListBucketsInput{})
	require.NoError(t, err)
	require.Len(t, list.Buckets, 2)
	assert.Equal(t, "other", *list.Buckets[0].Name)
	assert.True(t, noon.Equal(list.Buckets[1].CreationDate.Truncate(time.Minute)))
	location, err := w.client.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: aws.String("other")})
	require.NoError(t, err)
	assert.Equal(t, types.BucketLocationConstraintUsWest2, location.LocationConstraint)
	_, err = w.client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("other")})
	assert.Equal(t, "PermanentRedirect", code(t, err))
	_, err = w.client.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("none")})
	var none *types.NotFound
	require.ErrorAs(t, err, &none)

	w.put(bucket, "k", "v")
	_, err = w.client.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: bucket})
	assert.Equal(t, "BucketNotEmpty", code(t, err))
	_, err = w.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("k")})
	require.NoError(t, err)
	_, err = w.client.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: bucket})
	require.NoError(t, err)
	assert.Empty(t, w.cloud.Unsupported())
}

func TestAnObjectComesBackAsItWasPut(t *testing.T) {
	w := start(t)
	bucket := w.bucket(false)
	key := "a folder/ü+&=?.json"
	put, err := w.client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: bucket, Key: &key, Body: strings.NewReader("hello"), ContentType: aws.String("application/json"),
		Metadata: map[string]string{"sha256": "x"}, Tagging: aws.String("Owner=team&Stage=a%20b"), CacheControl: aws.String("no-store"),
	})
	require.NoError(t, err)
	assert.Equal(t, `"5d41402abc4b2a76b9719d911017c592"`, *put.ETag, "the MD5 of what S3 itself encrypts")
	assert.Equal(t, types.ServerSideEncryptionAes256, put.ServerSideEncryption)
	assert.NotNil(t, put.ChecksumCRC32, "the SDK's default")
	get, err := w.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	assert.Equal(t, "hello", read(t, get, err))
	assert.Equal(t, "application/json", *get.ContentType)
	assert.Equal(t, "no-store", *get.CacheControl)
	assert.Equal(t, map[string]string{"sha256": "x"}, get.Metadata)
	assert.Equal(t, put.ChecksumCRC32, get.ChecksumCRC32)
	assert.EqualValues(t, 2, *get.TagCount)
	head, err := w.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: &key})
	require.NoError(t, err)
	assert.EqualValues(t, 5, *head.ContentLength)
	tags, err := w.client.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: bucket, Key: &key})
	require.NoError(t, err)
	assert.Equal(t, []types.Tag{{Key: aws.String("Owner"), Value: aws.String("team")}, {Key: aws.String("Stage"), Value: aws.String("a b")}}, tags.TagSet)
	part, err := w.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: &key, Range: aws.String("bytes=1-3")})
	assert.Equal(t, "ell", read(t, part, err))
	assert.Equal(t, "bytes 1-3/5", *part.ContentRange)
	_, err = w.client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"), CopySource: aws.String("reports/a%20folder/%C3%BC%2B%26%3D%3F.json")})
	require.NoError(t, err)
	copied, err := w.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("copy")})
	assert.Equal(t, "hello", read(t, copied, err))
	assert.Equal(t, map[string]string{"sha256": "x"}, copied.Metadata)
	var missing *types.NoSuchKey
	_, err = w.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("none")})
	require.ErrorAs(t, err, &missing)
	assert.Empty(t, w.cloud.Unsupported())
}

func TestChecksumsOfAllKinds(t *testing.T) {
	w := start(t)
	bucket := w.bucket(false)
	for _, algorithm := range []types.ChecksumAlgorithm{"CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"} {
		_, err := w.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String(string(algorithm)), Body: strings.NewReader("hello"), ChecksumAlgorithm: algorithm})
		require.NoError(t, err, algorithm)
		// The SDK compares what comes with the checksum that comes along.
		get, err := w.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String(string(algorithm)), ChecksumMode: types.ChecksumModeEnabled})
		assert.Equal(t, "hello", read(t, get, err))
	}
	_, err := w.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String("bad"), Body: strings.NewReader("hello"), ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(make([]byte, 32)))})
	assert.Equal(t, "BadDigest", code(t, err))
	_, err = w.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String("bad"), Body: strings.NewReader("hello"), ContentMD5: aws.String("bm8=")})
	assert.Equal(t, "BadDigest", code(t, err))
}

// TestAStreamedUpload sends what clients send that learn the checksum on the way.
func TestAStreamedUpload(t *testing.T) {
	w := start(t)
	bucket := w.bucket(false)
	sum := sha256.Sum256([]byte("hello world"))
	send := func(body string, length int) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, w.cloud.URL()+"/"+*bucket+"/streamed", strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260301/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0")
		r.Header.Set("Content-Encoding", "aws-chunked")
		r.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
		r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(length))
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-sha256")
		reply, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer reply.Body.Close()
		return reply.StatusCode
	}
	trailer := "x-amz-checksum-sha256:" + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"
	assert.Equal(t, http.StatusOK, send("6\r\nhello \r\n5;chunk-signature=0\r\nworld\r\n0\r\n"+trailer, 11))
	get, err := w.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("streamed")})
	assert.Equal(t, "hello world", read(t, get, err))
	assert.Nil(t, get.ContentEncoding)
	assert.Equal(t, http.StatusBadRequest, send("5\r\nhello\r\n0\r\n"+trailer, 5), "another checksum")
	assert.Equal(t, http.StatusBadRequest, send("6\r\nhello \r\n", 11), "no end")
	assert.Equal(t, http.StatusBadRequest, send("6\r\nhello \r\n0\r\n\r\n", 11), "too short")
}

func TestConditionalRequests(t *testing.T) {
	w := start(t)
	bucket := w.bucket(false)
	put := func(body string, match, none *string) (*s3.PutObjectOutput, error) {
		return w.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String("state"), Body: strings.NewReader(body), IfMatch: match, IfNoneMatch: none})
	}
	_, err := put("1", aws.String(`"x"`), nil)
	assert.Equal(t, "NoSuchKey", code(t, err))
	first, err := put("1", nil, aws.String("*"))
	require.NoError(t, err)
	_, err = put("2", nil, aws.String("*"))
	assert.Equal(t, "PreconditionFailed", code(t, err))
	second, err := put("2", first.ETag, nil)
	require.NoError(t, err)
	_, err = put("3", first.ETag, nil)
	assert.Equal(t, "PreconditionFailed", code(t, err))
	_, err = w.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("state"), IfMatch: first.ETag})
	assert.Equal(t, "PreconditionFailed", code(t, err))
	_, err = w.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("state"), IfNoneMatch: second.ETag})
	var status interface{ HTTPStatusCode() int }
	require.ErrorAs(t, err, &status)
	assert.Equal(t, http.StatusNotModified, status.HTTPStatusCode())
	_, err = w.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("state"), IfMatch: first.ETag})
	assert.Equal(t, "PreconditionFailed", code(t, err))
}

func TestVersions(t *testing.T) {
	w := start(t)
	bucket := w.bucket(true)
	first, second := w.put(bucket, "k", "1"), w.put(bucket, "k", "2")
	assert.NotEqual(t, first.VersionId, second.VersionId)
	old, err := w.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("k"), VersionId: first.VersionId})
	assert.Equal(t, "1", read(t, old, err))
	deleted, err := w.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("k")})
	require.NoError(t, err)
	assert.True(t, *deleted.DeleteMarker)
	_, err = w.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("k")})
	assert.Equal(t, "NoSuchKey", code(t, err))
	_, err = w.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("k"), VersionId: deleted.VersionId})
	assert.Equal(t, "MethodNotAllowed", code(t, err))

	var seen []string
	pages := s3.NewListObjectVersionsPaginator(w.client, &s3.ListObjectVersionsInput{Bucket: bucket, MaxKeys: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		require.NoError(t, err)
		for _, m := range page.DeleteMarkers {
			seen = append(seen, "marker "+*m.VersionId)
		}
		for _, v := range page.Versions {
			seen = append(seen, *v.VersionId)
		}
	}
	assert.Equal(t, []string{"marker " + *deleted.VersionId, *second.VersionId, *first.VersionId}, seen)
	_, err = w.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("k"), VersionId: deleted.VersionId})
	require.NoError(t, err)
	back, err := w.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("k")})
	assert.Equal(t, "2", read(t, back, err), "without the marker it is there again")
	gone, err := w.client.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{
		{Key: aws.String("k"), VersionId: first.VersionId}, {Key: aws.String("k"), VersionId: second.VersionId}, {Key: aws.String("none"), VersionId: aws.String("x")}}}})
	require.NoError(t, err)
	assert.Len(t, gone.Deleted, 3)
	_, err = w.client.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: bucket})
	require.NoError(t, err)
}

func TestListing(t *testing.T) {
	w := start(t)
	bucket := w.bucket(true)
	for _, key := range []string{"a/1", "a/2", "b", "c/1", "c&d", "gone"} {
		w.put(bucket, key, key)
	}
	_, err := w.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("gone")})
	require.NoError(t, err)
	list := func(in s3.ListObjectsV2Input) (keys []string) {
		in.Bucket = bucket
		pages := s3.NewListObjectsV2Paginator(w.client, &in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			require.NoError(t, err)
			for _, p := range page.CommonPrefixes {
				keys = append(keys, *p.Prefix)
			}
			for _, o := range page.Contents {
				keys = append(keys, *o.Key)
			}
		}
		return keys
	}
	for _, size := range []int32{1, 2, 1000} {
		assert.Equal(t, []string{"a/1", "a/2", "b", "c&d", "c/1"}, list(s3.ListObjectsV2Input{MaxKeys: &size}), size)
		assert.ElementsMatch(t, []string{"a/", "b", "c&d", "c/"}, list(s3.ListObjectsV2Input{MaxKeys: &size, Delimiter: aws.String("/")}), size)
		assert.Equal(t, []string{"a/1", "a/2"}, list(s3.ListObjectsV2Input{MaxKeys: &size, Prefix: aws.String("a/"), Delimiter: aws.String("/")}), size)
	}
	assert.Equal(t, []string{"c/1"}, list(s3.ListObjectsV2Input{StartAfter: aws.String("c&d")}))
	assert.Equal(t, []string{"c%26d", "c/1"}, list(s3.ListObjectsV2Input{Prefix: aws.String("c"), EncodingType: types.EncodingTypeUrl}))
	v1, err := w.client.ListObjects(t.Context(), &s3.ListObjectsInput{Bucket: bucket, Marker: aws.String("a/2")})
	require.NoError(t, err)
	assert.Len(t, v1.Contents, 3)
	assert.EqualValues(t, 1, *v1.Contents[0].Size)
}

func TestEncryptionWithAKeyNeedsTheKey(t *testing.T) {
	w := start(t)
	bucket := w.bucket(false)
	key, err := kms.NewFromConfig(w.cloud.Config("us-east-1")).CreateKey(t.Context(), &kms.CreateKeyInput{})
	require.NoError(t, err)
	_, err = w.client.PutBucketEncryption(t.Context(), &s3.PutBucketEncryptionInput{Bucket: bucket, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
		Rules: []types.ServerSideEncryptionRule{{BucketKeyEnabled: aws.Bool(true), ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{
			SSEAlgorithm: types.ServerSideEncryptionAwsKms, KMSMasterKeyID: key.KeyMetadata.Arn}}}}})
	require.NoError(t, err)
	put := w.put(bucket, "k", "hello")
	assert.Equal(t, *key.KeyMetadata.Arn, *put.SSEKMSKeyId)
	assert.True(t, *put.BucketKeyEnabled)
	assert.NotEqual(t, `"5d41402abc4b2a76b9719d911017c592"`, *put.ETag, "no digest of what a key encrypts")

	reader := w.user("reader", `{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::reports/*"}`)
	_, err = reader.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("k")})
	assert.Equal(t, "AccessDenied", code(t, err))
	_, err = reader.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String("k"), Body: strings.NewReader("x")})
	assert.Equal(t, "AccessDenied", code(t, err))
	reader = w.user("keyholder", `{"Effect":"Allow","Action":["s3:GetObject"],"Resource":"arn:aws:s3:::reports/*"},
		{"Effect":"Allow","Action":"kms:Decrypt","Resource":"`+*key.KeyMetadata.Arn+`","Condition":{"StringEquals":{"kms:EncryptionContext:aws:s3:arn":"arn:aws:s3:::reports","kms:ViaService":"s3.us-east-1.amazonaws.com"}}}`)
	get, err := reader.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("k")})
	assert.Equal(t, "hello", read(t, get, err))
	_, err = w.client.DeleteBucketEncryption(t.Context(), &s3.DeleteBucketEncryptionInput{Bucket: bucket})
	require.NoError(t, err)
	back, err := w.client.GetBucketEncryption(t.Context(), &s3.GetBucketEncryptionInput{Bucket: bucket})
	require.NoError(t, err)
	assert.Equal(t, types.ServerSideEncryptionAes256, back.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm)
}

// user is a client of a user with one policy.
func (w world) user(name, statements string) *s3.Client {
	w.Helper()
	users := iam.NewFromConfig(w.cloud.Config("us-east-1"))
	_, err := users.CreateUser(w.Context(), &iam.CreateUserInput{UserName: &name})
	require.NoError(w, err)
	_, err = users.PutUserPolicy(w.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[` + statements + `]}`)})
	require.NoError(w, err)
	key, err := users.CreateAccessKey(w.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	require.NoError(w, err)
	return s3.NewFromConfig(w.cloud.ConfigFor("us-east-1", *key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, ""))
}

func TestWhoMayNotListLearnsNothing(t *testing.T) {
	w := start(t)
	bucket := w.bucket(false)
	reader := w.user("reader", `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::reports/*"}`)
	_, err := reader.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("none")})
	assert.Equal(t, "AccessDenied", code(t, err))
	lister := w.user("lister", `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::reports/*"},{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::reports"}`)
	_, err = lister.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("none")})
	assert.Equal(t, "NoSuchKey", code(t, err))
	_, err = lister.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String("k"), Body: strings.NewReader("x")})
	assert.Equal(t, "AccessDenied", code(t, err))
}

func TestBucketPolicies(t *testing.T) {
	w := start(t)
	bucket := w.bucket(false)
	w.put(bucket, "k", "v")
	_, err := w.client.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: bucket})
	assert.Equal(t, "NoSuchBucketPolicy", code(t, err))
	put := func(statement string) error {
		_, err := w.client.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: bucket, Policy: aws.String(`{"Version":"2012-10-17","Statement":[` + statement + `]}`)})
		return err
	}
	reader := w.user("reader", `{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"}`)
	get := func() error {
		out, err := reader.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("k")})
		if err == nil {
			err = out.Body.Close()
		}
		return err
	}
	require.Error(t, get())
	require.NoError(t, put(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/reader"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::reports/*"}`))
	require.NoError(t, get())
	require.NoError(t, put(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::reports","arn:aws:s3:::reports/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}`))
	assert.Equal(t, "AccessDenied", code(t, get()))

	assert.Equal(t, "MalformedPolicy", code(t, put(`{"Effect":"Allow"}`)))
	assert.Equal(t, "MalformedPolicy", code(t, put(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::other"}`)))
	public := `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::reports/*"}`
	assert.Equal(t, "AccessDenied", code(t, put(public)))
	_, err = w.client.DeletePublicAccessBlock(t.Context(), &s3.DeletePublicAccessBlockInput{Bucket: bucket})
	require.NoError(t, err)
	_, err = w.client.GetPublicAccessBlock(t.Context(), &s3.GetPublicAccessBlockInput{Bucket: bucket})
	assert.Equal(t, "NoSuchPublicAccessBlockConfiguration", code(t, err))
	require.NoError(t, put(public))
	status, err := w.client.GetBucketPolicyStatus(t.Context(), &s3.GetBucketPolicyStatusInput{Bucket: bucket})
	require.NoError(t, err)
	assert.True(t, *status.PolicyStatus.IsPublic)
	require.NoError(t, get())
	_, err = w.client.DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: bucket})
	require.NoError(t, err)
	require.Error(t, get())
}

func TestLockedObjectsStay(t *testing.T) {
	w := start(t)
	bucket := aws.String("locked")
	_, err := w.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket, ObjectLockEnabledForBucket: aws.Bool(true)})
	require.NoError(t, err)
	_, err = w.client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusSuspended}})
	assert.Equal(t, "InvalidBucketState", code(t, err))
	_, err = w.client.PutObjectLockConfiguration(t.Context(), &s3.PutObjectLockConfigurationInput{Bucket: bucket, ObjectLockConfiguration: &types.ObjectLockConfiguration{
		ObjectLockEnabled: types.ObjectLockEnabledEnabled, Rule: &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: types.ObjectLockRetentionModeGovernance, Days: aws.Int32(30)}}}})
	require.NoError(t, err)
	put := w.put(bucket, "report", "v")
	remove := func(bypass bool) error {
		_, err := w.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("report"), VersionId: put.VersionId, BypassGovernanceRetention: &bypass})
		return err
	}
	assert.Equal(t, "AccessDenied", code(t, remove(false)))
	retention, err := w.client.GetObjectRetention(t.Context(), &s3.GetObjectRetentionInput{Bucket: bucket, Key: aws.String("report")})
	require.NoError(t, err)
	assert.WithinDuration(t, noon.AddDate(0, 0, 30), *retention.Retention.RetainUntilDate, time.Minute)
	_, err = w.client.PutObjectRetention(t.Context(), &s3.PutObjectRetentionInput{Bucket: bucket, Key: aws.String("report"), Retention: &types.ObjectLockRetention{
		Mode: types.ObjectLockRetentionModeCompliance, RetainUntilDate: aws.Time(noon.AddDate(1, 0, 0))}})
	assert.Equal(t, "AccessDenied", code(t, err), "another mode, without the right to bypass")
	_, err = w.client.PutObjectRetention(t.Context(), &s3.PutObjectRetentionInput{Bucket: bucket, Key: aws.String("report"), BypassGovernanceRetention: aws.Bool(true), Retention: &types.ObjectLockRetention{
		Mode: types.ObjectLockRetentionModeCompliance, RetainUntilDate: aws.Time(noon.AddDate(1, 0, 0))}})
	require.NoError(t, err)
	assert.Equal(t, "AccessDenied", code(t, remove(true)), "nobody bypasses compliance")
	_, err = w.client.PutObjectLegalHold(t.Context(), &s3.PutObjectLegalHoldInput{Bucket: bucket, Key: aws.String("report"), LegalHold: &types.ObjectLockLegalHold{Status: "ON"}})
	require.NoError(t, err)
	require.NoError(t, w.cloud.Advance(t.Context(), 366*24*time.Hour))
	assert.Equal(t, "AccessDenied", code(t, remove(false)), "held")
	_, err = w.client.PutObjectLegalHold(t.Context(), &s3.PutObjectLegalHoldInput{Bucket: bucket, Key: aws.String("report"), LegalHold: &types.ObjectLockLegalHold{Status: "OFF"}})
	require.NoError(t, err)
	require.NoError(t, remove(false))
	assert.Empty(t, w.cloud.Unsupported())
}

func TestConfigurationsComeBack(t *testing.T) {
	w := start(t)
	bucket := w.bucket(false)
	_, err := w.client.GetBucketLifecycleConfiguration(t.Context(), &s3.GetBucketLifecycleConfigurationInput{Bucket: bucket})
	assert.Equal(t, "NoSuchLifecycleConfiguration", code(t, err))
	_, err = w.client.GetObjectLockConfiguration(t.Context(), &s3.GetObjectLockConfigurationInput{Bucket: bucket})
	assert.Equal(t, "ObjectLockConfigurationNotFoundError", code(t, err))
	_, err = w.client.GetBucketTagging(t.Context(), &s3.GetBucketTaggingInput{Bucket: bucket})
	assert.Equal(t, "NoSuchTagSet", code(t, err))
	versioning, err := w.client.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: bucket})
	require.NoError(t, err)
	assert.Empty(t, versioning.Status)
	block, err := w.client.GetPublicAccessBlock(t.Context(), &s3.GetPublicAccessBlockInput{Bucket: bucket})
	require.NoError(t, err)
	assert.True(t, *block.PublicAccessBlockConfiguration.RestrictPublicBuckets, "closed from birth")
	ownership, err := w.client.GetBucketOwnershipControls(t.Context(), &s3.GetBucketOwnershipControlsInput{Bucket: bucket})
	require.NoError(t, err)
	assert.Equal(t, types.ObjectOwnershipBucketOwnerEnforced, ownership.OwnershipControls.Rules[0].ObjectOwnership)

	rules := []types.LifecycleRule{{
		ID: aws.String("old"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("runs/")},
		Expiration:                     &types.LifecycleExpiration{Days: aws.Int32(400)},
		NoncurrentVersionExpiration:    &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(30)},
		AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(7)},
	}}
	_, err = w.client.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{Bucket: bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules}})
	require.NoError(t, err)
	lifecycle, err := w.client.GetBucketLifecycleConfiguration(t.Context(), &s3.GetBucketLifecycleConfigurationInput{Bucket: bucket})
	require.NoError(t, err)
	assert.Equal(t, rules, lifecycle.Rules)
	assert.EqualValues(t, "all_storage_classes_128K", lifecycle.TransitionDefaultMinimumObjectSize)
	_, err = w.client.PutBucketTagging(t.Context(), &s3.PutBucketTaggingInput{Bucket: bucket, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("a"), Value: aws.String("<b>")}}}})
	require.NoError(t, err)
	tags, err := w.client.GetBucketTagging(t.Context(), &s3.GetBucketTaggingInput{Bucket: bucket})
	require.NoError(t, err)
	assert.Equal(t, "<b>", *tags.TagSet[0].Value)
	_, err = w.client.PutBucketCors(t.Context(), &s3.PutBucketCorsInput{Bucket: bucket, CORSConfiguration: &types.CORSConfiguration{CORSRules: []types.CORSRule{{AllowedMethods: []string{"GET"}, AllowedOrigins: []string{"*"}}}}})
	require.Error(t, err, "what the emulator doesn't know it refuses")
	assert.Len(t, w.cloud.Unsupported(), 1)
}

func TestTheTrailHasBucketsNotObjects(t *testing.T) {
	w := start(t)
	_, err := w.cloud.Faults.Add(faults.Fault{Kind: faults.Error, Service: "s3", Operation: "PutObject", Code: "SlowDown", Status: 503, Times: 1})
	require.NoError(t, err)
	bucket := w.bucket(false)
	w.put(bucket, "k", "a body") // the SDK tries again
	out, err := cloudtrail.NewFromConfig(w.cloud.Config("us-east-1")).LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{})
	require.NoError(t, err)
	require.Len(t, out.Events, 1)
	assert.Equal(t, "CreateBucket", *out.Events[0].EventName)
	assert.Contains(t, *out.Events[0].CloudTrailEvent, `"requestParameters":{"bucketName":"reports"}`)
}

func TestTheBodyIsWhatWasSigned(t *testing.T) {
	w := start(t)
	bucket := w.bucket(false)
	sum := sha256.Sum256([]byte("other"))
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPut, w.cloud.URL()+"/"+*bucket+"/k", bytes.NewReader([]byte("body")))
	require.NoError(t, err)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260301/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0")
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	reply, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer reply.Body.Close()
	assert.Equal(t, http.StatusBadRequest, reply.StatusCode)
}
