package rotation_test

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// system accepts two values at a time, the newest, as an alternating database
// does, and is its own Target.
type system struct {
	mu       sync.Mutex
	accepted []string
	made     int
	retired  []string
	seeded   *spec.SeedRequest

	rejectGenerated int // how many values are rejected when they are made
	rejectApplied   int // and when they are applied
	intercept       func(operation string) error
}

func (s *system) call(operation string) error {
	if s.intercept != nil {
		return s.intercept(operation)
	}
	return nil
}

// accepts tells whether a client can use a value.
func (s *system) accepts(value string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.accepted, value)
}

func (s *system) Generate(_ context.Context, request rotation.GenerateRequest) (rotation.GenerateResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	value := fmt.Sprintf("canary-value-%d", s.made)
	s.seeded = request.Seed
	if s.rejectGenerated > 0 {
		s.rejectGenerated--
		return rotation.GenerateResponse{}, fmt.Errorf("too simple: %w", rotation.ErrRejected)
	}
	return rotation.GenerateResponse{Value: spec.ValueString(value)}, s.call("Generate")
}

func (s *system) Apply(_ context.Context, request rotation.ApplyRequest) (rotation.ApplyResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rejectApplied > 0 {
		s.rejectApplied--
		return rotation.ApplyResponse{}, fmt.Errorf("policy: %w", rotation.ErrRejected)
	}
	if err := s.call("Apply before"); err != nil {
		return rotation.ApplyResponse{}, err
	}
	accepted := []string{request.Pending.RevealString()}
	if !request.Seeding() {
		accepted = append(accepted, request.Current.RevealString())
	}
	s.accepted = accepted
	return rotation.ApplyResponse{}, s.call("Apply after")
}

func (s *system) Verify(_ context.Context, request rotation.VerifyRequest) (rotation.VerifyResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.accepted, request.Pending.RevealString()) {
		return rotation.VerifyResponse{}, fmt.Errorf("the system refuses the value: %w", rotation.ErrDefinite)
	}
	return rotation.VerifyResponse{}, s.call("Verify")
}

func (s *system) Retire(_ context.Context, request rotation.RetireRequest) (rotation.RetireResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call("Retire before"); err != nil {
		return rotation.RetireResponse{}, err
	}
	if value := request.Retired.RevealString(); !slices.Contains(s.retired, value) {
		s.retired = append(s.retired, value)
	}
	return rotation.RetireResponse{}, s.call("Retire after")
}
