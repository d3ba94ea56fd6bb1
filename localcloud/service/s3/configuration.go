package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

// configuration is a part of a bucket with a document of its own: what is put is
// what one gets.
type configuration struct {
	get, put, delete string // operations
	getAction        string // in policies
	putAction        string // deleting needs it too
	element          string // of the document
	known            string // elements that the emulator knows
	missing          *api.Error
	check            func(*bucket, document) error
}

type document struct {
	text   string
	header http.Header // that belong to it
}

// configurations by the query parameter that names them.
var configurations = map[string]configuration{
	"policy": {get: "GetBucketPolicy", put: "PutBucketPolicy", delete: "DeleteBucketPolicy"},
	"versioning": {
		get: "GetBucketVersioning", put: "PutBucketVersioning",
		getAction: "GetBucketVersioning", putAction: "PutBucketVersioning",
		element: "VersioningConfiguration", known: "Status", check: checkVersioning,
	},
	"encryption": {
		get: "GetBucketEncryption", put: "PutBucketEncryption", delete: "DeleteBucketEncryption",
		getAction: "GetEncryptionConfiguration", putAction: "PutEncryptionConfiguration",
		element: "ServerSideEncryptionConfiguration",
		known:   "Rule ApplyServerSideEncryptionByDefault SSEAlgorithm KMSMasterKeyID BucketKeyEnabled BlockedEncryptionTypes EncryptionType",
		check:   checkEncryption,
	},
	"publicAccessBlock": {
		get: "GetPublicAccessBlock", put: "PutPublicAccessBlock", delete: "DeletePublicAccessBlock",
		getAction: "GetBucketPublicAccessBlock", putAction: "PutBucketPublicAccessBlock",
		element: "PublicAccessBlockConfiguration", known: "BlockPublicAcls IgnorePublicAcls BlockPublicPolicy RestrictPublicBuckets",
		missing: fail(http.StatusNotFound, "NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found"),
	},
	"lifecycle": {
		get: "GetBucketLifecycleConfiguration", put: "PutBucketLifecycleConfiguration", delete: "DeleteBucketLifecycle",
		getAction: "GetLifecycleConfiguration", putAction: "PutLifecycleConfiguration",
		element: "LifecycleConfiguration",
		known: "Rule ID Status Filter Prefix Tag Key Value And ObjectSizeGreaterThan ObjectSizeLessThan Expiration Days Date " +
			"ExpiredObjectDeleteMarker NoncurrentVersionExpiration NoncurrentDays NewerNoncurrentVersions AbortIncompleteMultipartUpload " +
			"DaysAfterInitiation Transition StorageClass NoncurrentVersionTransition",
		missing: fail(http.StatusNotFound, "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
		check:   checkLifecycle,
	},
	"object-lock": {
		get: "GetObjectLockConfiguration", put: "PutObjectLockConfiguration",
		getAction: "GetBucketObjectLockConfiguration", putAction: "PutBucketObjectLockConfiguration",
		element: "ObjectLockConfiguration", known: "ObjectLockEnabled Rule DefaultRetention Mode Days Years",
		missing: fail(http.StatusNotFound, "ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket"),
		check:   checkObjectLock,
	},
	"ownershipControls": {
		get: "GetBucketOwnershipControls", put: "PutBucketOwnershipControls", delete: "DeleteBucketOwnershipControls",
		getAction: "GetBucketOwnershipControls", putAction: "PutBucketOwnershipControls",
		element: "OwnershipControls", known: "Rule ObjectOwnership",
		missing: fail(http.StatusNotFound, "OwnershipControlsNotFoundError", "The bucket ownership controls were not found"),
	},
	"tagging": {
		get: "GetBucketTagging", put: "PutBucketTagging", delete: "DeleteBucketTagging",
		getAction: "GetBucketTagging", putAction: "PutBucketTagging",
		element: "Tagging", known: "TagSet Tag Key Value",
		missing: fail(http.StatusNotFound, "NoSuchTagSet", "The TagSet does not exist"),
	},
	"logging": {
		get: "GetBucketLogging", put: "PutBucketLogging",
		getAction: "GetBucketLogging", putAction: "PutBucketLogging",
		element: "BucketLoggingStatus", known: "LoggingEnabled TargetBucket TargetPrefix TargetObjectKeyFormat SimplePrefix PartitionedPrefix PartitionDateSource",
	},
}

func (c configuration) operation(method string) string {
	switch method {
	case http.MethodGet:
		return c.get
	case http.MethodPut:
		return c.put
	case http.MethodDelete:
		return c.delete
	}
	return ""
}

// initial are the documents of a new bucket: since 2023 it is encrypted, closed
// to the public and without access lists.
func initial() map[string]document {
	return map[string]document{
		"encryption":        {text: `<ServerSideEncryptionConfiguration xmlns="` + namespace + `"><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>`},
		"publicAccessBlock": {text: `<PublicAccessBlockConfiguration xmlns="` + namespace + `"><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`},
		"ownershipControls": {text: ownershipControls("BucketOwnerEnforced")},
	}
}

func ownershipControls(ownership string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(ownership))
	return `<OwnershipControls xmlns="` + namespace + `"><Rule><ObjectOwnership>` + b.String() + `</ObjectOwnership></Rule></OwnershipControls>`
}

