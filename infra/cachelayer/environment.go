package cachelayer

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/sdk/spec"
)

// Cache is how the caches of all services work. Zero values leave a setting to
// the SDK.
type Cache struct {
	TTL             time.Duration
	MaxStale        time.Duration
	FailoverRegions []string // where the secrets are replicated to, in the order to ask
}

// environment is what all caches need.
func (a Args) environment() map[string]pulumi.StringInput {
	variables := map[string]pulumi.StringInput{spec.EnvFeedTable: a.FeedTable}
	if a.Cache.TTL > 0 {
		variables[spec.EnvCacheTTL] = pulumi.String(a.Cache.TTL.String())
	}
	if a.Cache.MaxStale > 0 {
		variables[spec.EnvCacheMaxStale] = pulumi.String(a.Cache.MaxStale.String())
	}
	if len(a.Cache.FailoverRegions) > 0 {
		variables[spec.EnvFailoverRegions] = pulumi.String(strings.Join(a.Cache.FailoverRegions, ","))
	}
	return variables
}

// lambdaEnvironment is for functions, with the layer or with the SDK. Only the
// layer reads ahead by a variable, and counts; a program says it in code.
func (a Args) lambdaEnvironment(reader Reader) pulumi.StringMap {
	variables := pulumi.StringMap(a.environment())
	variables[spec.EnvMetricsEnvironment] = pulumi.String(a.Environment)
	if len(reader.Secrets) > 0 {
		variables[spec.EnvPrefetch] = pulumi.String(strings.Join(reader.Secrets, ","))
	}
	return variables
}

// ecsEnvironment is for containers, in the form of a container definition.
func (a Args) ecsEnvironment() pulumi.Array {
	variables := a.environment()
	list := make(pulumi.Array, 0, len(variables))
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		list = append(list, pulumi.StringMap{"name": pulumi.String(name), "value": variables[name]})
	}
	return list
}
