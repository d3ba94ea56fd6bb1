// Package secretstest gives the tests of services a Secrets Manager in memory:
// a [Store] that answers as AWS does, in any number of regions, behind a real
// [secrets.Client], with no network and no credentials.
//
//	store := secretstest.New()
//	store.Put("acme/dev/shop/db", `{"username":"shop","password":"one"}`)
//	client := store.Client(t)
//	… the service under test reads from client …
//	store.Put("acme/dev/shop/db", `{"username":"shop_clone","password":"two"}`) // rotated
package secretstest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	secrets "github.com/aistudio/secrets/sdk"
)

// Region is the region of the clients that Store.Client makes, unless an
// option says otherwise.
const Region = "us-east-1"

const account = "123456789012"

// Store is a Secrets Manager in memory, with the same secrets in every region.
// It is safe for concurrent use.
type Store struct {
	mu      sync.Mutex
	secrets map[string]*stored
	calls   map[call]int
	before  func(ctx context.Context, region, id string) error
	after   func(ctx context.Context, region, id string) error
	now     func() time.Time
}

type call struct{ region, id string }

type stored struct {
	name     string
	versions []*version // oldest first
	deleted  bool
}

type version struct {
	id      string
	value   []byte
	binary  bool
	stages  []string
	created time.Time
}

// New returns an empty store.
func New() *Store {
	return &Store{secrets: map[string]*stored{}, calls: map[call]int{}, now: time.Now}
}

// SetClock sets the clock that dates versions.
func (s *Store) SetClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

// Put gives the secret, which it makes if need be, a new current version and
// returns the version's ID. The version that was current becomes the previous
// one.
func (s *Store) Put(name, value string) (versionID string) {
	return s.put(name, []byte(value), false, secrets.StageCurrent)
}

// PutBinary is Put for a secret that holds bytes.
func (s *Store) PutBinary(name string, value []byte) (versionID string) {
	return s.put(name, value, true, secrets.StageCurrent)
}

// PutStage gives the secret a new version with that staging label, which
// another version loses.
func (s *Store) PutStage(name, value, stage string) (versionID string) {
	return s.put(name, []byte(value), false, stage)
}

func (s *Store) put(name string, value []byte, binary bool, stage string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret := s.secrets[name]
	if secret == nil {
		secret = &stored{name: name}
		s.secrets[name] = secret
	}
	secret.deleted = false
	added := &version{
		id:      fmt.Sprintf("%08d-0000-4000-8000-%s", len(secret.versions)+1, suffix(name, 12)),
		value:   slices.Clone(value),
		binary:  binary,
		created: s.now(),
	}
	secret.versions = append(secret.versions, added)
	secret.move(stage, added)
	return added.id
}

// Label moves the staging label to a version of the secret, as the end of a
// rotation does with AWSCURRENT: the version that had that becomes the previous
// one. There must be such a version.
func (s *Store) Label(name, stage, versionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret := s.secrets[name]
	secret.move(stage, secret.find("", versionID))
}

// Delete schedules the secret for deletion; reads fail as AWS's do. Put brings
// it back.
func (s *Store) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if secret := s.secrets[name]; secret != nil {
		secret.deleted = true
	}
}

