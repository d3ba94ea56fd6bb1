package ecs

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

// document is a task definition as it is registered. What the emulator has no
// use for is kept as it came.
type document struct {
	ContainerDefinitions    []container     `json:"containerDefinitions"`
	CPU                     string          `json:"cpu,omitempty"`
	EnableFaultInjection    *bool           `json:"enableFaultInjection,omitempty"`
	EphemeralStorage        json.RawMessage `json:"ephemeralStorage,omitempty"`
	ExecutionRoleArn        string          `json:"executionRoleArn,omitempty"`
	Family                  string          `json:"family"`
	IpcMode                 string          `json:"ipcMode,omitempty"`
	Memory                  string          `json:"memory,omitempty"`
	NetworkMode             string          `json:"networkMode,omitempty"`
	PidMode                 string          `json:"pidMode,omitempty"`
	PlacementConstraints    json.RawMessage `json:"placementConstraints,omitempty"`
	ProxyConfiguration      json.RawMessage `json:"proxyConfiguration,omitempty"`
	RequiresCompatibilities []string        `json:"requiresCompatibilities,omitempty"`
	RuntimePlatform         json.RawMessage `json:"runtimePlatform,omitempty"`
	TaskRoleArn             string          `json:"taskRoleArn,omitempty"`
	Volumes                 json.RawMessage `json:"volumes,omitempty"`
}

// container is a container definition.
type container map[string]json.RawMessage

// members are those that a container definition can have.
var members = strings.Fields(`command cpu credentialSpecs dependsOn disableNetworking dnsSearchDomains dnsServers dockerLabels
	dockerSecurityOptions entryPoint environment environmentFiles essential extraHosts firelensConfiguration healthCheck hostname image
	interactive links linuxParameters logConfiguration memory memoryReservation mountPoints name portMappings privileged pseudoTerminal
	readonlyRootFilesystem repositoryCredentials resourceRequirements restartPolicy secrets startTimeout stopTimeout systemControls ulimits
	user versionConsistency volumesFrom workingDirectory`)

// filled are the members that ECS adds where they are missing.
var filled = map[string]string{
	"cpu": "0", "essential": "true", "environment": "[]", "mountPoints": "[]", "portMappings": "[]", "volumesFrom": "[]", "systemControls": "[]",
}

type secretOf struct{ Name, ValueFrom string }

func (c container) text(name string) string {
	var text string
	_ = json.Unmarshal(c[name], &text) // "" for anything else
	return text
}

func (c container) secrets() (list []secretOf) {
	_ = json.Unmarshal(c["secrets"], &list) // checked when it was registered
	return list
}

// check returns what is wrong with a container definition.
func (c container) check(executionRole string) error {
	for name := range c {
		if !slices.Contains(members, name) {
			return client("Unknown parameter in containerDefinitions: %q.", name)
		}
	}
	if c.text("name") == "" {
		return client("Container.name should not be null or empty.")
	}
	if c.text("image") == "" {
		return client("Container.image should not be null or empty.")
	}
	var environment []struct{ Name, Value string }
	var hidden []secretOf
	if c["environment"] != nil && json.Unmarshal(c["environment"], &environment) != nil {
		return client("The environment of the container %s is no list of names and values.", c.text("name"))
	}
	if c["secrets"] != nil && json.Unmarshal(c["secrets"], &hidden) != nil {
		return client("The secrets of the container %s are no list of names and references.", c.text("name"))
	}
	taken := map[string]bool{}
	for _, e := range environment {
		taken[e.Name] = true
	}
	for _, s := range hidden {
		if s.Name == "" || s.ValueFrom == "" {
			return client("A secret of the container %s has no name or no valueFrom.", c.text("name"))
		}
		if taken[s.Name] {
			return client("The secret name must be unique and not shared with any new or existing environment variables set on the container, such as '%s'.", s.Name)
		}
		taken[s.Name] = true
	}
	if len(hidden) > 0 && executionRole == "" {
		return client("When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.")
	}
	return nil
}

// definition is a revision of a family.
type definition struct {
	document
	Compatibilities   []string  `json:"compatibilities"`
	DeregisteredAt    *api.Time `json:"deregisteredAt,omitempty"`
	RegisteredAt      *api.Time `json:"registeredAt"`
	RegisteredBy      string    `json:"registeredBy"`
	Revision          int       `json:"revision"`
	Status            string    `json:"status"`
	TaskDefinitionArn string    `json:"taskDefinitionArn"`
	tags              []tag
}

type registerInput struct {
	document
	Tags []tag `json:"tags"`
}

type definitionOutput struct {
	TaskDefinition *definition `json:"taskDefinition"`
	Tags           []tag       `json:"tags,omitempty"`
}

