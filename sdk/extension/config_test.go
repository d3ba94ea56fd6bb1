package extension

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func lookupIn(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, set := variables[name]
		return value, set
	}
}

func TestReadConfig(t *testing.T) {
	const prefix = "PARAMETERS_SECRETS_EXTENSION_"
	defaults := Config{Port: 2773, Level: slog.LevelInfo, Connections: 3, Secrets: Service{Cached: true}, Parameters: Service{Cached: true}}
	for name, tt := range map[string]struct {
		variables map[string]string
		change    func(*Config)
		warning   string
	}{
		"nothing set":          {change: func(*Config) {}},
		"empty variables":      {variables: map[string]string{prefix + "HTTP_PORT": "", "SECRETS_MANAGER_TTL": ""}, change: func(*Config) {}},
		"port":                 {variables: map[string]string{prefix + "HTTP_PORT": "8080"}, change: func(c *Config) { c.Port = 8080 }},
		"port too high":        {variables: map[string]string{prefix + "HTTP_PORT": "70000"}, change: func(c *Config) { c.Port = 65535 }, warning: "70000 is not from 1 to 65535: 65535 is used"},
		"port of text":         {variables: map[string]string{prefix + "HTTP_PORT": "http"}, change: func(*Config) {}, warning: `"http" is not a number`},
		"connections":          {variables: map[string]string{prefix + "MAX_CONNECTIONS": "10"}, change: func(c *Config) { c.Connections = 10 }},
		"no connections":       {variables: map[string]string{prefix + "MAX_CONNECTIONS": "0"}, change: func(c *Config) { c.Connections = 1 }, warning: "1 is used"},
		"TTL of an hour":       {variables: map[string]string{"SECRETS_MANAGER_TTL": "3600"}, change: func(c *Config) { c.Secrets.TTL = time.Hour }},
		"TTL off":              {variables: map[string]string{"SECRETS_MANAGER_TTL": "0"}, change: func(c *Config) { c.Secrets.Cached = false }},
		"negative TTL":         {variables: map[string]string{"SECRETS_MANAGER_TTL": "-1"}, change: func(c *Config) { c.Secrets.Cached = false }, warning: "0 is used"},
		"TTL too long":         {variables: map[string]string{"SECRETS_MANAGER_TTL": "90000"}, change: func(c *Config) { c.Secrets.TTL = 24 * time.Hour }, warning: "86400 is used"},
		"TTL beyond numbers":   {variables: map[string]string{"SECRETS_MANAGER_TTL": "99999999999999999999"}, change: func(*Config) {}, warning: "not a number"},
		"parameters' TTL":      {variables: map[string]string{"SSM_PARAMETER_STORE_TTL": "60"}, change: func(c *Config) { c.Parameters.TTL = time.Minute }},
		"timeout":              {variables: map[string]string{"SECRETS_MANAGER_TIMEOUT_MILLIS": "1500"}, change: func(c *Config) { c.Secrets.Timeout = 1500 * time.Millisecond }},
		"no timeout":           {variables: map[string]string{"SSM_PARAMETER_STORE_TIMEOUT_MILLIS": "0"}, change: func(c *Config) { c.Parameters.Timeout = 15 * time.Minute }},
		"cache off":            {variables: map[string]string{prefix + "CACHE_ENABLED": "FALSE", "SECRETS_MANAGER_TTL": "5"}, change: func(c *Config) { c.Secrets, c.Parameters = Service{TTL: 5 * time.Second}, Service{} }},
		"cache on":             {variables: map[string]string{prefix + "CACHE_ENABLED": "true"}, change: func(*Config) {}},
		"cache perhaps":        {variables: map[string]string{prefix + "CACHE_ENABLED": "maybe"}, change: func(*Config) {}, warning: "true is used"},
		"size":                 {variables: map[string]string{prefix + "CACHE_SIZE": "10"}, change: func(c *Config) { c.Entries = 10 }},
		"size off":             {variables: map[string]string{prefix + "CACHE_SIZE": "0"}, change: func(c *Config) { c.Secrets, c.Parameters = Service{}, Service{} }},
		"size too large":       {variables: map[string]string{prefix + "CACHE_SIZE": "5000"}, change: func(c *Config) { c.Entries = 1000 }, warning: "1000 is used"},
		"level":                {variables: map[string]string{prefix + "LOG_LEVEL": "DEBUG"}, change: func(c *Config) { c.Level = slog.LevelDebug }},
		"level none":           {variables: map[string]string{prefix + "LOG_LEVEL": "none"}, change: func(c *Config) { c.Level = levelNone }},
		"level unknown":        {variables: map[string]string{prefix + "LOG_LEVEL": "loud"}, change: func(*Config) {}, warning: "info is used"},
		"the SDK's level":      {variables: map[string]string{"SECRETS_LOG_LEVEL": "error"}, change: func(c *Config) { c.Level = slog.LevelError }},
		"AWS's level is first": {variables: map[string]string{"SECRETS_LOG_LEVEL": "error", prefix + "LOG_LEVEL": "warn"}, change: func(c *Config) { c.Level = slog.LevelWarn }},
		"prefetch":             {variables: map[string]string{"SECRETS_PREFETCH": "a, b,,c "}, change: func(c *Config) { c.Prefetch = []string{"a", "b", "c"} }},
		"region":               {variables: map[string]string{"SECRETS_REGION": "us-west-2"}, change: func(c *Config) { c.Region = "us-west-2" }},
		"feed":                 {variables: map[string]string{"SECRETS_FEED_TABLE": "changes"}, change: func(c *Config) { c.FeedTable = "changes" }},
		"feed's interval":      {variables: map[string]string{"SECRETS_FEED_INTERVAL": " 5s"}, change: func(c *Config) { c.FeedEvery = 5 * time.Second }},
		"feed asked too often": {variables: map[string]string{"SECRETS_FEED_INTERVAL": "1ms"}, change: func(c *Config) { c.FeedEvery = time.Second }, warning: "1s is used"},
		"feed asked too late":  {variables: map[string]string{"SECRETS_FEED_INTERVAL": "2h"}, change: func(c *Config) { c.FeedEvery = time.Hour }, warning: "1h0m0s is used"},
		"interval of a number": {variables: map[string]string{"SECRETS_FEED_INTERVAL": "30"}, change: func(*Config) {}, warning: "is not a duration"},
		"in Lambda":            {variables: map[string]string{"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"}, change: func(c *Config) { c.RuntimeAPI = "127.0.0.1:9001" }},
	} {
		t.Run(name, func(t *testing.T) {
			want := defaults
			tt.change(&want)
			got, warnings := ReadConfig(lookupIn(tt.variables))
			if len(got.Prefetch) == 0 {
				got.Prefetch = nil
			}
			assert.Equal(t, want, got)
			if tt.warning == "" {
				assert.Empty(t, warnings)
				return
			}
			require.Len(t, warnings, 1)
			assert.Contains(t, warnings[0], tt.warning)
			assert.Contains(t, warnings[0], "environment variable ")
		})
	}
}

