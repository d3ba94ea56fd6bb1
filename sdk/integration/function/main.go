// The Lambda function of the layer's tests. It gets what the event names from
// the layer on localhost, as a function in any language would.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

// event says what to get, or that the extension is killed.
type event struct {
	Path string
	Kill string // the name of the extension
}

type answer struct {
	Status int
	Body   string
}

// atInit is what the layer says before the first invocation.
var atInit answer

func main() {
	var err error
	if os.Getenv("READ_AT_INIT") != "" {
		if atInit, err = get(context.Background(), os.Getenv("READ_AT_INIT")); err != nil {
			panic(err)
		}
	}
	lambda.Start(handle)
}

func handle(ctx context.Context, e event) (answer, error) {
	if e.Path == "" {
		return atInit, nil
	}
	if e.Kill != "" {
		if err := kill(e.Kill); err != nil {
			return answer{}, err
		}
		<-ctx.Done() // Lambda ends this environment before
	}
	return get(ctx, e.Path)
}

func get(ctx context.Context, path string) (answer, error) {
	url := "http://localhost:" + os.Getenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT") + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil) //nolint:gosec // the path is the test's own
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("X-Aws-Parameters-Secrets-Token", os.Getenv("AWS_SESSION_TOKEN"))
	response, err := http.DefaultClient.Do(request) //nolint:gosec // as above
	if err != nil {
		return answer{}, fmt.Errorf("ask the layer: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, string(body)}, err
}
