package sandbox_test

import (
	"archive/zip"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/bench/sandbox"
)

const variable = "SANDBOX_TEST_PROGRAM"

// TestMain is a function or an extension, when it is started as such.
func TestMain(m *testing.M) {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API")
	switch os.Getenv(variable) {
	case "function":
		ask(http.MethodGet, api+"/2018-06-01/runtime/invocation/next")
	case "extension":
		ask(http.MethodPost, api+"/2020-01-01/extension/register")
		ask(http.MethodGet, api+"/2020-01-01/extension/event/next") // INVOKE
		ask(http.MethodGet, api+"/2020-01-01/extension/event/next") // none comes
	case "broken":
		_, _ = os.Stderr.WriteString("no region")
		os.Exit(1)
	default:
		os.Exit(m.Run())
	}
}

func ask(method, url string) {
	request, err := http.NewRequestWithContext(context.Background(), method, url, nil)
	if err != nil {
		panic(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	_ = response.Body.Close()
}

func TestProgramsStart(t *testing.T) {
	for _, kind := range []string{"function", "extension"} {
		s, err := sandbox.Start(t.Context(), os.Args[0], map[string]string{variable: kind})
		require.NoError(t, err, kind)
		assert.Positive(t, s.Started)
		require.NoError(t, s.Stop())
	}
}

func TestAProgramThatDoesNotStartTellsWhy(t *testing.T) {
	_, err := sandbox.Start(t.Context(), os.Args[0], map[string]string{variable: "broken"})
	require.ErrorContains(t, err, "no region")
	_, err = sandbox.Start(t.Context(), filepath.Join(t.TempDir(), "none"), nil)
	require.ErrorContains(t, err, "no such file")
}

func TestArtifacts(t *testing.T) {
	root := t.TempDir()
	artifact := sandbox.Named(root, "rotate-all", "arm64")
	_, err := artifact.Size()
	require.ErrorContains(t, err, "mage build")

	require.NoError(t, os.Mkdir(filepath.Join(root, "dist"), 0o700))
	file, err := os.Create(string(artifact))
	require.NoError(t, err)
	archive := zip.NewWriter(file)
	entry, err := archive.Create("extensions/program")
	require.NoError(t, err)
	_, err = entry.Write([]byte("code"))
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	require.NoError(t, file.Close())

	size, err := artifact.Size()
	require.NoError(t, err)
	assert.Greater(t, size, int64(100))
	path, err := artifact.Unpack(root)
	require.NoError(t, err)
	code, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "code", string(code))
}
