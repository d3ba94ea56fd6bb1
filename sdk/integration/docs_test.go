package integration_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The programs on the page for service developers are those that are tested.
func TestThePageShowsWhatIsTested(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "reading-secrets.md"))
	require.NoError(t, err)
	var shown []string
	for _, block := range regexp.MustCompile("(?ms)^```[a-z]+\n(.*?)^```$").FindAllSubmatch(page, -1) {
		shown = append(shown, string(block[1]))
	}
	var tested []string
	for _, path := range []string{"examples/lambda/main.go", "examples/ecs/main.go", "testdata/python/handler.py", "testdata/node/handler.mjs"} {
		program, err := os.ReadFile(path)
		require.NoError(t, err)
		tested = append(tested, string(program))
	}
	assert.Equal(t, tested, shown)
}

// example builds an example program.
func example(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", path, "./examples/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// The examples trust the system's authorities; for the database here that is
// the file that Go reads from SSL_CERT_FILE.
func TestTheExampleOfALambdaFunction(t *testing.T) {
	d := startDatabase(t)
	program, err := os.ReadFile(example(t, "lambda"))
	require.NoError(t, err)
	f := startFunctionOf(t, zipOf(t, map[string][]byte{"bootstrap": program}), map[string]string{"DB_SECRET_ID": secretName, "SSL_CERT_FILE": d.server.CAFile})
	f.put(t, d.setPassword(t, "shop"))
	invoke := func() string {
		out, err := f.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop")})
		require.NoError(t, err)
		return string(out.Payload)
	}
	assert.Equal(t, `"shop"`, invoke())
	f.put(t, d.setPassword(t, "shop"))
	assert.Equal(t, `"shop"`, invoke(), "after a rotation")
}

func TestTheExampleOfAServiceOnECS(t *testing.T) {
	d := startDatabase(t)
	c := startCloud(t)
	c.feed(t)
	c.put(t, d.setPassword(t, "shop"))
	address := "127.0.0.1:" + freePort(t)
	credentials, err := c.Config(primary).Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	service := exec.CommandContext(t.Context(), example(t, "ecs"))
	service.Env = []string{
		"AWS_ENDPOINT_URL=" + c.URL(), "AWS_REGION=" + primary, "AWS_ACCESS_KEY_ID=" + credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + credentials.SecretAccessKey,
		"DB_SECRET_ID=" + secretName, "SECRETS_FEED_TABLE=feed", "SSL_CERT_FILE=" + d.server.CAFile, "LISTEN=" + address,
	}
	service.Stderr = os.Stderr
	require.NoError(t, service.Start())
	defer func() {
		require.NoError(t, service.Process.Kill())
		_ = service.Wait()
	}()
	var user string
	require.Eventually(t, func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/user", nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false // it doesn't listen yet
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		user = string(body)
		return true
	}, time.Minute, 10*time.Millisecond)
	assert.Equal(t, "shop", user)
}
