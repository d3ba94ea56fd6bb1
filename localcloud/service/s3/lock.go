package s3

import (
	"context"
	"encoding/xml"
	"net/http"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// lock is what object lock keeps a version by.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
type lock struct {
	mode  string // GOVERNANCE or COMPLIANCE, "" for none
	until time.Time
	hold  bool
}

func (l lock) show(header http.Header) {
	if l.mode != "" {
		header.Set("X-Amz-Object-Lock-Mode", l.mode)
		header.Set("X-Amz-Object-Lock-Retain-Until-Date", l.until.UTC().Format(time.RFC3339))
	}
	if l.hold {
		header.Set("X-Amz-Object-Lock-Legal-Hold", "ON")
	}
}

type lockConfiguration struct {
	Enabled string `xml:"ObjectLockEnabled"`
	Mode    string `xml:"Rule>DefaultRetention>Mode"`
	Days    int    `xml:"Rule>DefaultRetention>Days"`
	Years   int    `xml:"Rule>DefaultRetention>Years"`
}

// checkObjectLock: an existing bucket can get object lock when it has versions.
func checkObjectLock(b *bucket, d document) error {
	var c lockConfiguration
	if xml.Unmarshal([]byte(d.text), &c) != nil || c.Enabled != "Enabled" {
		return malformed()
	}
	if c.Mode != "" && !validMode(c.Mode) || c.Mode != "" && (c.Days > 0) == (c.Years > 0) {
		return malformed()
	}
	if b.versioning() != "Enabled" {
		return fail(http.StatusConflict, "InvalidBucketState", "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
	}
	b.locked = true
	return nil
}

func validMode(mode string) bool { return mode == "GOVERNANCE" || mode == "COMPLIANCE" }

// lockOf is the lock of a new version: the request's or the bucket's default.
func (b *bucket) lockOf(r *api.Request) (lock, error) {
	header := r.HTTP.Header
	mode, until, hold := header.Get("X-Amz-Object-Lock-Mode"), header.Get("X-Amz-Object-Lock-Retain-Until-Date"), header.Get("X-Amz-Object-Lock-Legal-Hold")
	if !b.locked {
		if mode != "" || until != "" || hold != "" {
			return lock{}, badRequest("InvalidRequest", "Bucket is missing Object Lock Configuration")
		}
		return lock{}, nil
	}
	out := lock{mode: mode, hold: hold == "ON"}
	if mode != "" || until != "" {
		t, err := time.Parse(time.RFC3339, until)
		if err != nil || !validMode(mode) {
			return lock{}, badRequest("InvalidArgument", "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")
		}
		if !t.After(r.Time) {
			return lock{}, badRequest("InvalidArgument", "The retain until date must be in the future!")
		}
		out.until = t
		return out, nil
	}
	var c lockConfiguration
	b.read("object-lock", &c)
	if c.Mode != "" {
		out.mode, out.until = c.Mode, r.Time.AddDate(c.Years, 0, c.Days)
	}
	return out, nil
}

// mayRemove refuses to delete a version that is locked, or to shorten its lock.
// s.mu is held.
func (s *Service) mayRemove(ctx context.Context, r *api.Request, b *bucket, v *version) error {
	denied := fail(http.StatusForbidden, "AccessDenied", "Access Denied because object protected by object lock.")
	switch {
	case v.lock.hold:
		return denied
	case v.lock.mode == "" || !v.lock.until.After(r.Time):
		return nil
	case v.lock.mode == "COMPLIANCE" || r.HTTP.Header.Get("X-Amz-Bypass-Governance-Retention") != "true":
		return denied
	}
	return s.authorize(ctx, r, b, "BypassGovernanceRetention", v.key, nil)
}

type retentionDocument struct {
	XMLName xml.Name `xml:"Retention"`
	Mode    string   `xml:",omitempty"`
	Until   *stamp   `xml:"RetainUntilDate"`
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *stamp) UnmarshalText(text []byte) (err error) {
	s.Time, err = time.Parse(time.RFC3339, string(text))
	return err
}

func noLock() error {
	return fail(http.StatusNotFound, "NoSuchObjectLockConfiguration", "The specified object does not have a ObjectLock configuration")
}

func (s *Service) getObjectRetention(ctx context.Context, r *api.Request) (any, error) {
	_, v, err := s.locked(ctx, r, "GetObjectRetention")
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if v.lock.mode == "" {
		return nil, noLock()
	}
	return &retentionDocument{Mode: v.lock.mode, Until: &stamp{v.lock.until}}, nil
}

// locked is object for the operations on locks, whose actions are the same for
// all versions.
func (s *Service) locked(ctx context.Context, r *api.Request, action string) (*bucket, *version, error) {
	b, err := s.bucket(ctx, r, action, nil)
	if err != nil {
		return nil, nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !b.locked {
		return nil, nil, badRequest("InvalidRequest", "Bucket is missing Object Lock Configuration")
	}
	v, err := b.find(r.Path["Key"], r.HTTP.URL.Query().Get("versionId"))
	return b, v, err
}

// putObjectRetention extends a lock, or shortens one of governance with the
// right to bypass it.
func (s *Service) putObjectRetention(ctx context.Context, r *api.Request) (any, error) {
	b, v, err := s.locked(ctx, r, "PutObjectRetention")
	if err != nil {
		return nil, err
	}
	body, _, err := readBody(r)
	if err != nil {
		return nil, err
	}
	var in retentionDocument
	if err := parse(body, &in, "Retention", "Mode", "RetainUntilDate"); err != nil {
		return nil, err
	}
	next := lock{mode: in.Mode}
	if in.Mode != "" {
		if !validMode(in.Mode) || in.Until == nil {
			return nil, malformed()
		}
		if next.until = in.Until.Time; !next.until.After(r.Time) {
			return nil, badRequest("InvalidArgument", "The retain until date must be in the future!")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next.hold = v.lock.hold
	extends := next.mode == v.lock.mode && !next.until.Before(v.lock.until)
	if weaker := (lock{mode: v.lock.mode, until: v.lock.until}); !extends {
		probe := *v
		probe.lock = weaker
		if err := s.mayRemove(ctx, r, b, &probe); err != nil {
			return nil, err
		}
	}
	v.lock = next
	return &api.Reply{}, nil
}

type holdDocument struct {
	XMLName xml.Name `xml:"LegalHold"`
	Status  string
}

func (s *Service) getObjectLegalHold(ctx context.Context, r *api.Request) (any, error) {
	_, v, err := s.locked(ctx, r, "GetObjectLegalHold")
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if v.lock.hold {
		return &holdDocument{Status: "ON"}, nil
	}
	return &holdDocument{Status: "OFF"}, nil
}

func (s *Service) putObjectLegalHold(ctx context.Context, r *api.Request) (any, error) {
	_, v, err := s.locked(ctx, r, "PutObjectLegalHold")
	if err != nil {
		return nil, err
	}
	body, _, err := readBody(r)
	if err != nil {
		return nil, err
	}
	var in holdDocument
	if err := parse(body, &in, "LegalHold", "Status"); err != nil {
		return nil, err
	}
	if in.Status != "ON" && in.Status != "OFF" {
		return nil, malformed()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v.lock.hold = in.Status == "ON"
	return &api.Reply{}, nil
}
