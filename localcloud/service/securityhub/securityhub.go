// Package securityhub is the local cloud's AWS Security Hub: findings that are
// imported in AWS's format (ASFF), with the limits of the import, and found
// again. Standards, controls, members and insights are refused.
package securityhub

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is AWS Security Hub.
type Service struct {
	env *api.Env

	mu   sync.Mutex
	hubs map[place]*hub
}

type place struct{ account, region string }

// hub is Security Hub in a region of an account that enabled it.
type hub struct {
	enabled  time.Time
	imports  *rate.Limiter
	findings map[findingKey]finding
}

// New makes a Security Hub that nobody has enabled.
func New(env *api.Env) *Service { return &Service{env: env, hubs: map[place]*hub{}} }

// Name implements api.Service.
func (s *Service) Name() string { return "securityhub" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol {
	return api.REST{Routes: []api.Route{
		{Method: http.MethodPost, Path: "/accounts", Operation: "EnableSecurityHub"},
		{Method: http.MethodGet, Path: "/accounts", Operation: "DescribeHub"},
		{Method: http.MethodDelete, Path: "/accounts", Operation: "DisableSecurityHub"},
		{Method: http.MethodPost, Path: "/findings/import", Operation: "BatchImportFindings"},
		{Method: http.MethodPost, Path: "/findings", Operation: "GetFindings"},
	}}
}

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{
		"EnableSecurityHub":   api.JSON(s.enable),
		"DescribeHub":         s.describe,
		"DisableSecurityHub":  api.JSON(s.disable),
		"BatchImportFindings": api.JSON(s.importFindings),
		"GetFindings":         api.JSON(s.getFindings),
	}[operation]
}

// Quotas of BatchImportFindings:
// https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_BatchImportFindings.html
const (
	importsPerSecond = 10
	importsBurst     = 30
	maxFindings      = 100
	maxSize          = 240 << 10
)

func at(r *api.Request) place { return place{r.Account, r.Region} }

func hubARN(r *api.Request) string { return r.ARN("securityhub", "hub/default") }

func invalid(format string, args ...any) error {
	return api.Errorf("InvalidInputException", format, args...)
}

// hub finds the caller's. s.mu is held.
func (s *Service) hub(r *api.Request) (*hub, error) {
	if h := s.hubs[at(r)]; h != nil {
		return h, nil
	}
	return nil, api.StatusErrorf(http.StatusUnauthorized, "InvalidAccessException", "Account %s is not subscribed to AWS Security Hub", r.Account)
}

type enableInput struct {
	EnableDefaultStandards  *bool
	ControlFindingGenerator string
	Tags                    map[string]string
}

func (s *Service) enable(ctx context.Context, r *api.Request, in *enableInput) (*struct{}, error) {
	r.TrailResources = []string{hubARN(r)}
	if err := r.Authorize(ctx, api.Check{Action: "securityhub:EnableSecurityHub", Resource: hubARN(r)}); err != nil {
		return nil, err
	}
	if in.EnableDefaultStandards == nil || *in.EnableDefaultStandards {
		return nil, api.StatusErrorf(http.StatusNotImplemented, api.ErrUnsupportedMember, "The emulator has no standards: set EnableDefaultStandards to false.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hubs[at(r)] != nil {
		return nil, api.StatusErrorf(http.StatusConflict, "ResourceConflictException", "Account is already subscribed to Security Hub")
	}
	s.hubs[at(r)] = &hub{enabled: r.Time, imports: rate.NewLimiter(importsPerSecond, importsBurst), findings: map[findingKey]finding{}}
	return nil, nil //nolint:nilnil // an operation without a result
}

func (s *Service) disable(ctx context.Context, r *api.Request, _ *struct{}) (*struct{}, error) {
	r.TrailResources = []string{hubARN(r)}
	if err := r.Authorize(ctx, api.Check{Action: "securityhub:DisableSecurityHub", Resource: hubARN(r)}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.hub(r); err != nil {
		return nil, err
	}
	delete(s.hubs, at(r))
	return nil, nil //nolint:nilnil // an operation without a result
}

type describeOutput struct {
	HubArn                  string
	SubscribedAt            string
	AutoEnableControls      bool
	ControlFindingGenerator string
}

func (s *Service) describe(ctx context.Context, r *api.Request) (any, error) {
	if err := r.Authorize(ctx, api.Check{Action: "securityhub:DescribeHub", Resource: hubARN(r)}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h, err := s.hub(r)
	if err != nil {
		return nil, err
	}
	return &describeOutput{hubARN(r), h.enabled.Format("2006-01-02T15:04:05.000Z"), true, "SECURITY_CONTROL"}, nil
}
