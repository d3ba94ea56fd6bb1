package plan_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/settings"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	account = "123456789012"
	region  = "us-east-1"
	roles   = "arn:aws:iam::123456789012:role/"
	keyARN  = "arn:aws:kms:us-east-1:123456789012:key/mrk-1"

	// Canaries: values of secrets, which must be in no output.
	password = "c4nary-Passw0rd!x7"
	apiKey   = "canary_3f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c"
)

// stack is the settings of a migration without a file of its own.
func stack() settings.Settings {
	return settings.Settings{
		Stack: "dev", Organization: "acme", Environment: "dev", Owner: "team-platform", Region: region, KMSKey: "alias/acme/dev/secrets",
		Mode: settings.DualRead, DataClassification: "confidential", OwnerTags: []string{"Owner", "Team"}, ServiceTags: []string{"Service"},
		PolicyLimit: 10240,
	}
}

func pairs(list ...string) []classify.Setting {
	var all []classify.Setting
	for i := 0; i+1 < len(list); i += 2 {
		all = append(all, classify.Setting{Name: list[i], Value: spec.ValueString(list[i+1])})
	}
	return all
}

func function(name string, variables ...string) discover.Function {
	return discover.Function{
		ARN: "arn:aws:lambda:us-east-1:123456789012:function:" + name, Name: name, Role: roles + name, Settings: pairs(variables...),
	}
}

func parameter(name, value string, kind discover.ParameterType) discover.Parameter {
	return discover.Parameter{
		ARN: "arn:aws:ssm:us-east-1:123456789012:parameter/" + strings.TrimPrefix(name, "/"), Name: name, Type: kind, Value: spec.ValueString(value),
	}
}

func definition(family string, revision int, containers ...discover.Container) discover.TaskDefinition {
	return discover.TaskDefinition{
		ARN:    "arn:aws:ecs:us-east-1:123456789012:task-definition/" + family + ":" + strconv.Itoa(revision),
		Family: family, Revision: revision, Active: true, ExecutionRole: roles + family + "-execution", TaskRole: roles + family + "-task", Containers: containers,
	}
}

func service(name string, d discover.TaskDefinition) discover.Service {
	return discover.Service{
		ARN: "arn:aws:ecs:us-east-1:123456789012:service/main/" + name, Name: name, Cluster: "arn:aws:ecs:us-east-1:123456789012:cluster/main",
		TaskDefinition: d.ARN, Controller: "ECS", Platform: "LATEST",
	}
}

func functions(list ...discover.Function) discover.Estate { return discover.Estate{Functions: list} }

// running is an estate with one ECS service, web, of one container, app.
func running(c discover.Container) discover.Estate {
	c.Name = "app"
	d := definition("web", 7, c)
	return discover.Estate{Services: []discover.Service{service("web", d)}, TaskDefinitions: []discover.TaskDefinition{d}}
}

// planner makes plans with one key, so that their digests can be compared.
type planner struct {
	testing.TB
	settings settings.Settings
	key      digest.Key
	facts    plan.Facts
}

func newPlanner(t testing.TB) *planner { return &planner{TB: t, settings: stack(), key: digest.New()} }

func (p *planner) classifier() *classify.Classifier {
	p.Helper()
	c, err := classify.New(p.settings.Classify)
	require.NoError(p, err)
	return c
}

func here(e discover.Estate) discover.Estate {
	e.Account, e.Region = account, region
	return e
}

func (p *planner) make(e discover.Estate) plan.Plan {
	p.Helper()
	made, err := plan.Make(p.settings, here(e), p.classifier(), p.key, p.facts)
	require.NoError(p, err)
	return made
}

func (p *planner) check(of plan.Plan, e discover.Estate) []string {
	p.Helper()
	differences, err := plan.Check(of, p.settings, here(e), p.classifier(), p.key, p.facts)
	require.NoError(p, err)
	var all []string
	for _, d := range differences {
		all = append(all, d.String())
	}
	return all
}

func (p *planner) renew(old plan.Plan, e discover.Estate) plan.Plan {
	p.Helper()
	made, err := plan.Renew(old, p.settings, here(e), p.classifier(), p.key, p.facts)
	require.NoError(p, err)
	return made
}

func secretNames(p plan.Plan) []string {
	var names []string
	for _, s := range p.Secrets {
		names = append(names, strings.TrimPrefix(s.Name, "acme/dev/"))
	}
	return names
}

// moves are a plan's variables as "<service> <container>:<variable> -> <secret>#<field>".
func moves(p plan.Plan) []string {
	var all []string
	for _, s := range p.Services {
		for _, v := range s.Variables {
			text := s.ID + " "
			if v.Container != "" {
				text += v.Container + ":"
			}
			text += v.Name + " -> " + strings.TrimPrefix(v.Secret, "acme/dev/")
			if v.Field != "" {
				text += "#" + v.Field
			}
			if v.Parameter != "" {
				text += " from " + v.Parameter
			}
			all = append(all, text)
		}
	}
	return all
}

func codes(p plan.Plan) []string {
	var all []string
	for _, b := range p.Blocked {
		all = append(all, b.Code+" "+strings.TrimPrefix(b.Subject, "acme/dev/"))
	}
	return all
}
