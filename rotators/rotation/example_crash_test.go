package rotation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/internal/rotatortest"
	"github.com/aistudio/secrets/rotators/rotation"
)

func TestMain(m *testing.M) { rotatortest.Main(m) }

// door is a gate as a server.
type door struct {
	mu        sync.Mutex
	passwords []string
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var passwords []string
	switch err := json.NewDecoder(r.Body).Decode(&passwords); {
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
	case r.Method == http.MethodPut:
		d.passwords = passwords
	case !slices.Contains(d.passwords, passwords[0]):
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// sorted are the passwords that the door knows.
func (d *door) sorted() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(slices.Values(d.passwords))
}

// doorClient is the door's gate.
type doorClient struct {
	http *http.Client
	url  string
}

func (c doorClient) Allow(ctx context.Context, passwords ...string) error {
	return c.send(ctx, http.MethodPut, passwords)
}

func (c doorClient) Enter(ctx context.Context, password string) error {
	return c.send(ctx, http.MethodPost, []string{password})
}

func (c doorClient) send(ctx context.Context, method string, passwords []string) error {
	body, err := json.Marshal(passwords)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the door answered %s", response.Status)
	}
	return nil
}

// The example's thirty lines keep the contract: killed anywhere and tried again
// by Secrets Manager, the system knows the current and the previous password.
func TestTheExampleKilledAnywhere(t *testing.T) {
	e := rotatortest.NewEstate(t)
	system := &door{passwords: []string{"canary-first"}}
	server := httptest.NewServer(system)
	t.Cleanup(server.Close)
	e.ARN = e.CreateSecret("aistudio/dev/studio/gate", "canary-first")
	k := &rotatortest.Killer{}
	e.Run(k, func(*secretsmanager.Client) rotation.Target {
		return gateTarget{doorClient{&http.Client{Transport: k}, server.URL}}
	})
	e.KillRotations(k, nil, func(when string, values ...string) {
		require.True(t, slices.Equal(slices.Sorted(slices.Values(values)), system.sorted()), "%s: the door knows other passwords", when)
	}, func(value string) bool { return slices.Contains(system.sorted(), value) })
}