func TestReadToken(t *testing.T) {
	dir := t.TempDir()
	file, empty := filepath.Join(dir, "token"), filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(file, []byte("from-file\n"), 0o600))
	require.NoError(t, os.WriteFile(empty, []byte(" \n"), 0o600))
	for name, tt := range map[string]struct {
		variables map[string]string
		want, err string
	}{
		"session":         {variables: map[string]string{"AWS_SESSION_TOKEN": "session", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "container"}, want: "session"},
		"container":       {variables: map[string]string{"AWS_CONTAINER_AUTHORIZATION_TOKEN": "container"}, want: "container"},
		"AWS_TOKEN first": {variables: map[string]string{"AWS_TOKEN": "own", "AWS_SESSION_TOKEN": "session"}, want: "own"},
		"file":            {variables: map[string]string{"AWS_TOKEN": "file://" + file}, want: "from-file"},
		"empty file":      {variables: map[string]string{"AWS_TOKEN": "file://" + empty}, err: "is empty"},
		"no folder":       {variables: map[string]string{"AWS_TOKEN": "file://" + file + "/token"}, err: "AWS_TOKEN: "},
		"none":            {err: "set AWS_TOKEN=file://"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readToken(lookupIn(tt.variables))
			assert.Equal(t, tt.want, got)
			if tt.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.err)
			}
		})
	}
}

func TestATokenFileIsMadeOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	lookup := lookupIn(map[string]string{"AWS_TOKEN": "file://" + file})
	first, err := readToken(lookup)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, len(first), 26)
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode().Perm())
	second, err := readToken(lookup)
	require.NoError(t, err)
	assert.Equal(t, first, second)
	require.NoError(t, writeTokenFile(file, "another"), "a second writer leaves the first one's")
	third, err := readToken(lookup)
	require.NoError(t, err)
	assert.Equal(t, first, third)
	entries, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}
