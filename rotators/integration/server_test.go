package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"
	"github.com/stretchr/testify/require"
)

const (
	clientID     = "studio"
	clientSecret = "canary-client-secret-0"
	person       = "ada"
)

// server is a real OAuth 2.0 server, fosite, that gives a new refresh token with
// each access token and ends the whole grant when a used one comes again.
type server struct {
	*testing.T
	URL      string
	config   *fosite.Config
	provider fosite.OAuth2Provider
	store    *store

	mu        sync.Mutex
	broken    map[string]bool // paths that answer 503
	renewals  int             // of the client's secret
	admission string          // the registration access token
}

// store is fosite's in memory. With a leeway a used refresh token may come
// again.
type store struct {
	*storage.MemoryStore
	leeway bool
}

func (s *store) RotateRefreshToken(ctx context.Context, requestID, signature string) error {
	if s.leeway {
		return nil
	}
	return s.MemoryStore.RotateRefreshToken(ctx, requestID, signature)
}

func newServer(t *testing.T, leeway bool) *server {
	t.Helper()
	s := &server{T: t, broken: map[string]bool{}, admission: "canary-admission-0"}
	s.config = &fosite.Config{
		AccessTokenLifespan:  30 * 24 * time.Hour,
		RefreshTokenLifespan: -1,
		RefreshTokenScopes:   []string{},
		GlobalSecret:         []byte(strings.Repeat("s", 32)),
		HashCost:             4,
	}
	s.store = &store{storage.NewMemoryStore(), leeway}
	s.store.Users[person] = storage.MemoryUserRelation{Username: person, Password: "canary-person"}
	s.setSecret(clientSecret)
	s.provider = compose.Compose(s.config, s.store, &compose.CommonStrategy{CoreStrategy: compose.NewOAuth2HMACStrategy(s.config)},
		compose.OAuth2ClientCredentialsGrantFactory, compose.OAuth2RefreshTokenGrantFactory,
		compose.OAuth2ResourceOwnerPasswordCredentialsFactory, //nolint:staticcheck // the shortest way to a refresh token
		compose.OAuth2TokenIntrospectionFactory, compose.OAuth2TokenRevocationFactory)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("POST /introspect", s.introspect)
	mux.HandleFunc("POST /revoke", s.revoke)
	mux.HandleFunc("/register", s.register)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		broken := s.broken[r.URL.Path]
		s.mu.Unlock()
		if broken {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	s.URL = web.URL
	return s
}

func (s *server) setSecret(secret string) {
	hash, err := (&fosite.BCrypt{Config: s.config}).Hash(s.Context(), []byte(secret))
	require.NoError(s, err)
	s.store.Clients[clientID] = &fosite.DefaultClient{
		ID: clientID, Secret: hash, GrantTypes: fosite.Arguments{"client_credentials", "refresh_token", "password"}, Scopes: []string{"read"},
	}
}

func (s *server) breaks(path string, broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken[path] = broken
}

func (s *server) token(w http.ResponseWriter, r *http.Request) {
	request, err := s.provider.NewAccessRequest(r.Context(), r, &fosite.DefaultSession{})
	if err != nil {
		s.provider.WriteAccessError(r.Context(), w, request, err)
		return
	}
	for _, scope := range request.GetRequestedScopes() {
		request.GrantScope(scope)
	}
	response, err := s.provider.NewAccessResponse(r.Context(), request)
	if err != nil {
		s.provider.WriteAccessError(r.Context(), w, request, err)
		return
	}
	s.provider.WriteAccessResponse(r.Context(), w, request, response)
}

func (s *server) introspect(w http.ResponseWriter, r *http.Request) {
	response, err := s.provider.NewIntrospectionRequest(r.Context(), r, &fosite.DefaultSession{})
	if err != nil {
		s.provider.WriteIntrospectionError(r.Context(), w, err)
		return
	}
	s.provider.WriteIntrospectionResponse(r.Context(), w, response)
}

func (s *server) revoke(w http.ResponseWriter, r *http.Request) {
	s.provider.WriteRevocationResponse(r.Context(), w, s.provider.NewRevocationRequest(r.Context(), r))
}

// register is RFC 7592 with a client secret that changes at each update, which
// fosite leaves to others.
func (s *server) register(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+s.admission {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodPut {
		s.renewals++
		s.setSecret(s.secret())
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"client_id": clientID, "client_secret": s.secret(), "client_secret_expires_at": 0, "grant_types": []string{"client_credentials"},
		"registration_client_uri": s.URL + "/register", "registration_access_token": s.admission,
	})
}

// secret is the client's secret now.
func (s *server) secret() string { return fmt.Sprintf("canary-client-secret-%d", s.renewals) }

// grant is what a person does: give the client access, which is a pair of
// tokens.
func (s *server) grant() (access, refresh string) {
	s.Helper()
	tokens := s.post("/token", url.Values{"grant_type": {"password"}, "username": {person}, "password": {"canary-person"}, "scope": {"read"}})
	return tokens["access_token"].(string), tokens["refresh_token"].(string)
}

// active tells whether an access token is good.
func (s *server) active(token string) bool {
	s.Helper()
	return s.post("/introspect", url.Values{"token": {token}})["active"] == true
}

func (s *server) post(path string, form url.Values) map[string]any {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.URL+path, strings.NewReader(form.Encode()))
	require.NoError(s, err)
	s.mu.Lock()
	request.SetBasicAuth(clientID, s.secret())
	s.mu.Unlock()
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	require.NoError(s, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(s, http.StatusOK, response.StatusCode, path)
	var answer map[string]any
	require.NoError(s, json.NewDecoder(response.Body).Decode(&answer))
	return answer
}
