package remote_test

import (
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/apikey"
	"github.com/aistudio/secrets/rotators/custom"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	admin      = "canary-admin"
	signingKey = "canary-signing-key"
	keyPrefix  = "canary-key"
)

// issuer is a system that issues keys.
type issuer struct {
	mu         sync.Mutex
	idempotent bool
	made       int
	keys       map[string]issued // by id
	ids        map[string]string // by idempotency key
}

type issued struct{ Name, Key string }

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r.URL.Path == "/me" {
		for _, key := range i.keys {
			if r.Header.Get("X-Api-Key") == key.Key {
				return
			}
		}
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+admin {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	switch r.Method {
	case http.MethodPost:
		var in struct{ Name string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		id, known := i.ids[r.Header.Get("Idempotency-Key")]
		if !known || !i.idempotent {
			i.made++
			id = fmt.Sprintf("id/%d", i.made)
			i.keys[id] = issued{Name: in.Name, Key: fmt.Sprintf("%s-%d", keyPrefix, i.made)}
			i.ids[r.Header.Get("Idempotency-Key")] = id
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]string{"id": id, "secret": i.keys[id].Key}})
	case http.MethodGet:
		list := []map[string]string{}
		for id, key := range i.keys {
			list = append(list, map[string]string{"id": id, "name": key.Name})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": list})
	case http.MethodDelete:
		id := strings.TrimPrefix(r.URL.Path, "/keys/")
		if _, ok := i.keys[id]; !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		delete(i.keys, id)
	}
}

// active are the keys that work.
func (i *issuer) active() (keys []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, key := range i.keys {
		keys = append(keys, key.Key)
	}
	return keys
}

const list = `,"list": {"method": "GET", "url": "$URL/keys", "headers": {"Authorization": "Bearer {{.Admin}}"}, "items": "/keys", "id": "/id", "name": "/name"}`

const description = `{
	"admin": {"secret": "$ADMIN", "pointer": "/token"},
	"create": {"method": "POST", "url": "$URL/keys", "headers": {"Authorization": "Bearer {{.Admin}}", "Idempotency-Key": "{{.Token}}"},
		"body": "{\"name\": {{json .Token}}}", "id": "/data/id", "key": "/data/secret"},
	"verify": {"method": "GET", "url": "$URL/me", "headers": {"X-Api-Key": "{{.Key}}"}},
	"revoke": {"method": "DELETE", "url": "$URL/keys/{{path .ID}}", "headers": {"Authorization": "Bearer {{.Admin}}"}}$LIST}`

func TestIssuedKeysOfARotatorThatIsKilledAnywhere(t *testing.T) {
	for name, idempotent := range map[string]bool{"idempotency key": true, "list of keys": false} {
		t.Run(name, func(t *testing.T) {
			e := newEstate(t)
			system := &issuer{idempotent: idempotent, keys: map[string]issued{}, ids: map[string]string{}}
			server := httptest.NewServer(system)
			t.Cleanup(server.Close)
			found := list
			if idempotent {
				found = ""
			}
			adminARN := e.createSecret("aistudio/dev/platform/issuer-admin", `{"token": "`+admin+`"}`)
			text := strings.NewReplacer("$URL", server.URL, "$ADMIN", adminARN).Replace(strings.Replace(description, "$LIST", found, 1))
			parsed, err := apikey.ParseDescription(text)
			require.NoError(t, err)
			k := &killer{}
			e.run(k, func(client *secretsmanager.Client) rotation.Target {
				return apikey.NewIssuer(parsed, client, apikey.Options{Transport: k})
			})
			e.killEverywhere(k, func(when string, values ...string) {
				var keys []string
				for _, value := range values {
					key, err := spec.ParseAPIKey(spec.ValueString(value))
					require.NoError(t, err)
					keys = append(keys, key.Key.RevealString())
				}
				require.ElementsMatch(t, keys, system.active(), "%s: the keys at the issuer", when)
			}, func(value string) bool {
				key, err := spec.ParseAPIKey(spec.ValueString(value))
				require.NoError(t, err)
				return assert.Contains(t, system.active(), key.Key.RevealString())
			})
		})
	}
}

// gate accepts the values that a webhook tells it.
type gate struct {
	t        *testing.T
	mu       sync.Mutex
	accepted map[string]bool
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	assert.NoError(g.t, err)
	signature := custom.Sign(spec.ValueString(signingKey), r.Header.Get(custom.HeaderTimestamp), body)
	if !hmac.Equal([]byte(signature), []byte(r.Header.Get(custom.HeaderSignature))) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	var call custom.Call
	assert.NoError(g.t, json.Unmarshal(body, &call))
	switch call.Step {
	case custom.StepSet:
		g.accepted[call.Values["pending"]] = true
	case custom.StepTest:
		if !g.accepted[call.Values["pending"]] {
			w.WriteHeader(http.StatusConflict)
		}
	case custom.StepRetire:
		delete(g.accepted, call.Values["retired"])
	}
}

func (g *gate) accepts(value string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.accepted[value]
}

func TestAWebhookOfARotatorThatIsKilledAnywhere(t *testing.T) {
	e := newEstate(t)
	system := &gate{t: t, accepted: map[string]bool{}}
	server := httptest.NewServer(system)
	t.Cleanup(server.Close)
	keyARN := e.createSecret("aistudio/dev/platform/webhook-key", signingKey)
	k := &killer{}
	e.run(k, func(client *secretsmanager.Client) rotation.Target {
		return custom.New(custom.Options{}, custom.NewWebhook(custom.Description{URL: server.URL, Secret: keyARN}, client, k))
	})
	e.killEverywhere(k, func(when string, values ...string) {
		for _, value := range values {
			require.True(t, system.accepts(value), when)
		}
	}, system.accepts)
}

// killEverywhere seeds and rotates with the rotator killed at each point in
// turn, and tried again. settled is told of all values that have to work in
// the end.
func (e *estate) killEverywhere(k *killer, settled func(when string, values ...string), works func(value string) bool) {
	seeds := 1
	for ; ; seeds++ {
		e.arn = e.createSecret(fmt.Sprintf("aistudio/dev/orders/seeded-%d", seeds), "")
		k.arm(seeds)
		err := e.seed()
		died := k.died()
		if died {
			require.ErrorIs(e, err, errDead)
			err = e.seed()
		}
		when := fmt.Sprintf("seed killed at point %d", seeds)
		require.NoError(e, err, when)
		value, _ := e.staged("AWSCURRENT")
		require.True(e, works(value), when)
		e.seeded = append(e.seeded, value)
		settled(when, e.seeded...)
		if !died {
			break
		}
	}
	others := e.seeded[:len(e.seeded)-1]

	e.rotateNow()
	point := 1
	for ; ; point++ {
		_, before := e.staged("AWSCURRENT")
		k.arm(point)
		e.rotateNow()
		died := k.died()
		if died {
			current, _ := e.staged("AWSCURRENT")
			require.True(e, works(current), "killed at point %d", point)
			require.NoError(e, e.cloud.Advance(e.Context(), 90*time.Second))
			require.NoError(e, e.cloud.Settle(e.Context()))
		}
		current, after := e.staged("AWSCURRENT")
		require.NotEqual(e, before, after, "killed at point %d: nothing was rotated", point)
		previous, id := e.staged("AWSPREVIOUS")
		require.Equal(e, before, id, "killed at point %d", point)
		settled(fmt.Sprintf("killed at point %d", point), append([]string{current, previous}, others...)...)
		if !died {
			break
		}
		require.False(e, strings.Contains(e.logs.String(), current), "a value is in the log")
	}
	e.Logf("killed at %d points of a seed and %d of a rotation", seeds-1, point-1)
	require.Greater(e, seeds, 6, "too few points to die at")
	require.Greater(e, point, 30, "too few points to die at")
	require.NotEmpty(e, e.logs.String())
	require.False(e, strings.Contains(e.logs.String(), "canary"), "a credential is in a log or an error")
}
