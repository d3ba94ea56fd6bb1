package handlers

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// providerArgs are the properties of Pulumi's provider resource, and of its
// configuration, that count here.
type providerArgs struct {
	Region      string              `json:"region"`
	AccessKey   string              `json:"accessKey"`
	SecretKey   string              `json:"secretKey"`
	Token       string              `json:"token"`
	Endpoints   []map[string]string `json:"endpoints"`
	DefaultTags struct {
		Tags map[string]string `json:"tags"`
	} `json:"defaultTags"`
}

// handled tells which provider properties are read, or can be ignored because
// they are about reaching AWS and mean nothing in a local cloud. Every other one
// is refused, since a program may rely on it.
func handled(name resource.PropertyKey) bool {
	switch name {
	case "insecure", "maxRetries", "retryMode", "s3UsePathStyle", "skipCredentialsValidation",
		"skipMetadataApiCheck", "skipRegionValidation", "skipRequestingAccountId", "version",
		"pluginDownloadURL", defaultsKey, "__internal":
		return true
	default:
		return isProviderArg(string(name))
	}
}

// CheckConfig tells which properties of a provider have no meaning here.
func CheckConfig(inputs resource.PropertyMap) []Failure {
	var failures []Failure
	for _, key := range inputs.StableKeys() {
		if !handled(key) {
			failures = append(failures, Failure{string(key), "the provider for the local cloud has no handler for this property"})
		}
	}
	return failures
}

// ParseConfig reads the properties of a provider over a base configuration, from
// which come the region, the endpoints and the credentials that they leave out
// (but no default tags: those are each provider's own). Nested properties may be given as Pulumi's
// engine does, as JSON texts.
func ParseConfig(inputs resource.PropertyMap, base Config) (Config, error) {
	for _, failure := range CheckConfig(inputs) {
		return Config{}, errors.New(failure.String())
	}
	members := plainMap(inputs)
	for name := range members {
		if !isProviderArg(name) {
			delete(members, name)
			continue
		}
		text, isText := members[name].(string)
		if nested := name == "endpoints" || name == "defaultTags"; nested && isText {
			var value any
			if err := json.Unmarshal([]byte(text), &value); err != nil {
				return Config{}, fmt.Errorf("property %s isn't JSON", name)
			}
			members[name] = value
		}
	}
	text, err := json.Marshal(members)
	if err != nil {
		return Config{}, fmt.Errorf("encode the provider's properties: %w", err)
	}
	var args providerArgs
	if err := json.Unmarshal(text, &args); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return Config{}, fmt.Errorf("property %s must be of type %v", wrong.Field, wrong.Type)
		}
		return Config{}, errors.New("the provider's properties don't have the types of its schema")
	}
	return args.over(base), nil
}

func isProviderArg(name string) bool {
	switch name {
	case "region", "accessKey", "secretKey", "token", "endpoints", "defaultTags":
		return true
	default:
		return false
	}
}

// over completes the arguments with a base configuration.
func (a providerArgs) over(base Config) Config {
	config := base
	if a.Region != "" {
		config.Region = a.Region
	}
	if a.AccessKey != "" {
		config.AccessKey, config.SecretKey, config.SessionToken = a.AccessKey, a.SecretKey, a.Token
	}
	if len(a.Endpoints) > 0 {
		config.Endpoints = maps.Clone(base.Endpoints)
		if config.Endpoints == nil {
			config.Endpoints = map[string]string{}
		}
		for _, services := range a.Endpoints {
			maps.Copy(config.Endpoints, services)
		}
	}
	config.DefaultTags = a.DefaultTags.Tags
	return config
}
