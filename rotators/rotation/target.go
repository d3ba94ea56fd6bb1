package rotation

import (
	"context"
	"errors"

	"github.com/aistudio/secrets/sdk/spec"
)

// Target is one kind of system whose credentials are rotated.
//
// The contract: every method may be called again with the same request, after
// it has succeeded, failed, or died half-way, and must then end as if it had
// been called once. A request that is repeated after others were made, as a
// late retry is, must not undo what those have done. Values in errors, logs
// and panics are forbidden; names are fine.
//
// Errors: ErrRejected where the method says so; ErrDefinite, wrapped, when the
// same request can only succeed after somebody has changed something, with
// what that is in the message; any other error when a retry may help.
type Target interface {
	// Generate makes the value of the next version out of the current one. It
	// is called again with the same Token when an earlier result was lost
	// before it was stored, so whatever it creates elsewhere must be found
	// again by that token, or be harmless. A target that can tell that its
	// system won't take a value returns ErrRejected, and is asked for another
	// a few times.
	//
	// When the request has a Seed there is no current value: the first one is
	// made from what the seed says, and a target that can't returns
	// ErrDefinite.
	Generate(ctx context.Context, request GenerateRequest) (GenerateResponse, error)

	// Apply makes the system accept the pending value, while the current one
	// goes on working as far as the system allows. ErrRejected says that this
	// value can never work: it is withdrawn, and the next rotation makes
	// another. A seed has neither current nor previous value.
	Apply(ctx context.Context, request ApplyRequest) (ApplyResponse, error)

	// Verify uses the pending value as a client would. It changes nothing.
	Verify(ctx context.Context, request VerifyRequest) (VerifyResponse, error)

	// Retire takes a value out of use that is neither current nor pending,
	// just before it loses the label AWSPREVIOUS too. Until then readers may
	// hold it: a value stays usable for one rotation more. A value that has
	// been retired before, or was never applied, is no error.
	Retire(ctx context.Context, request RetireRequest) (RetireResponse, error)
}

// Consuming is implemented by targets that use up a value to make the next one,
// as servers do whose refresh tokens can be used once, and by those that have to
// clean up after a value that never became current. Their values also get the
// staging label NEWEST, which outlives a rotation that is cancelled or given up,
// so that the next one goes on from there.
type Consuming interface {
	Target
	// Consumes does nothing: it marks the target.
	Consumes()
}

// GenerateRequest asks for the value of a version.
type GenerateRequest struct {
	SecretARN string
	// Token is the id of the version, the same in every try.
	Token string
	// Attempt counts from 1: how often a value was asked for in this call of
	// the function.
	Attempt int
	// Current is empty for a seed.
	Current spec.Value
	// Newest is, for a Consuming target, the value of a rotation that made one
	// after Current and never finished. Empty: there is none.
	Newest spec.Value
	// Seed is nil for a rotation.
	Seed *spec.SeedRequest
}

// GenerateResponse holds the new value, which may not be empty.
type GenerateResponse struct {
	Value spec.Value
}

// ApplyRequest asks a system to take a value.
type ApplyRequest struct {
	SecretARN string
	Token     string
	Pending   spec.Value
	Current   spec.Value // empty for a seed
	Previous  spec.Value // empty when there is none

	// The ids of those versions, for a system that reads the values itself.
	// That of the pending one is Token; a seed's isn't stored yet.
	CurrentID  string
	PreviousID string
}

// Seeding tells whether this is the first value of a secret.
func (r ApplyRequest) Seeding() bool { return r.Current.Len() == 0 }

// ApplyResponse is empty for now.
type ApplyResponse struct{}

// VerifyRequest asks to use a value.
type VerifyRequest struct {
	SecretARN string
	Token     string
	Pending   spec.Value
	// Seeding says that the value is a secret's first, which may not be stored
	// yet.
	Seeding bool
}

// VerifyResponse is empty for now.
type VerifyResponse struct{}

// RetireRequest asks to take a value out of use.
type RetireRequest struct {
	SecretARN string
	Token     string
	Retired   spec.Value
	// Current and Pending must go on working, also where they have something
	// in common with Retired.
	Current spec.Value
	Pending spec.Value

	// The ids of those versions; that of the pending one is Token.
	RetiredID string
	CurrentID string
}

// RetireResponse is empty for now.
type RetireResponse struct{}

var (
	// ErrDefinite is part of errors that a retry of the same request can't
	// cure.
	ErrDefinite = errors.New("a retry won't help")

	// ErrRejected is what a Target returns when a value can never work, because
	// of the value itself: its system refuses it, or it was made from a current
	// value that has changed since.
	ErrRejected = errors.New("the value was rejected")
)
