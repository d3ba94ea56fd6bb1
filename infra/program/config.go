package program

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/catalogue"
)

// readStack reads and checks the stack's configuration.
func readStack(ctx *pulumi.Context) (catalogue.Stack, error) {
	values := map[string]string{}
	var mistakes catalogue.MistakesError
	for _, key := range catalogue.Keys() {
		if ctx.IsConfigSecret(key) {
			mistakes = append(mistakes, catalogue.Mistake{
				Path:    key,
				Problem: "is encrypted: a stack's configuration describes secrets and holds none, so write it as plain YAML",
			})
			continue
		}
		if value, ok := ctx.GetConfig(key); ok {
			values[key] = value
		}
	}
	if len(mistakes) > 0 {
		return catalogue.Stack{}, mistakes
	}
	return catalogue.Parse(values)
}