var familyForm = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,255}$`)

func (s *Service) registerTaskDefinition(ctx context.Context, r *api.Request, in *registerInput) (*definitionOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "ecs:RegisterTaskDefinition", Resource: "*"}); err != nil {
		return nil, err
	}
	for _, role := range []string{in.ExecutionRoleArn, in.TaskRoleArn} {
		if role == "" {
			continue
		}
		if err := r.Authorize(ctx, api.Check{
			Action: "iam:PassRole", Resource: role, Context: map[string][]string{"iam:PassedToService": {tasks}},
		}); err != nil {
			return nil, err
		}
	}
	if !familyForm.MatchString(in.Family) {
		return nil, client("Family should be 1 to 255 letters, digits, hyphens and underscores.")
	}
	if len(in.ContainerDefinitions) == 0 {
		return nil, client("Container list cannot be empty.")
	}
	for _, c := range in.ContainerDefinitions {
		if err := c.check(in.ExecutionRoleArn); err != nil {
			return nil, err
		}
		for name, value := range filled {
			if c[name] == nil {
				c[name] = json.RawMessage(value)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.definitions[at(r)] == nil {
		s.definitions[at(r)] = map[string][]*definition{}
	}
	d := &definition{
		document: in.document, Compatibilities: []string{"EC2", "FARGATE"}, RegisteredAt: api.NewTime(r.Time), RegisteredBy: r.Caller.ARN,
		Revision: len(s.definitions[at(r)][in.Family]) + 1, Status: "ACTIVE", tags: in.Tags,
	}
	d.TaskDefinitionArn = r.ARN("ecs", "task-definition/"+d.Family+":"+strconv.Itoa(d.Revision))
	s.definitions[at(r)][in.Family] = append(s.definitions[at(r)][in.Family], d)
	r.TrailResources = []string{d.TaskDefinitionArn}
	return &definitionOutput{d, d.tags}, nil
}

// definition finds "family", "family:revision" or an ARN. Without a revision it
// is the newest active one. s.mu is held.
func (s *Service) definition(r *api.Request, id string) (*definition, error) {
	family, revision, exact := strings.Cut(shortName(id), ":")
	list := s.definitions[at(r)][family]
	if exact {
		if n, err := strconv.Atoi(revision); err == nil && n >= 1 && n <= len(list) {
			return list[n-1], nil
		}
		return nil, client("Unable to describe task definition.")
	}
	for _, d := range slices.Backward(list) {
		if d.Status == "ACTIVE" {
			return d, nil
		}
	}
	return nil, client("Unable to describe task definition.")
}

type definitionInput struct {
	TaskDefinition string
	Include        []string
}

func (s *Service) describeTaskDefinition(ctx context.Context, r *api.Request, in *definitionInput) (*definitionOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "ecs:DescribeTaskDefinition", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.definition(r, in.TaskDefinition)
	if err != nil {
		return nil, err
	}
	out := &definitionOutput{TaskDefinition: d}
	if slices.Contains(in.Include, "TAGS") {
		out.Tags = d.tags
	}
	return out, nil
}

// deregisterTaskDefinition makes a revision inactive. Services that have it go
// on, and it can still be described.
func (s *Service) deregisterTaskDefinition(ctx context.Context, r *api.Request, in *definitionInput) (*definitionOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "ecs:DeregisterTaskDefinition", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.Contains(shortName(in.TaskDefinition), ":") {
		return nil, invalid("The task definition needs its revision.")
	}
	old, err := s.definition(r, in.TaskDefinition)
	if err != nil {
		return nil, err
	}
	d := *old // replies that are still to be written have the old one
	d.Status, d.DeregisteredAt = "INACTIVE", api.NewTime(r.Time)
	s.definitions[at(r)][d.Family][d.Revision-1] = &d
	r.TrailResources = []string{d.TaskDefinitionArn}
	return &definitionOutput{TaskDefinition: &d}, nil
}

type listDefinitionsInput struct {
	FamilyPrefix, Sort, Status, NextToken string
	MaxResults                            int
}

type definitionArns struct {
	TaskDefinitionArns []string `json:"taskDefinitionArns"`
	NextToken          string   `json:"nextToken,omitempty"`
}

func (s *Service) listTaskDefinitions(ctx context.Context, r *api.Request, in *listDefinitionsInput) (*definitionArns, error) {
	if err := r.Authorize(ctx, api.Check{Action: "ecs:ListTaskDefinitions", Resource: "*"}); err != nil {
		return nil, err
	}
	status := in.Status
	if status == "" {
		status = "ACTIVE"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	arns := []string{}
	for _, family := range slices.Sorted(maps.Keys(s.definitions[at(r)])) {
		if in.FamilyPrefix != "" && family != in.FamilyPrefix { // a whole name, for all that it is called
			continue
		}
		for _, d := range s.definitions[at(r)][family] {
			if d.Status == status {
				arns = append(arns, d.TaskDefinitionArn)
			}
		}
	}
	if in.Sort == "DESC" {
		slices.Reverse(arns)
	}
	found, next, err := page(arns, in.MaxResults, in.NextToken)
	return &definitionArns{found, next}, err
}

type families struct {
	Families  []string `json:"families"`
	NextToken string   `json:"nextToken,omitempty"`
}

func (s *Service) listTaskDefinitionFamilies(ctx context.Context, r *api.Request, in *listDefinitionsInput) (*families, error) {
	if err := r.Authorize(ctx, api.Check{Action: "ecs:ListTaskDefinitionFamilies", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	names := []string{}
	for _, family := range slices.Sorted(maps.Keys(s.definitions[at(r)])) {
		active := slices.ContainsFunc(s.definitions[at(r)][family], func(d *definition) bool { return d.Status == "ACTIVE" })
		if strings.HasPrefix(family, in.FamilyPrefix) && (in.Status == "" || in.Status == "ALL" || (in.Status == "ACTIVE") == active) {
			names = append(names, family)
		}
	}
	found, next, err := page(names, in.MaxResults, in.NextToken)
	return &families{found, next}, err
}
