package extension

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	// shutdownTime is what requests get to end in. Lambda gives an extension
	// 2 seconds in all.
	shutdownTime = 500 * time.Millisecond

	headerTime = 10 * time.Second
)

// Run serves until ctx ends or Lambda says SHUTDOWN. name is that of the
// program's file, lookup reads the environment, and out takes the log, one JSON
// object a line. What fails is logged, too.
func Run(ctx context.Context, name string, lookup func(string) (string, bool), out io.Writer) error {
	c, warnings := ReadConfig(lookup)
	log := slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: c.Level})).With("extension", name)
	for _, warning := range warnings {
		log.WarnContext(ctx, "configuration", "error", warning)
	}
	cache := NewCache(c, nil)
	defer func() { _ = cache.Close() }()
	if err := cache.Check(); err != nil {
		log.ErrorContext(ctx, "no secret can be read", "error", err.Error())
	}
	err := run(ctx, c, name, lookup, cache, log, NewMetrics(out, c.Metrics))
	if err != nil {
		log.ErrorContext(ctx, "stopping", "error", err.Error())
	}
	return err
}

func run(ctx context.Context, c Config, name string, lookup func(string) (string, bool), cache *Cache, log *slog.Logger, metrics *Metrics) error {
	token, err := readToken(lookup)
	var listener net.Listener
	if err == nil {
		listener, err = listen(ctx, c.Port)
	}
	if c.RuntimeAPI == "" && err != nil {
		return err
	}
	handler := NewHandler(cache, token, log)
	server := &http.Server{
		Handler:  handler,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		// No other timeouts: after a freeze they would all have passed.
		ReadHeaderTimeout: headerTime,
	}
	if listener != nil {
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				log.ErrorContext(ctx, "no longer listening", "error", err.Error())
			}
		}()
		defer shutdown(server)
	}
	if c.RuntimeAPI == "" {
		handler.Ready()
		log.InfoContext(ctx, "serving", "port", c.Port)
		<-ctx.Done()
		return nil
	}
	l, registerErr := register(ctx, c.RuntimeAPI, name)
	if registerErr != nil {
		return errors.Join(err, registerErr)
	}
	if err != nil {
		return errors.Join(err, l.initError(ctx, err))
	}
	return follow(ctx, l, handler, cache, log, metrics)
}

// follow does what Lambda's events ask for, until SHUTDOWN.
func follow(ctx context.Context, l *lifecycle, handler *Handler, cache *Cache, log *slog.Logger, metrics *Metrics) error {
	first := true
	for {
		e, err := l.next(ctx)
		if err != nil {
			return errors.Join(err, l.exitError(context.WithoutCancel(ctx), err))
		}
		if err := metrics.Write(cache.Stats, time.Now(), e.Type == eventShutdown); err != nil {
			log.WarnContext(ctx, "metrics", "error", err.Error())
		}
		switch e.Type {
		case eventInvoke:
			handler.Ready()
			if first {
				go prefetch(ctx, cache, log)
			}
			first = false
		case eventShutdown:
			log.DebugContext(ctx, "shutting down", "reason", e.Reason)
			return nil
		default:
			log.WarnContext(ctx, "unknown event", "type", e.Type)
		}
	}
}

func prefetch(ctx context.Context, cache *Cache, log *slog.Logger) {
	if err := cache.Prefetch(ctx); err != nil {
		log.WarnContext(ctx, "prefetch", "error", err.Error())
	}
}

// listen listens on the loopback address. No packet leaves the machine.
func listen(ctx context.Context, port int) (net.Listener, error) {
	config := net.ListenConfig{Control: oneHop}
	listener, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("listen for the function: %w: is there another extension on the port? set PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", err)
	}
	return listener, nil
}

func shutdown(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}
