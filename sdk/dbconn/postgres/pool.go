package postgres

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/dbconn"
	"github.com/aistudio/secrets/sdk/spec"
)

// PoolSource is the secrets cache for a pgxpool. *secrets.Client is one.
type PoolSource interface {
	Get(ctx context.Context, id string, which ...secrets.Selector) (secrets.Secret, error)
	Newer(ctx context.Context, id string, used secrets.Secret) (secrets.Secret, error)
}

// ConfigurePool makes every new connection of a pool log in with the secret of
// that id: it sets the configuration's BeforeConnect and OnPgError, and
// MaxConnLifetime to dbconn.MaxLifetime.
//
// pgxpool doesn't try again by itself: when the database refuses the
// credentials, that Acquire fails and the next one fetches the secret past the
// cache. A secret rotated between two users, as this project does, is never
// refused while its version is the current or the previous one.
func ConfigurePool(config *pgxpool.Config, source PoolSource, id string, options Options) {
	hook := &poolHook{source: source, id: id, options: options}
	config.BeforeConnect = hook.beforeConnect
	config.MaxConnLifetime = dbconn.MaxLifetime
	config.ConnConfig.OnPgError = hook.onError
}

type poolHook struct {
	source  PoolSource
	id      string
	options Options

	used    atomic.Pointer[secrets.Secret] // of the last connection
	refused atomic.Bool
}

func (h *poolHook) beforeConnect(ctx context.Context, config *pgx.ConnConfig) error {
	secret, err := h.source.Get(ctx, h.id)
	if used := h.used.Load(); err == nil && used != nil && h.refused.CompareAndSwap(true, false) {
		secret, err = h.source.Newer(ctx, h.id, *used)
	}
	if err != nil {
		return err
	}
	credentials, err := spec.ParseDatabase(secret.Value)
	if err == nil {
		err = credentials.Validate()
	}
	if err != nil {
		return fmt.Errorf("secret %q: %w", h.id, err)
	}
	if credentials.Port == 0 {
		credentials.Port = spec.DefaultPort(credentials.Engine)
	}
	h.used.Store(&secret)
	h.options.apply(config, credentials)
	return nil
}

// onError keeps pgx's default behaviour, to close the connection at a fatal
// error.
func (h *poolHook) onError(_ *pgconn.PgConn, err *pgconn.PgError) bool {
	if dbconn.SQLRefused(err) {
		h.refused.Store(true)
	}
	return err.Severity != "FATAL" && err.SeverityUnlocalized != "FATAL"
}