// transitionHeader belongs to a lifecycle configuration.
const transitionHeader = "X-Amz-Transition-Default-Minimum-Object-Size"

func (s *Service) getConfiguration(name string, c configuration) api.Handler {
	return func(ctx context.Context, r *api.Request) (any, error) {
		b, err := s.bucket(ctx, r, c.getAction, nil)
		if err != nil {
			return nil, err
		}
		s.mu.RLock()
		defer s.mu.RUnlock()
		d, ok := b.configurations[name]
		switch {
		case !ok && c.missing != nil:
			return nil, c.missing
		case !ok:
			d.text = "<" + c.element + ` xmlns="` + namespace + `"/>`
		}
		header := d.header.Clone()
		if header == nil {
			header = http.Header{}
		}
		header.Set("Content-Type", "application/xml")
		return &api.Reply{Header: header, Body: []byte(d.text)}, nil
	}
}

func (s *Service) putConfiguration(name string, c configuration) api.Handler {
	return func(ctx context.Context, r *api.Request) (any, error) {
		b, err := s.bucket(ctx, r, c.putAction, nil)
		if err != nil {
			return nil, err
		}
		body, _, err := readBody(r)
		if err != nil {
			return nil, err
		}
		d := document{text: string(body), header: http.Header{}}
		if name == "lifecycle" {
			d.header.Set(transitionHeader, "all_storage_classes_128K")
			if v := r.HTTP.Header.Get(transitionHeader); v != "" {
				d.header.Set(transitionHeader, v)
			}
		}
		if err := checkElements(body, append(strings.Fields(c.known), c.element)); err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if c.check != nil {
			if err := c.check(b, d); err != nil {
				return nil, err
			}
		}
		b.configurations[name] = d
		return &api.Reply{Header: d.header}, nil
	}
}

func (s *Service) deleteConfiguration(name string, c configuration) api.Handler {
	return func(ctx context.Context, r *api.Request) (any, error) {
		b, err := s.bucket(ctx, r, c.putAction, nil)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(b.configurations, name)
		if name == "encryption" { // a bucket is never without
			b.configurations[name] = initial()[name]
		}
		return noContent(), nil
	}
}

func malformed() error {
	return badRequest("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
}

// checkElements refuses a document with an element that isn't known.
func checkElements(body []byte, known []string) error {
	d := xml.NewDecoder(bytes.NewReader(body))
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return malformed()
		}
		if start, ok := t.(xml.StartElement); ok && !slices.Contains(known, start.Name.Local) {
			return unsupported("the element " + start.Name.Local)
		}
	}
}

// parse reads a document into out; its elements are the ones named.
func parse(body []byte, out any, known ...string) error {
	if err := checkElements(body, known); err != nil {
		return err
	}
	if xml.Unmarshal(body, out) != nil {
		return malformed()
	}
	return nil
}

// read reads one of the bucket's documents; out stays as it is without one.
func (b *bucket) read(name string, out any) {
	if d, ok := b.configurations[name]; ok {
		_ = xml.Unmarshal([]byte(d.text), out) // checked when it was put
	}
}

// versioning is "" before it was switched on, then Enabled or Suspended.
func (b *bucket) versioning() string {
	var c struct{ Status string }
	b.read("versioning", &c)
	return c.Status
}

func (b *bucket) blocksPublicPolicies() bool {
	var c struct{ BlockPublicPolicy bool }
	b.read("publicAccessBlock", &c)
	return c.BlockPublicPolicy
}

func checkVersioning(b *bucket, d document) error {
	var c struct{ Status string }
	if xml.Unmarshal([]byte(d.text), &c) != nil || (c.Status != "Enabled" && c.Status != "Suspended") {
		return malformed()
	}
	if b.locked && c.Status == "Suspended" {
		return fail(http.StatusConflict, "InvalidBucketState", "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.")
	}
	return nil
}

type encryptionRule struct {
	Algorithm string `xml:"Rule>ApplyServerSideEncryptionByDefault>SSEAlgorithm"`
	Key       string `xml:"Rule>ApplyServerSideEncryptionByDefault>KMSMasterKeyID"`
	BucketKey bool   `xml:"Rule>BucketKeyEnabled"`
}

func checkEncryption(_ *bucket, d document) error {
	var c encryptionRule
	if xml.Unmarshal([]byte(d.text), &c) != nil || (c.Algorithm != "AES256" && c.Algorithm != "aws:kms") {
		return malformed()
	}
	if c.Algorithm == "AES256" && c.Key != "" {
		return badRequest("InvalidArgument", "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms")
	}
	return nil
}

func checkLifecycle(_ *bucket, d document) error {
	var c struct {
		Rule []struct{ ID, Status string }
	}
	if xml.Unmarshal([]byte(d.text), &c) != nil || len(c.Rule) == 0 || len(c.Rule) > 1000 {
		return malformed()
	}
	seen := map[string]bool{}
	for _, rule := range c.Rule {
		switch {
		case rule.Status != "Enabled" && rule.Status != "Disabled":
			return malformed()
		case rule.ID == "":
			return unsupported("a lifecycle rule without an ID")
		case seen[rule.ID]:
			return badRequest("InvalidArgument", "Rule ID must be unique. Found same ID for more than one rule")
		}
		seen[rule.ID] = true
	}
	return nil
}
