package s3

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/iam"
)

type owner struct {
	ID string
}

// ownerID stands for the account's canonical user ID, 64 digits on AWS.
func ownerID(account string) owner { return owner{account} }

type listBucketsOutput struct {
	XMLName xml.Name     `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
	Owner   owner        `xml:"Owner"`
	Buckets []bucketItem `xml:"Buckets>Bucket"`
}

type bucketItem struct {
	Name, BucketRegion string
	CreationDate       stamp
}

// stamp is a time in S3's XML.
type stamp struct{ time.Time }

// MarshalText implements encoding.TextMarshaler.
func (s stamp) MarshalText() ([]byte, error) {
	return []byte(s.UTC().Format("2006-01-02T15:04:05.000Z")), nil
}

func (s *Service) listBuckets(ctx context.Context, r *api.Request) (any, error) {
	if err := r.Authorize(ctx, api.Check{Action: "s3:ListAllMyBuckets", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := &listBucketsOutput{Owner: ownerID(r.Account)}
	for _, name := range slices.Sorted(maps.Keys(s.buckets)) {
		if b := s.buckets[name]; b.account == r.Account {
			out.Buckets = append(out.Buckets, bucketItem{name, b.region, stamp{b.created}})
		}
	}
	return out, nil
}

func (s *Service) createBucket(ctx context.Context, r *api.Request) (any, error) {
	name := r.Path["BucketName"]
	if err := r.Authorize(ctx, api.Check{Action: "s3:CreateBucket", Resource: bucketARN(name), Account: r.Account}); err != nil {
		return nil, err
	}
	var in struct {
		XMLName            xml.Name `xml:"CreateBucketConfiguration"`
		LocationConstraint string
	}
	body, _, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		if err := parse(body, &in, "CreateBucketConfiguration", "LocationConstraint"); err != nil {
			return nil, err
		}
	}
	switch region := in.LocationConstraint; {
	case region == "us-east-1":
		return nil, badRequest("InvalidLocationConstraint", "The specified location-constraint is not valid")
	case region == "" && r.Region != "us-east-1", region != "" && region != r.Region:
		return nil, badRequest("IllegalLocationConstraintException", "The %s location constraint is incompatible for the region specific endpoint this request was sent to.", orUnspecified(region))
	case !validName(name):
		return nil, badRequest("InvalidBucketName", "The specified bucket is not valid.")
	}
	header := r.HTTP.Header
	if acl := header.Get("X-Amz-Acl"); acl != "" && acl != "private" {
		return nil, unsupported("the access list " + acl)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch old := s.buckets[name]; {
	case old != nil && old.account != r.Account:
		return nil, fail(http.StatusConflict, "BucketAlreadyExists", "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.")
	case old != nil && r.Region == "us-east-1" && old.region == r.Region:
		return &api.Reply{Header: http.Header{"Location": {"/" + name}}}, nil // as North Virginia always did
	case old != nil:
		return nil, fail(http.StatusConflict, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.")
	}
	b := &bucket{
		name: name, account: r.Account, region: r.Region, created: r.Time,
		configurations: map[string]document{}, objects: map[string][]*version{},
	}
	maps.Copy(b.configurations, initial())
	if ownership := header.Get("X-Amz-Object-Ownership"); ownership != "" {
		b.configurations["ownershipControls"] = document{text: ownershipControls(ownership)}
	}
	if header.Get("X-Amz-Bucket-Object-Lock-Enabled") == "true" {
		b.locked = true
		b.configurations["object-lock"] = document{text: `<ObjectLockConfiguration xmlns="` + namespace + `"><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>`}
		b.configurations["versioning"] = document{text: `<VersioningConfiguration xmlns="` + namespace + `"><Status>Enabled</Status></VersioningConfiguration>`}
	}
	s.buckets[name] = b
	return &api.Reply{Header: http.Header{"Location": {"/" + name}, "X-Amz-Bucket-Arn": {bucketARN(name)}}}, nil
}

func orUnspecified(region string) string {
	if region == "" {
		return "unspecified"
	}
	return region
}

// deleteBucket deletes an empty bucket: one without any version of an object.
func (s *Service) deleteBucket(ctx context.Context, r *api.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(r)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(ctx, r, b, "DeleteBucket", "", nil); err != nil {
		return nil, err
	}
	switch {
	case len(b.objects) > 0 && b.versioning() == "":
		return nil, fail(http.StatusConflict, "BucketNotEmpty", "The bucket you tried to delete is not empty")
	case len(b.objects) > 0:
		return nil, fail(http.StatusConflict, "BucketNotEmpty", "The bucket you tried to delete is not empty. You must delete all versions in the bucket.")
	}
	delete(s.buckets, b.name)
	return noContent(), nil
}

func noContent() *api.Reply { return &api.Reply{Status: http.StatusNoContent} }

func (s *Service) headBucket(ctx context.Context, r *api.Request) (any, error) {
	b, err := s.bucket(ctx, r, "ListBucket", nil)
	if err != nil {
		return nil, err
	}
	return &api.Reply{Header: http.Header{"X-Amz-Bucket-Region": {b.region}, "X-Amz-Bucket-Arn": {bucketARN(b.name)}}}, nil
}

type locationOutput struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
	Region  string   `xml:",chardata"`
}

// getBucketLocation answers in every region; us-east-1 is the empty one.
func (s *Service) getBucketLocation(ctx context.Context, r *api.Request) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.buckets[r.Path["BucketName"]]
	if b == nil {
		return s.find(r)
	}
	if err := s.authorize(ctx, r, b, "GetBucketLocation", "", nil); err != nil {
		return nil, err
	}
	if b.region == "us-east-1" {
		return &locationOutput{}, nil
	}
	return &locationOutput{Region: b.region}, nil
}

type aclOutput struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AccessControlPolicy"`
	Owner   owner
	Grants  []grant `xml:"AccessControlList>Grant"`
}

