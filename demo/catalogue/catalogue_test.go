package catalogue_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/settings"
	"github.com/aistudio/secrets/sdk/spec"
)

const token = "planted_3f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c"

func function(name, role string, variables ...string) discover.Function {
	f := discover.Function{ARN: "arn:aws:lambda:us-east-1:123456789012:function:" + name, Name: name, Role: "arn:aws:iam::123456789012:role/" + role}
	for i := 0; i+1 < len(variables); i += 2 {
		f.Settings = append(f.Settings, classify.Setting{Name: variables[i], Value: spec.ValueString(variables[i+1])})
	}
	return f
}

// merge does what a person does with the entries: what is said wins, the rest
// stays.
func merge(into, from map[string]any) {
	for key, value := range from {
		inner, isMap := value.(map[string]any)
		have, had := into[key].(map[string]any)
		if isMap && had {
			merge(have, inner)
			continue
		}
		into[key] = value
	}
}

// The entries that the migration writes are valid in each of the project's own
// stacks, before the apply, when their values are awaited, and after it. And once
// they are merged, there is nothing more to add.
func TestEntriesAreValid(t *testing.T) {
	login := []string{"PG_HOST", "fresh.db.internal", "PG_USER", "app", "PG_PASSWORD", "hunter2-hunter2", "PG_PORT", "5433", "PG_DATABASE", "shop"}
	estate := discover.Estate{Account: "123456789012", Region: "us-east-1", Functions: []discover.Function{
		function("shop", "apps/shop", append(login, "STRIPE_API_KEY", token, "OAUTH_CREDENTIALS", `{"client_id":"shop","client_secret":"`+token+`"}`)...),
		function("shop-worker", "apps/shop-worker", append(login, "STRIPE_KEY", token, "WEBHOOK_SECRET", token+"w")...),
		function("orders", "orders-function", "API_TOKEN", token+"o"),
		function("of-a-stranger", "a-very-long-role-name-that-is-over-thirty-characters", "SIGNING_SALT", token+"s"),
	}}
	for _, stack := range []string{"dev", "staging", "prod"} {
		t.Run(stack, func(t *testing.T) {
			file := filepath.Join("..", "..", "Pulumi."+stack+".yaml")
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var merged map[string]any
			require.NoError(t, yaml.Unmarshal(text, &merged))
			here := filepath.Join(t.TempDir(), "Pulumi."+stack+".yaml")
			require.NoError(t, os.WriteFile(here, text, 0o600))

			for _, filled := range []bool{false, true} {
				s, err := settings.Read(stack, here, "")
				require.NoError(t, err)
				s.Services = settings.Names{"lambda/shop*": "shop"}
				s.Classify.Secrets = []string{"*_SALT"}
				classifier, err := classify.New(s.Classify)
				require.NoError(t, err)
				p, err := plan.Make(s, estate, classifier, digest.New(), plan.Facts{})
				require.NoError(t, err)
				var entries bytes.Buffer
				require.NoError(t, plan.Catalogue(&entries, p, s, estate, classifier, func(string) bool { return filled }))
				assert.NotContains(t, entries.String(), token)

				var added map[string]any
				require.NoError(t, yaml.Unmarshal(entries.Bytes(), &added))
				merge(merged, added)
				out, err := yaml.Marshal(merged)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(here, out, 0o600))
				declared, err := catalogue.ReadFile(here)
				require.NoError(t, err, entries.String())
				for _, secret := range p.Secrets {
					name, err := spec.ParseName(secret.Name)
					require.NoError(t, err)
					entry := find(t, declared, name)
					assert.Equal(t, secret.Kind, entry.Kind)
					assert.Equal(t, secret.Tags[spec.TagOwner], entry.Owner)
					assert.Equal(t, map[bool]catalogue.FirstValue{false: catalogue.ValueAwaited, true: catalogue.ValuePresent}[filled], entry.Value)
					assert.False(t, entry.Rotates(), "its owner hasn't chosen yet")
					assert.NotEmpty(t, entry.Readers)
				}
				database := find(t, declared, spec.Name{Organization: s.Organization, Environment: s.Environment, Service: "shop", Secret: "pg-database"})
				assert.Equal(t, catalogue.DatabaseUser{Server: "fresh", Username: "app", DBName: "shop"}, database.Database)
				assert.Equal(t, 5433, declared.Databases["fresh"].Port)
				assert.Len(t, database.Readers, 2, "a service a role")
			}

			s, err := settings.Read(stack, here, "")
			require.NoError(t, err)
			s.Services = settings.Names{"lambda/shop*": "shop"}
			classifier, err := classify.New(classify.Config{Secrets: []string{"*_SALT"}})
			require.NoError(t, err)
			p, err := plan.Make(s, estate, classifier, digest.New(), plan.Facts{})
			require.NoError(t, err)
			var entries bytes.Buffer
			require.NoError(t, plan.Catalogue(&entries, p, s, estate, classifier, func(string) bool { return true }))
			var added struct{ Config map[string]any }
			require.NoError(t, yaml.Unmarshal(entries.Bytes(), &added))
			assert.Empty(t, added.Config, "the stack declares them all")
		})
	}
}

func find(t *testing.T, stack catalogue.Stack, name spec.Name) catalogue.Secret {
	t.Helper()
	for _, secret := range stack.Secrets {
		if secret.Name == name {
			return secret
		}
	}
	require.Fail(t, "no entry", name.String())
	return catalogue.Secret{}
}
