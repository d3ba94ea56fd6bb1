package events

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

type target struct {
	ID               string `json:"Id"`
	Arn              string
	RoleArn          string            `json:",omitempty"`
	Input            string            `json:",omitempty"`
	InputPath        string            `json:",omitempty"`
	InputTransformer *inputTransformer `json:",omitempty"`
	DeadLetterConfig *deadLetterConfig `json:",omitempty"`
	EcsParameters    json.RawMessage   `json:",omitempty"` // kept as they came
	RetryPolicy      *retryPolicy      `json:",omitempty"`
}

type inputTransformer struct {
	InputPathsMap map[string]string `json:",omitempty"`
	InputTemplate string
}

type deadLetterConfig struct{ Arn string }

type retryPolicy struct {
	MaximumRetryAttempts     *int `json:",omitempty"`
	MaximumEventAgeInSeconds *int `json:",omitempty"`
}

// input is what the target gets of an event: all of it, a part, a constant, or
// a template filled with parts.
func (t target) input(raw []byte, event map[string]any) []byte {
	switch {
	case t.Input != "":
		return []byte(t.Input)
	case t.InputPath != "":
		return encode(part(event, t.InputPath))
	case t.InputTransformer != nil:
		return t.InputTransformer.fill(event)
	}
	return raw
}

// part reads a JSON path of names ("$.detail.name"). What isn't there is null.
func part(event map[string]any, path string) any {
	var at any = event
	for _, name := range strings.Split(strings.TrimPrefix(path, "$"), ".") {
		if name == "" {
			continue
		}
		object, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = object[name]
	}
	return at
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return b
}

var placeholder = regexp.MustCompile(`^<[A-Za-z0-9_.-]+>`)

// fill replaces each <name> by the value at its path: by a JSON value where one
// can stand, by its text inside a JSON string.
func (x *inputTransformer) fill(event map[string]any) []byte {
	var out bytes.Buffer
	inString := false
	template := []byte(x.InputTemplate)
	for i := 0; i < len(template); i++ {
		if m := placeholder.Find(template[i:]); m != nil {
			value := encode(part(event, x.InputPathsMap[string(bytes.Trim(m, "<>"))]))
			if inString {
				value = bytes.Trim(value, `"`)
			}
			out.Write(value)
			i += len(m) - 1
			continue
		}
		if template[i] == '"' && (i == 0 || template[i-1] != '\\') {
			inString = !inString
		}
		out.WriteByte(template[i])
	}
	return out.Bytes()
}

// check returns what is wrong with a target. A cluster needs to be told which
// task to run, and a role that may:
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_EcsParameters.html
func (t target) check() error {
	switch {
	case t.ID == "":
		return errTarget("A target needs an Id.")
	case t.cluster():
		var task struct{ TaskDefinitionArn string }
		if json.Unmarshal(t.EcsParameters, &task) != nil || task.TaskDefinitionArn == "" {
			return errTarget("Parameter(s) EcsParameters not valid: target %s needs a TaskDefinitionArn.", t.ID)
		}
		if t.RoleArn == "" {
			return errTarget("RoleArn is required for target %s.", t.Arn)
		}
	case !slices.ContainsFunc([]string{":lambda:", ":sqs:", ":sns:"}, func(service string) bool { return strings.Contains(t.Arn, service) }):
		return errTarget("Target %q: the emulator delivers to Lambda functions, SQS queues and SNS topics only, not to %s.", t.ID, t.Arn)
	}
	return nil
}

// cluster tells of a target that runs an ECS task.
func (t target) cluster() bool { return strings.Contains(t.Arn, ":ecs:") }

type putTargetsInput struct {
	Rule         string
	EventBusName string
	Targets      []target
}

type failedOutput struct {
	FailedEntryCount int
	FailedEntries    []struct{}
}

func (s *Service) putTargets(ctx context.Context, r *api.Request, in *putTargetsInput) (*failedOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.open(ctx, r, in.Rule, in.EventBusName, "PutTargets")
	if err != nil {
		return nil, err
	}
	for _, t := range in.Targets {
		if err := t.check(); err != nil {
			return nil, err
		}
		if t.RoleArn == "" {
			continue
		}
		if err := r.Authorize(ctx, api.Check{
			Action: "iam:PassRole", Resource: t.RoleArn, Context: map[string][]string{"iam:PassedToService": {principal}},
		}); err != nil {
			return nil, err
		}
	}
	for _, t := range in.Targets {
		i := slices.IndexFunc(found.targets, func(x target) bool { return x.ID == t.ID })
		switch {
		case i >= 0:
			found.targets[i] = t
		case len(found.targets) >= 5:
			return nil, api.Errorf("LimitExceededException", "The requested resource exceeds the maximum number allowed.")
		default:
			found.targets = append(found.targets, t)
		}
	}
	return &failedOutput{FailedEntries: []struct{}{}}, nil
}

type removeTargetsInput struct {
	Rule         string
	EventBusName string
	Ids          []string
	Force        bool
}

func (s *Service) removeTargets(ctx context.Context, r *api.Request, in *removeTargetsInput) (*failedOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.open(ctx, r, in.Rule, in.EventBusName, "RemoveTargets")
	if err != nil {
		return nil, err
	}
	found.targets = slices.DeleteFunc(found.targets, func(t target) bool { return slices.Contains(in.Ids, t.ID) })
	return &failedOutput{FailedEntries: []struct{}{}}, nil
}

type listTargetsInput struct {
	Rule, EventBusName, NextToken string
	Limit                         *int
}

type listTargetsOutput struct {
	Targets   []target
	NextToken string `json:",omitempty"`
}

func (s *Service) listTargetsByRule(ctx context.Context, r *api.Request, in *listTargetsInput) (*listTargetsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.open(ctx, r, in.Rule, in.EventBusName, "ListTargetsByRule")
	if err != nil {
		return nil, err
	}
	targets, next, err := page(slices.Clone(found.targets), in.Limit, in.NextToken)
	return &listTargetsOutput{targets, next}, err
}

type listRuleNamesInput struct {
	TargetArn, EventBusName, NextToken string
	Limit                              *int
}

type listRuleNamesOutput struct {
	RuleNames []string
	NextToken string `json:",omitempty"`
}

func (s *Service) listRuleNamesByTarget(ctx context.Context, r *api.Request, in *listRuleNamesInput) (*listRuleNamesOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "events:ListRuleNamesByTarget", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &listRuleNamesOutput{RuleNames: []string{}}
	for _, name := range slices.Sorted(maps.Keys(s.rules[at(r)])) {
		if slices.ContainsFunc(s.rules[at(r)][name].targets, func(t target) bool { return t.Arn == in.TargetArn }) {
			out.RuleNames = append(out.RuleNames, name)
		}
	}
	var err error
	out.RuleNames, out.NextToken, err = page(out.RuleNames, in.Limit, in.NextToken)
	return out, err
}