type grant struct {
	Grantee struct {
		Instance string `xml:"xmlns:xsi,attr"`
		Type     string `xml:"xsi:type,attr"`
		ID       string
	}
	Permission string
}

// getBucketACL shows the only access list that there is: the owner's.
func (s *Service) getBucketACL(ctx context.Context, r *api.Request) (any, error) {
	b, err := s.bucket(ctx, r, "GetBucketAcl", nil)
	if err != nil {
		return nil, err
	}
	g := grant{Permission: "FULL_CONTROL"}
	g.Grantee.Instance, g.Grantee.Type, g.Grantee.ID = "http://www.w3.org/2001/XMLSchema-instance", "CanonicalUser", b.account
	return &aclOutput{Owner: ownerID(b.account), Grants: []grant{g}}, nil
}

func (s *Service) getBucketPolicy(ctx context.Context, r *api.Request) (any, error) {
	b, err := s.bucket(ctx, r, "GetBucketPolicy", nil)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b.policy == "" {
		return nil, fail(http.StatusNotFound, "NoSuchBucketPolicy", "The bucket policy does not exist")
	}
	return &api.Reply{Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(b.policy)}, nil
}

func (s *Service) putBucketPolicy(ctx context.Context, r *api.Request) (any, error) {
	b, err := s.bucket(ctx, r, "PutBucketPolicy", nil)
	if err != nil {
		return nil, err
	}
	body, _, err := readBody(r)
	if err != nil {
		return nil, err
	}
	text := string(body)
	if _, err := iam.Parse(iam.Resource, text); err != nil {
		return nil, badRequest("MalformedPolicy", "%v", err)
	}
	if !b.owns(text) {
		return nil, badRequest("MalformedPolicy", "Policy has invalid resource")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.blocksPublicPolicies() && iam.Public(text) {
		return nil, fail(http.StatusForbidden, "AccessDenied", "User: %s is not authorized to perform: s3:PutBucketPolicy on resource: %q because public policies are blocked by the BlockPublicPolicy block public access setting.", r.Caller.ARN, bucketARN(b.name))
	}
	b.policy = text
	return noContent(), nil
}

// owns tells whether all statements of a policy are about the bucket.
func (b *bucket) owns(policy string) bool {
	var doc struct{ Statement json.RawMessage }
	if json.Unmarshal([]byte(policy), &doc) != nil {
		return false
	}
	var list []struct{ Resource, NotResource json.RawMessage }
	if json.Unmarshal(doc.Statement, &list) != nil {
		list = make([]struct{ Resource, NotResource json.RawMessage }, 1)
		if json.Unmarshal(doc.Statement, &list[0]) != nil {
			return false
		}
	}
	for _, st := range list {
		for _, raw := range []json.RawMessage{st.Resource, st.NotResource} {
			var resources []string
			if raw != nil && json.Unmarshal(raw, &resources) != nil {
				resources = make([]string, 1)
				if json.Unmarshal(raw, &resources[0]) != nil {
					return false
				}
			}
			for _, arn := range resources {
				if arn != bucketARN(b.name) && !hasPrefix(arn, bucketARN(b.name)+"/") {
					return false
				}
			}
		}
	}
	return true
}

func hasPrefix(s, prefix string) bool { return len(s) > len(prefix) && s[:len(prefix)] == prefix }

func (s *Service) deleteBucketPolicy(ctx context.Context, r *api.Request) (any, error) {
	b, err := s.bucket(ctx, r, "DeleteBucketPolicy", nil)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.policy = ""
	return noContent(), nil
}

type policyStatusOutput struct {
	XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ PolicyStatus"`
	IsPublic bool
}

func (s *Service) getBucketPolicyStatus(ctx context.Context, r *api.Request) (any, error) {
	b, err := s.bucket(ctx, r, "GetBucketPolicyStatus", nil)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b.policy == "" {
		return nil, fail(http.StatusNotFound, "NoSuchBucketPolicy", "The bucket policy does not exist")
	}
	return &policyStatusOutput{IsPublic: iam.Public(b.policy)}, nil
}
