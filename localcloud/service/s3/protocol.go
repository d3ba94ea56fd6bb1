package s3

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// protocol is S3's REST-XML: the operation is in the method, in whether the path
// has a key, and in a query parameter that names a part of the bucket or object.
// Buckets are in the path, as SDKs address them where the host is an IP address.
type protocol struct{}

// operations by method, then by "bucket?parameter" or "object?parameter".
var operations = map[string]map[string]string{
	http.MethodGet: {
		"service": "ListBuckets", "bucket": "ListObjects", "bucket?list-type": "ListObjectsV2", "bucket?versions": "ListObjectVersions",
		"bucket?location": "GetBucketLocation", "bucket?acl": "GetBucketAcl", "bucket?policyStatus": "GetBucketPolicyStatus",
		"object": "GetObject", "object?tagging": "GetObjectTagging", "object?retention": "GetObjectRetention", "object?legal-hold": "GetObjectLegalHold",
	},
	http.MethodHead: {"bucket": "HeadBucket", "object": "HeadObject"},
	http.MethodPut: {
		"bucket": "CreateBucket", "object": "PutObject", "object?tagging": "PutObjectTagging",
		"object?retention": "PutObjectRetention", "object?legal-hold": "PutObjectLegalHold",
	},
	http.MethodPost:   {"bucket?delete": "DeleteObjects"},
	http.MethodDelete: {"bucket": "DeleteBucket", "object": "DeleteObject", "object?tagging": "DeleteObjectTagging"},
}

// subresources are the query parameters that choose another operation.
var subresources = []string{
	"list-type", "versions", "location", "acl", "policyStatus", "tagging", "retention", "legal-hold", "delete",
	"versioning", "encryption", "publicAccessBlock", "policy", "lifecycle", "object-lock", "ownershipControls", "logging",
	// Known, so that a call for them isn't taken for another one, and refused:
	"accelerate", "analytics", "attributes", "cors", "intelligent-tiering", "inventory", "metrics", "notification", "partNumber",
	"replication", "requestPayment", "restore", "select", "torrent", "uploadId", "uploads", "website",
}

// Route implements api.Protocol.
func (protocol) Route(r *http.Request, _ []byte) (string, map[string]string) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	path := map[string]string{}
	level := "service"
	if bucket != "" {
		level, path["BucketName"] = "bucket", bucket
	}
	if key != "" {
		plain, err := url.PathUnescape(key)
		if err != nil {
			return "", nil
		}
		level, path["Key"] = "object", plain
	}
	query := r.URL.Query()
	for _, name := range subresources {
		if query.Has(name) && (name != "partNumber" || r.Method == http.MethodPut) {
			level += "?" + name
			break
		}
	}
	if name, ok := strings.CutPrefix(level, "bucket?"); ok {
		if c, ok := configurations[name]; ok {
			return c.operation(r.Method), path
		}
	}
	operation := operations[r.Method][level]
	if operation == "PutObject" && r.Header.Get("X-Amz-Copy-Source") != "" {
		operation = "CopyObject"
	}
	return operation, path
}

// Write implements api.Protocol.
func (protocol) Write(w http.ResponseWriter, r *api.Request, status int, out any) error {
	var b bytes.Buffer
	if out != nil {
		b.WriteString(xml.Header)
		if err := xml.NewEncoder(&b).Encode(out); err != nil {
			return fmt.Errorf("encode reply: %w", err)
		}
		w.Header().Set("Content-Type", "application/xml")
	}
	w.Header().Set("X-Amz-Request-Id", r.ID)
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	return err
}

// WriteError implements api.Protocol. An error's fields that begin with "X-" or
// "Etag" are headers.
func (protocol) WriteError(w http.ResponseWriter, r *api.Request, err *api.Error) {
	code, status := err.Code, err.Status
	if code == "AccessDeniedException" {
		code, status = "AccessDenied", http.StatusForbidden
	}
	for name, value := range err.Fields {
		w.Header().Set(name, fmt.Sprint(value))
	}
	w.Header().Set("X-Amz-Request-Id", r.ID)
	if status == http.StatusNotModified || r.HTTP.Method == http.MethodHead {
		w.WriteHeader(status)
		return
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	// A struct of strings can always be encoded.
	_ = xml.NewEncoder(&b).Encode(struct {
		XMLName                            xml.Name `xml:"Error"`
		Code, Message, Resource, RequestID string
	}{Code: code, Message: err.Message, Resource: r.HTTP.URL.Path, RequestID: r.ID})
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}
