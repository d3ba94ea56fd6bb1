package kms

import (
	"context"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

type enableKeyRotationInput struct {
	KeyID                string `json:"KeyId"`
	RotationPeriodInDays *int
}

func (s *Service) enableKeyRotation(ctx context.Context, r *api.Request, in *enableKeyRotationInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.openRotatable(ctx, r, in.KeyID, "EnableKeyRotation")
	if err != nil {
		return nil, err
	}
	days := 365
	if in.RotationPeriodInDays != nil {
		days = *in.RotationPeriodInDays
	}
	if days < 90 || days > 2560 {
		return nil, api.Errorf("ValidationException", "Value at 'rotationPeriodInDays' failed to satisfy constraint: Member must be between 90 and 2560")
	}
	if err := k.usable(); err != nil {
		return nil, err
	}
	k.material.rotation, k.material.period = true, time.Duration(days)*day
	s.scheduleRotation(k.material)
	return nil, nil
}

// openRotatable is openCustomer for what belongs to the primary of a
// multi-region family: replicas share its rotation.
func (s *Service) openRotatable(ctx context.Context, r *api.Request, id, action string) (*key, error) {
	k, err := s.openCustomer(ctx, r, id, action)
	if err != nil {
		return nil, err
	}
	if k.multiRegion && !k.primary {
		return nil, api.Errorf("UnsupportedOperationException", "%s is a replica key: its primary key's rotation counts.", k.arn)
	}
	return k, nil
}

func (s *Service) scheduleRotation(m *material) {
	m.nextRun = s.env.Clock.Now().Add(m.period)
	due := m.nextRun
	s.env.Clock.AtFunc(due, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		// Switched off or set anew since, or the last key of the family is gone.
		if !m.rotation || !m.nextRun.Equal(due) || len(m.family) == 0 {
			return
		}
		m.add(s.env.Rand, s.env.Clock.Now(), false)
		s.scheduleRotation(m)
	})
}

func (s *Service) disableKeyRotation(ctx context.Context, r *api.Request, in *keyIDInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.openRotatable(ctx, r, in.KeyID, "DisableKeyRotation")
	if err != nil {
		return nil, err
	}
	k.material.rotation, k.material.nextRun = false, time.Time{}
	return nil, nil
}

type rotationStatusOutput struct {
	KeyRotationEnabled   bool
	KeyID                string    `json:"KeyId"`
	RotationPeriodInDays *int      `json:",omitempty"`
	NextRotationDate     *api.Time `json:",omitempty"`
}

func (s *Service) getKeyRotationStatus(ctx context.Context, r *api.Request, in *keyIDInput) (*rotationStatusOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.open(ctx, r, in.KeyID, "GetKeyRotationStatus", nil)
	if err != nil {
		return nil, err
	}
	out := &rotationStatusOutput{KeyRotationEnabled: k.material.rotation && k.deletion.IsZero(), KeyID: k.arn}
	if out.KeyRotationEnabled {
		days := int(k.material.period / day)
		out.RotationPeriodInDays, out.NextRotationDate = &days, api.NewTime(k.material.nextRun)
	}
	return out, nil
}

func (s *Service) rotateKeyOnDemand(ctx context.Context, r *api.Request, in *keyIDInput) (*keyIDOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.openRotatable(ctx, r, in.KeyID, "RotateKeyOnDemand")
	if err != nil {
		return nil, err
	}
	if err := k.usable(); err != nil {
		return nil, err
	}
	k.material.add(s.env.Rand, s.env.Clock.Now(), true)
	return &keyIDOutput{k.arn}, nil
}

type listKeyRotationsInput struct {
	KeyID  string `json:"KeyId"`
	Limit  *int
	Marker string
}

type keyRotation struct {
	KeyID        string `json:"KeyId"`
	RotationDate *api.Time
	RotationType string
}

type listKeyRotationsOutput struct {
	Rotations []keyRotation
	Truncated bool
}

func (s *Service) listKeyRotations(ctx context.Context, r *api.Request, in *listKeyRotationsInput) (*listKeyRotationsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.open(ctx, r, in.KeyID, "ListKeyRotations", nil)
	if err != nil {
		return nil, err
	}
	out := &listKeyRotationsOutput{Rotations: []keyRotation{}}
	for _, g := range k.material.generations[1:] {
		kind := "AUTOMATIC"
		if g.demand {
			kind = "ON_DEMAND"
		}
		out.Rotations = append(out.Rotations, keyRotation{k.id, api.NewTime(g.made), kind})
	}
	return out, nil
}
