// Command service is a service that was made ready for a migration: it reads its
// secrets by dual reads. It answers with their hashes.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log"
	"os"
	"strings"
	"sync"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/dualread"
	"github.com/aistudio/secrets/sdk/dualread/parameter"
)

func main() {
	configuration, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	parameters := ssm.NewFromConfig(configuration)
	var mu sync.Mutex
	readers := map[string]*dualread.Reader{}
	reader := func(name string) (*dualread.Reader, error) {
		mu.Lock()
		defer mu.Unlock()
		if r := readers[name]; r != nil {
			return r, nil
		}
		options := dualread.Options{}
		if strings.HasSuffix(name, "_PARAMETER") { // the variable names the parameter that held the secret
			options.Old = parameter.Source(parameters, os.Getenv(name))
		}
		r, err := dualread.FromEnv(secrets.Default(), name, options)
		readers[name] = r
		return r, err
	}
	lambda.Start(func(ctx context.Context, event struct{ Read []string }) (map[string]string, error) {
		answer := map[string]string{}
		for _, name := range event.Read {
			r, err := reader(name)
			if err != nil {
				return nil, err
			}
			value, err := r.Value(ctx)
			if err != nil {
				return nil, err
			}
			sum := sha256.Sum256(value.Reveal())
			answer[name] = hex.EncodeToString(sum[:])
		}
		return answer, nil
	})
}
