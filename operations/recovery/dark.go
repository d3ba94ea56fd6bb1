package recovery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// darkness is how a drill takes the primary region away.
type darkness interface {
	// Fall makes the region dark until the function that it returns is called.
	fall(ctx context.Context) (lift func(context.Context) error, err error)
	// Primary is the configuration of a client that should reach the region.
	primary(config aws.Config) aws.Config
	String() string
}

// newDarkness returns the local cloud's fault control where the endpoint is a
// local cloud, and else a server that nobody hears anything from.
func newDarkness(ctx context.Context, endpoint, region string) (darkness, error) {
	if IsLocalCloud(ctx, endpoint) {
		return localFault{endpoint, region}, nil
	}
	return newSilence(ctx)
}

// localFault is the local cloud's "region down": connections to it are dropped.
type localFault struct{ endpoint, region string }

const faultsPath = "/_localcloud/faults"

func (f localFault) String() string                       { return "the local cloud's region " + f.region + " is down" }
func (f localFault) primary(config aws.Config) aws.Config { return config }

// kind and region are those of the local cloud's control API.
type fault struct {
	Kind   string `json:"kind"`
	Region string `json:"region"`
}

func (f localFault) fault() fault { return fault{"drop-before", f.region} }

func (f localFault) fall(ctx context.Context) (func(context.Context) error, error) {
	var on []fault
	if err := control(ctx, http.MethodGet, f.endpoint, nil, &on); err != nil {
		return nil, err
	}
	for _, other := range on {
		if other != f.fault() { // ours is left over from a run that was killed
			return nil, refuse("the local cloud has faults switched on, which the end of the drill would switch off: switch them off first")
		}
	}
	if len(on) == 0 {
		if err := control(ctx, http.MethodPost, f.endpoint, f.fault(), nil); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) error { return control(ctx, http.MethodDelete, f.endpoint, nil, nil) }, nil
}

// IsLocalCloud asks an endpoint whether it is a local cloud. No endpoint is AWS.
func IsLocalCloud(ctx context.Context, endpoint string) bool {
	if endpoint == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(endpoint, "/")+"/_localcloud/health", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	var health struct {
		Status string `json:"status"`
	}
	return response.StatusCode == http.StatusOK && json.NewDecoder(response.Body).Decode(&health) == nil && health.Status == "ok"
}

func control(ctx context.Context, method, endpoint string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(endpoint, "/")+faultsPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("the local cloud's fault control: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("the local cloud's fault control: %s", response.Status)
	}
	if out == nil {
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}
	return json.NewDecoder(response.Body).Decode(out)
}

// silence is an endpoint that takes connections and never answers, which is the
// worst that a region can do to its clients.
type silence struct {
	listener net.Listener
	address  string
}

func newSilence(ctx context.Context) (*silence, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("make an endpoint that doesn't answer: %w", err)
	}
	// Nobody accepts: the kernel completes the connections, and that is all.
	return &silence{listener, "http://" + listener.Addr().String()}, nil
}

func (s *silence) String() string {
	return "the clients' endpoint of the primary region takes connections and never answers"
}

func (s *silence) primary(config aws.Config) aws.Config {
	config = config.Copy()
	config.BaseEndpoint = &s.address
	return config
}

func (s *silence) fall(context.Context) (func(context.Context) error, error) {
	return func(context.Context) error {
		if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}, nil
}
