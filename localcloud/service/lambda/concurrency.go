package lambda

import (
	"context"
	"net/http"

	"github.com/aistudio/secrets/localcloud/api"
	executor "github.com/aistudio/secrets/localcloud/lambda"
)

const (
	// accountConcurrency is AWS's default quota of a region.
	accountConcurrency = 1000
	// minUnreserved is what reservations must leave of it.
	minUnreserved = 100
)

type concurrencyOutput struct {
	ReservedConcurrentExecutions *int `json:",omitempty"`
}

type putConcurrencyInput struct{ ReservedConcurrentExecutions *int }

func (s *Service) putConcurrency(ctx context.Context, r *api.Request, in *putConcurrencyInput) (*concurrencyOutput, error) {
	ref, err := s.target(ctx, r, "PutFunctionConcurrency")
	if err != nil {
		return nil, err
	}
	n := in.ReservedConcurrentExecutions
	if n == nil || *n < 0 {
		return nil, constraint("null or negative", "reservedConcurrentExecutions", "Member must have value greater than or equal to 0")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, _, err := s.find(reference{functionKey: ref.functionKey})
	if err != nil {
		return nil, err
	}
	if s.unreserved(f.functionKey)-*n < minUnreserved {
		return nil, invalid("Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", minUnreserved)
	}
	f.reserved = n
	return &concurrencyOutput{n}, nil
}

// unreserved is what the reservations of all functions but one leave of the
// account's concurrency in a region. The lock is held.
func (s *Service) unreserved(except functionKey) int {
	left := accountConcurrency
	for k, f := range s.functions {
		if k != except && k.account == except.account && k.region == except.region && f.reserved != nil {
			left -= *f.reserved
		}
	}
	return left
}

// enter counts an invocation in, if there is room. The lock is held.
func (s *Service) enter(f *function) error {
	var limit, running int
	reason := "ConcurrentInvocationLimitExceeded"
	if f.reserved != nil {
		limit, running, reason = *f.reserved, f.running, "ReservedFunctionConcurrentInvocationLimitExceeded"
	} else {
		limit = s.unreserved(functionKey{f.account, f.region, ""})
		for k, other := range s.functions {
			if k.account == f.account && k.region == f.region && other.reserved == nil {
				running += other.running
			}
		}
	}
	if running >= limit {
		e := userError(http.StatusTooManyRequests, "TooManyRequestsException", "Rate Exceeded.")
		e.Fields["Reason"] = reason
		return e
	}
	f.running++
	return nil
}

func (s *Service) getConcurrency(ctx context.Context, r *api.Request, _ *empty) (*concurrencyOutput, error) {
	ref, err := s.target(ctx, r, "GetFunctionConcurrency")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, _, err := s.find(reference{functionKey: ref.functionKey})
	if err != nil {
		return nil, err
	}
	return &concurrencyOutput{f.reserved}, nil
}

func (s *Service) deleteConcurrency(ctx context.Context, r *api.Request, _ *empty) (*api.Reply, error) {
	ref, err := s.target(ctx, r, "DeleteFunctionConcurrency")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, _, err := s.find(reference{functionKey: ref.functionKey})
	if err != nil {
		return nil, err
	}
	f.reserved = nil
	return noContent(), nil
}

type accountSettings struct {
	AccountLimit struct {
		CodeSizeUnzipped, CodeSizeZipped, TotalCodeSize      int64
		ConcurrentExecutions, UnreservedConcurrentExecutions int
	}
	AccountUsage struct{ FunctionCount, TotalCodeSize int64 }
}

func (s *Service) getAccountSettings(ctx context.Context, r *api.Request, _ *empty) (*accountSettings, error) {
	if err := r.Authorize(ctx, api.Check{Action: "lambda:GetAccountSettings", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &accountSettings{}
	out.AccountLimit.CodeSizeUnzipped = executor.MaxUnpacked
	out.AccountLimit.CodeSizeZipped = maxZip
	out.AccountLimit.TotalCodeSize = 75 << 30
	out.AccountLimit.ConcurrentExecutions = accountConcurrency
	out.AccountLimit.UnreservedConcurrentExecutions = s.unreserved(functionKey{r.Account, r.Region, ""})
	for _, f := range sortedFunctions(s.functions, r.Account, r.Region) {
		out.AccountUsage.FunctionCount++
		out.AccountUsage.TotalCodeSize += f.latest.code.size
		for _, v := range f.versions {
			out.AccountUsage.TotalCodeSize += v.code.size
		}
	}
	return out, nil
}
