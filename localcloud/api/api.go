// Package api is what the local cloud's services have in common: a request
// after routing, who makes it, AWS's errors and AWS's wire protocols.
package api

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/aistudio/secrets/localcloud/clock"
)

// Env is what every service gets from the cloud that it lives in.
type Env struct {
	Clock *clock.Clock
	// Account is the one that callers with unknown access keys belong to.
	Account string
	// Rand is the source of random bytes (crypto/rand unless a test says so).
	Rand io.Reader
	Log  *slog.Logger
	// Trail takes the events that services write by themselves, such as
	// RotationSucceeded. The dispatcher records the calls.
	Trail Recorder
	// IAM answers whether a caller may do something.
	IAM Authorizer
	// Endpoint returns the base URL of the cloud, for programs that it runs.
	Endpoint func() string
}

// Caller is who makes a call.
type Caller struct {
	Account string
	// ARN is that of the principal: the account's root, a user, or
	// arn:aws:sts::<account>:assumed-role/<role>/<session>.
	ARN string
	// Root callers pass every check: the credentials of the test itself.
	Root bool
	// Role is the ARN of the assumed role, without the session.
	Role string
	// Session is the name of the role's session.
	Session string
	// ID is the principal's unique id (aws:userid): "AROA…:session", "AIDA…",
	// the account's number for its root.
	ID string
	// Issued is when the session's credentials were made; zero for others.
	Issued time.Time
	// AccessKeyID is empty for calls that services make.
	AccessKeyID string
	// Tags are the principal's tags, for aws:PrincipalTag.
	Tags map[string]string
	// Service is set when an AWS service calls as itself, for example
	// "secretsmanager.amazonaws.com"; SourceARN is what it calls for.
	Service   string
	SourceARN string
	// Via is the service that calls in the principal's name (kms:ViaService),
	// for example "secretsmanager.us-east-1.amazonaws.com".
	Via       string
	SourceIP  string
	UserAgent string
}

// Principal is the ARN that policies name: the role's for a session of it.
func (c Caller) Principal() string {
	if c.Role != "" {
		return c.Role
	}
	return c.ARN
}

// Check is one question to IAM: may the caller do this to that?
type Check struct {
	// Action as in policies, for example "secretsmanager:GetSecretValue".
	Action string
	// Resource is the ARN, or "*" for actions without one.
	Resource string
	// Account owns the resource, where its ARN doesn't tell: S3's.
	Account string
	// ResourcePolicy is the JSON policy attached to the resource, if any.
	ResourcePolicy string
	// PolicyDecides is KMS's rule: identity policies count only when the
	// resource's policy lets the account use them.
	PolicyDecides bool
	// Context holds condition keys beyond the global ones, for example
	// "secretsmanager:ResourceTag/Environment" or "kms:EncryptionContext:k".
	Context map[string][]string
}

// Authorizer decides by all policies that apply. The error is an *Error with
// code AccessDeniedException that names action and resource.
type Authorizer interface {
	Authorize(ctx context.Context, caller Caller, region string, check Check) error
}

// Request is one AWS call after routing.
type Request struct {
	HTTP      *http.Request
	Body      []byte
	ID        string
	Service   string // SigV4 signing name
	Operation string
	Region    string
	Account   string
	Caller    Caller
	Time      time.Time
	// Path holds the variables of a REST path.
	Path map[string]string

	// TrailParams replaces what CloudTrail shows as requestParameters. The
	// default is the JSON body without its sensitive members.
	TrailParams map[string]any
	// TrailResponse is what CloudTrail shows as responseElements; nil for
	// reads. Never a secret value.
	TrailResponse map[string]any
	// TrailResources are the ARNs that the call touched.
	TrailResources []string

	iam        Authorizer
	authorized bool
}

// NewRequest ties a routed call to the IAM that judges it.
func NewRequest(r Request, iam Authorizer) *Request {
	r.iam = iam
	return &r
}

// Authorize asks IAM. Every handler calls it (or AllowAll) before it shows or
// changes anything: a reply of a handler that never asked is withheld.
func (r *Request) Authorize(ctx context.Context, c Check) error {
	r.authorized = true
	return r.iam.Authorize(ctx, r.Caller, r.Region, c)
}

// AllowAll is for the few operations that AWS lets everybody call, such as
// sts:GetCallerIdentity.
func (r *Request) AllowAll() { r.authorized = true }

// Authorized reports whether the handler asked.
func (r *Request) Authorized() bool { return r.authorized }

// ARN makes an ARN of the request's region and account.
func (r *Request) ARN(service, resource string) string {
	return ARN(service, r.Region, r.Account, resource)
}

// ARN makes an ARN in the aws partition.
func ARN(service, region, account, resource string) string {
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, region, account, resource)
}

// Handler carries out one operation. The result is written by the service's
// protocol; a *Reply sets status and headers too.
type Handler func(ctx context.Context, r *Request) (any, error)

// Reply is a result with a status, headers and a body: []byte goes out as it
// is, anything else as the protocol writes it.
type Reply struct {
	Status int
	Header http.Header
	Body   any
}

// Service is one AWS service.
type Service interface {
	// Name is the SigV4 signing name.
	Name() string
	Protocol() Protocol
	// Handler returns nil for an operation that isn't there.
	Handler(operation string) Handler
}

// Sensitive is a Service whose requests have members that CloudTrail leaves
// out, at any depth.
type Sensitive interface {
	SensitiveMembers() []string
}

// Error is an error as AWS answers it.
type Error struct {
	Status  int
	Code    string
	Message string
	// Fields are more members of the error's body, such as Reason.
	Fields map[string]any
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Errorf makes a client error (status 400) as most JSON services have it.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}

// StatusErrorf makes an error with a status of its own.
func StatusErrorf(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Event is one record of CloudTrail.
type Event struct {
	ID        string
	Name      string
	Source    string // for example "secretsmanager.amazonaws.com"
	Type      string // AwsApiCall or AwsServiceEvent
	Time      time.Time
	Region    string
	Account   string
	Caller    Caller
	ReadOnly  bool
	RequestID string
	Request   map[string]any
	Response  map[string]any
	// Additional is additionalEventData, where services' own events say what
	// they are about.
	Additional   map[string]any
	Resources    []string
	ErrorCode    string
	ErrorMessage string
}

// Recorder keeps events and hands them to EventBridge.
type Recorder interface {
	Record(ctx context.Context, e Event)
}
