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

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/apikey"
	"github.com/aistudio/secrets/rotators/custom"
	"github.com/aistudio/secrets/rotators/internal/rotatortest"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	admin      = "canary-admin"
	signingKey = "canary-signing-key"
	keyPrefix  = "canary-key"
)

func TestMain(m *testing.M) { rotatortest.Main(m) }

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
			e := rotatortest.NewEstate(t)
			system := &issuer{idempotent: idempotent, keys: map[string]issued{}, ids: map[string]string{}}
			server := httptest.NewServer(system)
			t.Cleanup(server.Close)
			found := list
			if idempotent {
				found = ""
			}
			adminARN := e.CreateSecret("aistudio/dev/platform/issuer-admin", `{"token": "`+admin+`"}`)
			text := strings.NewReplacer("$URL", server.URL, "$ADMIN", adminARN).Replace(strings.Replace(description, "$LIST", found, 1))
			parsed, err := apikey.ParseDescription(text)
			require.NoError(t, err)
			k := &rotatortest.Killer{}
			e.Run(k, func(client *secretsmanager.Client) rotation.Target {
				return apikey.NewIssuer(parsed, client, apikey.Options{Transport: k})
			})
			e.KillEverywhere(k, func(when string, values ...string) {
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
	e := rotatortest.NewEstate(t)
	system := &gate{t: t, accepted: map[string]bool{}}
	server := httptest.NewServer(system)
	t.Cleanup(server.Close)
	keyARN := e.CreateSecret("aistudio/dev/platform/webhook-key", signingKey)
	k := &rotatortest.Killer{}
	e.Run(k, func(client *secretsmanager.Client) rotation.Target {
		return custom.New(custom.Options{}, custom.NewWebhook(custom.Description{URL: server.URL, Secret: keyARN}, client, k))
	})
	e.KillEverywhere(k, func(when string, values ...string) {
		for _, value := range values {
			require.True(t, system.accepts(value), when)
		}
	}, system.accepts)
}
