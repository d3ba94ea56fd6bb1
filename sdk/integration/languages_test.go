package integration_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/faults"
)

// script returns the deployment package of a function in testdata, whose
// bootstrap is run by the interpreter, wherever this machine has it. What the
// handlers do is what docs/reading-secrets.md shows.
func script(t *testing.T, folder, interpreter string, tellPath ...string) []byte {
	t.Helper()
	path, err := exec.LookPath(interpreter)
	if err != nil {
		t.Skipf("no %s on this machine", interpreter)
	}
	// Version managers have a shim on PATH, which needs more of an environment
	// than a function gets: the interpreter itself tells where it is.
	out, err := exec.CommandContext(t.Context(), path, tellPath...).Output()
	require.NoError(t, err)
	files := map[string][]byte{}
	entries, err := os.ReadDir(filepath.Join("testdata", folder))
	require.NoError(t, err)
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join("testdata", folder, entry.Name()))
		require.NoError(t, err)
		if entry.Name() == "bootstrap" {
			_, rest, _ := strings.Cut(string(content), "\n")
			content = []byte("#!" + strings.TrimSpace(string(out)) + "\n" + rest)
		}
		files[entry.Name()] = content
	}
	return zipOf(t, files)
}

func TestAFunctionInPythonReadsThroughTheLayer(t *testing.T) {
	testLanguage(t, script(t, "python", "python3", "-c", "import sys; print(sys.executable)"))
}

func TestAFunctionInNodeReadsThroughTheLayer(t *testing.T) {
	testLanguage(t, script(t, "node", "node", "-p", "process.execPath"))
}

// testLanguage runs a function that takes its login from the layer: in an
// outage, and for a secret that it may not read.
func testLanguage(t *testing.T, code []byte) {
	f := startFunctionOf(t, code, map[string]string{"DB_SECRET_ID": secretName})
	invoke := func() string {
		out, err := f.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop")})
		require.NoError(t, err)
		return string(out.Payload)
	}
	login, err := json.Marshal(map[string]string{"username": `shop "Ä" \ 🔑`, "password": "p\n\x00<&>'ß"})
	require.NoError(t, err)
	f.put(t, string(login))
	want := `{"user": "shop \"Ä\" \\ 🔑", "passwordLength": 8}`
	assert.JSONEq(t, want, invoke())

	f.fail(t, faults.Fault{Kind: faults.DropBefore, Region: primary, Service: "secretsmanager"})
	assert.JSONEq(t, want, invoke(), "from the cache")
	f.Faults.Clear()

	_, err = f.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("shop"), Environment: f.environment(map[string]string{"DB_SECRET_ID": "acme/dev/shop/none"}),
	})
	require.NoError(t, err)
	require.NoError(t, lambda.NewFunctionUpdatedV2Waiter(f.lambda).Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("shop")}, time.Minute))
	assert.Contains(t, invoke(), "errorMessage", "the handler's own error")
}