// BeforeCall sets a function that runs before each read of a secret, with the
// id as it was asked for, and whose error the read then fails with: for
// latency, outages of a region and denied access (see Denied and Throttled).
// nil takes it away.
func (s *Store) BeforeCall(f func(ctx context.Context, region, id string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// AfterCall sets a function that runs when a read has its answer and before
// the caller gets it, and whose error the read fails with: for answers that are
// slow or lost. nil takes it away.
func (s *Store) AfterCall(f func(ctx context.Context, region, id string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = f
}

// Denied is the error of a caller without permission.
func Denied() error {
	return &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "User is not authorized to perform: secretsmanager:GetSecretValue", Fault: smithy.FaultClient}
}

// Throttled is the error of a caller over the service's quota.
func Throttled() error {
	return &smithy.GenericAPIError{Code: "ThrottlingException", Message: "Rate exceeded", Fault: smithy.FaultClient}
}

// Calls returns how many reads of a secret there were, in all regions. A batch
// is one call for each of its secrets.
func (s *Store) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := 0
	for _, n := range s.calls {
		sum += n
	}
	return sum
}

// CallsTo returns how many reads there were in that region of that id.
func (s *Store) CallsTo(region, id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[call{region, id}]
}

// Client returns a client that reads from the store and is closed when the
// test ends.
func (s *Store) Client(t testing.TB, options ...secrets.Option) *secrets.Client {
	t.Helper()
	options = append([]secrets.Option{secrets.WithRegion(Region), secrets.WithAPI(s.API)}, options...)
	client, err := secrets.New(context.Background(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// API returns the store in that region, for secrets.WithAPI.
func (s *Store) API(region string) secrets.API { return regional{s, region} }

type regional struct {
	store  *Store
	region string
}

func (r regional) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	return r.store.get(ctx, r.region, aws.ToString(in.SecretId), aws.ToString(in.VersionStage), aws.ToString(in.VersionId))
}

func (r regional) BatchGetSecretValue(ctx context.Context, in *secretsmanager.BatchGetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.BatchGetSecretValueOutput, error) {
	if len(in.SecretIdList) > 20 {
		return nil, &types.InvalidParameterException{Message: aws.String("SecretIdList has more than 20 entries")}
	}
	out := &secretsmanager.BatchGetSecretValueOutput{}
	for _, id := range in.SecretIdList {
		one, err := r.store.get(ctx, r.region, id, "", "")
		var known smithy.APIError
		switch {
		case err == nil:
			out.SecretValues = append(out.SecretValues, types.SecretValueEntry{
				ARN: one.ARN, Name: one.Name, VersionId: one.VersionId, SecretString: one.SecretString,
				SecretBinary: one.SecretBinary, VersionStages: one.VersionStages, CreatedDate: one.CreatedDate,
			})
		case errors.As(err, &known) && known.ErrorCode() != "ThrottlingException":
			out.Errors = append(out.Errors, types.APIErrorType{SecretId: &id, ErrorCode: aws.String(known.ErrorCode()), Message: aws.String(known.ErrorMessage())})
		default:
			return nil, err
		}
	}
	return out, nil
}

func (s *Store) get(ctx context.Context, region, id, stage, versionID string) (*secretsmanager.GetSecretValueOutput, error) {
	s.mu.Lock()
	s.calls[call{region, id}]++
	before, after := s.before, s.after
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx, region, id); err != nil {
			return nil, err
		}
	}
	out, err := s.answer(region, id, stage, versionID)
	if err == nil && after != nil {
		if err := after(ctx, region, id); err != nil {
			return nil, err
		}
	}
	return out, err
}

func (s *Store) answer(region, id, stage, versionID string) (*secretsmanager.GetSecretValueOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret := s.lookUp(region, id)
	if secret == nil {
		return nil, &types.ResourceNotFoundException{Message: aws.String("Secrets Manager can't find the specified secret.")}
	}
	if secret.deleted {
		return nil, &types.InvalidRequestException{Message: aws.String("You can't perform this operation on the secret because it was marked for deletion.")}
	}
	if stage == "" && versionID == "" {
		stage = secrets.StageCurrent
	}
	found := secret.find(stage, versionID)
	if found == nil {
		return nil, &types.ResourceNotFoundException{Message: aws.String("Secrets Manager can't find the specified secret value for the staging label or version.")}
	}
	out := &secretsmanager.GetSecretValueOutput{
		ARN: aws.String(arn(region, secret.name)), Name: aws.String(secret.name), VersionId: aws.String(found.id),
		VersionStages: slices.Clone(found.stages), CreatedDate: aws.Time(found.created),
	}
	if found.binary {
		out.SecretBinary = slices.Clone(found.value)
	} else {
		out.SecretString = aws.String(string(found.value))
	}
	return out, nil
}

// lookUp finds a secret by name, ARN or ARN without the random suffix, of the
// region's own; s.mu is held.
func (s *Store) lookUp(region, id string) *stored {
	if secret := s.secrets[id]; secret != nil {
		return secret
	}
	for _, secret := range s.secrets {
		full := arn(region, secret.name)
		if id == full || id == full[:len(full)-7] {
			return secret
		}
	}
	return nil
}

// find returns the version that has all that is asked for, or nil.
func (s *stored) find(stage, versionID string) *version {
	for _, v := range s.versions {
		if (stage == "" || slices.Contains(v.stages, stage)) && (versionID == "" || v.id == versionID) {
			return v
		}
	}
	return nil
}

// move moves the staging label to the version, and AWSPREVIOUS with AWSCURRENT.
func (s *stored) move(stage string, to *version) {
	if current := s.find(secrets.StageCurrent, ""); current != nil && current != to && stage == secrets.StageCurrent {
		s.label(secrets.StagePrevious, current)
	}
	s.label(stage, to)
}

// label moves the staging label to the version, and no other.
func (s *stored) label(stage string, to *version) {
	for _, v := range s.versions {
		v.stages = slices.DeleteFunc(v.stages, func(have string) bool { return have == stage })
	}
	to.stages = append(to.stages, stage)
}

// ARN returns the secret's ARN in Region.
func ARN(name string) string { return arn(Region, name) }

func arn(region, name string) string {
	return strings.Join([]string{"arn", "aws", "secretsmanager", region, account, "secret", name}, ":") + "-" + suffix(name, 6)
}

// suffix makes the random part of ARNs and IDs, the same in every run.
func suffix(name string, n int) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])[:n]
}
