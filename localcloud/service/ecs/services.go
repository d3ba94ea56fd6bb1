package ecs

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

const (
	// tasks is how ECS presents itself to the roles of tasks.
	tasks = "ecs-tasks.amazonaws.com"
	// startTime is how long a task takes to start, or to fail at it.
	startTime = 30 * time.Second
	// maxFailures is when the circuit breaker gives a deployment up:
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
	maxFailures = 3
)

type service struct {
	place         place
	cluster       *cluster
	name, arn     string
	created       time.Time
	createdBy     string
	desired       int
	launchType    string
	configuration json.RawMessage // of deployments
	controller    *controller
	network       json.RawMessage
	tags          []tag
	deployments   []*deployment // the primary one first
	events        []event
}

// controller says who deploys: ECS, CODE_DEPLOY or EXTERNAL.
type controller struct {
	Type string `json:"type"`
}

// deployment brings the tasks of a service to a revision. Values are replaced,
// never changed, once a reply may have them.
type deployment struct {
	ID                 string    `json:"id"`
	Status             string    `json:"status"` // PRIMARY, ACTIVE
	TaskDefinition     string    `json:"taskDefinition"`
	DesiredCount       int       `json:"desiredCount"`
	RunningCount       int       `json:"runningCount"`
	PendingCount       int       `json:"pendingCount"`
	FailedTasks        int       `json:"failedTasks"`
	CreatedAt          *api.Time `json:"createdAt"`
	UpdatedAt          *api.Time `json:"updatedAt"`
	RolloutState       string    `json:"rolloutState"` // IN_PROGRESS, COMPLETED, FAILED
	RolloutStateReason string    `json:"rolloutStateReason,omitempty"`
}

type event struct {
	ID        string    `json:"id"`
	CreatedAt *api.Time `json:"createdAt"`
	Message   string    `json:"message"`
}

type serviceInput struct {
	ServiceName, Service, Cluster, TaskDefinition, LaunchType, ClientToken, PlatformVersion, PropagateTags, SchedulingStrategy string
	DesiredCount                                                                                                               *int
	DeploymentConfiguration, NetworkConfiguration                                                                              json.RawMessage
	DeploymentController                                                                                                       *controller
	EnableECSManagedTags, EnableExecuteCommand, ForceNewDeployment                                                             bool
	Tags                                                                                                                       []tag
}

type serviceOutput struct {
	ServiceArn              string          `json:"serviceArn"`
	ServiceName             string          `json:"serviceName"`
	ClusterArn              string          `json:"clusterArn"`
	Status                  string          `json:"status"`
	TaskDefinition          string          `json:"taskDefinition"`
	DesiredCount            int             `json:"desiredCount"`
	RunningCount            int             `json:"runningCount"`
	PendingCount            int             `json:"pendingCount"`
	LaunchType              string          `json:"launchType"`
	CreatedAt               *api.Time       `json:"createdAt"`
	CreatedBy               string          `json:"createdBy"`
	DeploymentConfiguration json.RawMessage `json:"deploymentConfiguration,omitempty"`
	DeploymentController    *controller     `json:"deploymentController"`
	NetworkConfiguration    json.RawMessage `json:"networkConfiguration,omitempty"`
	Deployments             []deployment    `json:"deployments"`
	Events                  []event         `json:"events"`
	Tags                    []tag           `json:"tags,omitempty"`
}

type oneService struct {
	Service *serviceOutput `json:"service"`
}

func (v *service) output(withTags bool) *serviceOutput {
	out := &serviceOutput{
		ServiceArn: v.arn, ServiceName: v.name, ClusterArn: v.cluster.arn, Status: "ACTIVE", DesiredCount: v.desired, LaunchType: v.launchType,
		TaskDefinition: v.deployments[0].TaskDefinition, CreatedAt: api.NewTime(v.created), CreatedBy: v.createdBy,
		DeploymentConfiguration: v.configuration, DeploymentController: v.controller, NetworkConfiguration: v.network, Deployments: []deployment{}, Events: slices.Clone(v.events),
	}
	for _, d := range v.deployments {
		out.Deployments = append(out.Deployments, *d)
		out.RunningCount += d.RunningCount
		out.PendingCount += d.PendingCount
	}
	if withTags {
		out.Tags = v.tags
	}
	return out
}

// open asks whether the caller may do something to a service and finds its
// cluster and, if there is one, it. s.mu is held.
func (s *Service) open(ctx context.Context, r *api.Request, clusterID, id, action string) (*cluster, *service, error) {
	arn := r.ARN("ecs", "service/"+orDefault(clusterID)+"/"+shortName(id))
	r.TrailResources = append(r.TrailResources, arn)
	if err := r.Authorize(ctx, api.Check{
		Action: "ecs:" + action, Resource: arn, Context: map[string][]string{"ecs:cluster": {r.ARN("ecs", "cluster/"+orDefault(clusterID))}},
	}); err != nil {
		return nil, nil, err
	}
	c, err := s.findCluster(r, clusterID)
	if err != nil {
		return nil, nil, err
	}
	return c, c.services[shortName(id)], nil
}

func (s *Service) createService(ctx context.Context, r *api.Request, in *serviceInput) (*oneService, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, old, err := s.open(ctx, r, in.Cluster, in.ServiceName, "CreateService")
	if err != nil {
		return nil, err
	}
	if old != nil {
		return nil, invalid("Creation of service was not idempotent.")
	}
	if in.ServiceName == "" || in.DesiredCount == nil {
		return nil, invalid("A service needs a name and a desired count.")
	}
	d, err := s.definition(r, in.TaskDefinition)
	if err != nil || d.Status != "ACTIVE" {
		return nil, client("TaskDefinition not found.")
	}
	v := &service{
		place: at(r), cluster: c, name: in.ServiceName, arn: r.ARN("ecs", "service/"+c.name+"/"+in.ServiceName), created: r.Time, createdBy: r.Caller.ARN,
		desired: *in.DesiredCount, launchType: in.LaunchType, configuration: in.DeploymentConfiguration, controller: in.DeploymentController, network: in.NetworkConfiguration, tags: in.Tags,
	}
	if v.controller == nil {
		v.controller = &controller{"ECS"}
	}
	if v.launchType == "" {
		v.launchType = "EC2"
	}
	c.services[v.name] = v
	s.deploy(v, d)
	return &oneService{v.output(true)}, nil
}

func (s *Service) updateService(ctx context.Context, r *api.Request, in *serviceInput) (*oneService, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, v, err := s.open(ctx, r, in.Cluster, in.Service, "UpdateService")
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, api.Errorf("ServiceNotFoundException", "Service not found.")
	}
	id := v.deployments[0].TaskDefinition
	if in.TaskDefinition != "" {
		id = in.TaskDefinition
	}
	d, err := s.definition(r, id)
	if err != nil || (in.TaskDefinition != "" && d.Status != "ACTIVE") {
		return nil, client("TaskDefinition not found.")
	}
	if in.DeploymentConfiguration != nil {
		v.configuration = in.DeploymentConfiguration
	}
	if in.NetworkConfiguration != nil {
		v.network = in.NetworkConfiguration
	}
	scaled := in.DesiredCount != nil && *in.DesiredCount != v.desired
	if in.DesiredCount != nil {
		v.desired = *in.DesiredCount
	}
	if in.ForceNewDeployment || scaled || d.TaskDefinitionArn != v.deployments[0].TaskDefinition {
		s.deploy(v, d)
	}
	return &oneService{v.output(false)}, nil
}

type servicesInput struct {
	Cluster  string
	Services []string
	Include  []string
}

type servicesOutput struct {
	Services []*serviceOutput `json:"services"`
	Failures []failure        `json:"failures"`
}

func (s *Service) describeServices(ctx context.Context, r *api.Request, in *servicesInput) (*servicesOutput, error) {
	if len(in.Services) == 0 || len(in.Services) > 10 {
		r.AllowAll()
		return nil, invalid("Services must have 1 to 10 elements.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &servicesOutput{[]*serviceOutput{}, []failure{}}
	for _, id := range in.Services {
		_, v, err := s.open(ctx, r, in.Cluster, id, "DescribeServices")
		switch {
		case err != nil:
			return nil, err
		case v == nil:
			out.Failures = append(out.Failures, failure{r.ARN("ecs", "service/"+orDefault(in.Cluster)+"/"+shortName(id)), "MISSING"})
		default:
			out.Services = append(out.Services, v.output(slices.Contains(in.Include, "TAGS")))
		}
	}
	return out, nil
}

type serviceArns struct {
	ServiceArns []string `json:"serviceArns"`
	NextToken   string   `json:"nextToken,omitempty"`
}

func (s *Service) listServices(ctx context.Context, r *api.Request, in *listInput) (*serviceArns, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := r.Authorize(ctx, api.Check{
		Action: "ecs:ListServices", Resource: "*", Context: map[string][]string{"ecs:cluster": {r.ARN("ecs", "cluster/"+orDefault(in.Cluster))}},
	}); err != nil {
		return nil, err
	}
	c, err := s.findCluster(r, in.Cluster)
	if err != nil {
		return nil, err
	}
	arns := []string{}
	for _, name := range slices.Sorted(maps.Keys(c.services)) {
		arns = append(arns, c.services[name].arn)
	}
	if in.MaxResults == 0 {
		in.MaxResults = 10 // the default of this operation
	}
	found, next, err := page(arns, in.MaxResults, in.NextToken)
	return &serviceArns{found, next}, err
}

type deleteServiceInput struct {
	Cluster, Service string
	Force            bool
}

func (s *Service) deleteService(ctx context.Context, r *api.Request, in *deleteServiceInput) (*oneService, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, v, err := s.open(ctx, r, in.Cluster, in.Service, "DeleteService")
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, api.Errorf("ServiceNotFoundException", "Service not found.")
	}
	if v.desired > 0 && !in.Force {
		return nil, invalid("The service cannot be stopped while it is scaled above 0.")
	}
	delete(c.services, v.name)
	out := v.output(false)
	out.Status = "INACTIVE"
	return &oneService{out}, nil
}

// deploy begins a deployment; those before are in sight until this one's tasks
// run, also one whose own tasks hadn't started. s.mu is held.
func (s *Service) deploy(v *service, d *definition) {
	now := api.NewTime(s.env.Clock.Now())
	fresh := &deployment{
		ID: "ecs-svc/" + uuid.NewString(), Status: "PRIMARY", TaskDefinition: d.TaskDefinitionArn, DesiredCount: v.desired, PendingCount: v.desired,
		CreatedAt: now, UpdatedAt: now, RolloutState: "IN_PROGRESS", RolloutStateReason: "ECS deployment in progress.",
	}
	kept := []*deployment{fresh}
	for _, old := range v.deployments {
		if old.RunningCount > 0 || old.PendingCount > 0 {
			still := *old
			still.Status, still.PendingCount = "ACTIVE", 0
			kept = append(kept, &still)
		}
	}
	v.deployments = kept
	s.env.Clock.AfterFunc(startTime, func() { s.start(v, fresh, d) })
}

// start lets the tasks of a deployment start or, if a secret can't be read, fail
// and be tried again.
func (s *Service) start(v *service, fresh *deployment, d *definition) {
	problem := s.resolve(d, v.place)
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.cluster.services[v.name] != v || v.deployments[0].ID != fresh.ID || v.deployments[0].RolloutState != "IN_PROGRESS" {
		return
	}
	next := *v.deployments[0]
	next.UpdatedAt = api.NewTime(s.env.Clock.Now())
	if problem == nil || v.desired == 0 {
		next.RunningCount, next.PendingCount, next.RolloutState = v.desired, 0, "COMPLETED"
		next.RolloutStateReason = fmt.Sprintf("ECS deployment %s completed.", next.ID)
		v.deployments = []*deployment{&next}
		s.tell(v, fmt.Sprintf("(service %s) has reached a steady state.", v.name))
		return
	}
	next.FailedTasks++
	v.deployments[0] = &next
	s.tell(v, fmt.Sprintf("(service %s) was unable to place a task: %v", v.name, problem))
	breaker, rollback := v.breaker()
	if !breaker || next.FailedTasks < maxFailures {
		s.env.Clock.AfterFunc(startTime, func() { s.start(v, fresh, d) })
		return
	}
	next.PendingCount, next.RolloutState = 0, "FAILED"
	next.RolloutStateReason = "ECS deployment circuit breaker: tasks failed to start."
	last := slices.IndexFunc(v.deployments, func(d *deployment) bool { return d.RolloutState == "COMPLETED" })
	if rollback && last >= 0 {
		back := *v.deployments[last]
		back.Status = "PRIMARY"
		failed := next
		failed.Status = "ACTIVE"
		v.deployments = []*deployment{&back, &failed}
		s.tell(v, fmt.Sprintf("(service %s) (deployment %s) deployment failed: tasks failed to start; rolling back.", v.name, next.ID))
	}
}

// tell adds an event, the newest first. s.mu is held.
func (s *Service) tell(v *service, message string) {
	v.events = slices.Insert(v.events, 0, event{uuid.NewString(), api.NewTime(s.env.Clock.Now()), message})
	v.events = v.events[:min(len(v.events), 100)]
}

func (v *service) breaker() (enabled, rollback bool) {
	var c struct {
		DeploymentCircuitBreaker struct{ Enable, Rollback bool }
	}
	_ = json.Unmarshal(v.configuration, &c) // none without one
	return c.DeploymentCircuitBreaker.Enable, c.DeploymentCircuitBreaker.Rollback
}

// resolve reads all secrets of a task in the name of its execution role, as the
// agent does before it starts the containers. The values go nowhere.
func (s *Service) resolve(d *definition, p place) error {
	ctx := context.Background() // outlives every request
	for _, c := range d.ContainerDefinitions {
		for _, secret := range c.secrets() {
			caller, err := s.executionRole(ctx, d.ExecutionRoleArn, p)
			if err == nil {
				err = s.readable(ctx, caller, p, secret.ValueFrom)
			}
			if err != nil {
				return fmt.Errorf("ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret %s: %w", secret.Name, err)
			}
		}
	}
	return nil
}

func (s *Service) executionRole(ctx context.Context, role string, p place) (api.Caller, error) {
	session := strings.ReplaceAll(uuid.NewString(), "-", "")
	if _, err := s.roles.ServiceSession(ctx, role, session, tasks); err != nil {
		return api.Caller{}, fmt.Errorf("ECS can't assume the execution role %s: %w", role, err)
	}
	return api.Caller{
		Account: p.account, Role: role, Session: session,
		ARN: "arn:aws:sts::" + p.account + ":assumed-role/" + shortName(role) + "/" + session,
	}, nil
}

// readable reads what a reference names: a parameter by name or ARN, or a secret
// by its ARN, with a JSON key, a stage and a version behind it:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
func (s *Service) readable(ctx context.Context, caller api.Caller, p place, reference string) error {
	parts := strings.Split(reference, ":")
	if len(parts) < 7 || parts[0] != "arn" || parts[2] != "secretsmanager" {
		region := p.region
		if len(parts) >= 6 && parts[0] == "arn" {
			region = parts[3]
		}
		_, err := s.parameters.ReadString(ctx, caller, region, reference)
		return err
	}
	var key, stage, version string
	switch rest := parts[7:]; len(rest) {
	case 0:
	case 3:
		key, stage, version = rest[0], rest[1], rest[2]
	default:
		return invalid("The reference %s needs all three of JSON key, stage and version, or none: they can be empty.", reference)
	}
	value, err := s.secrets.ReadVersion(ctx, caller, parts[3], strings.Join(parts[:7], ":"), stage, version)
	if err != nil || key == "" {
		return err
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(value), &object) != nil {
		return invalid("The secret %s is no JSON object.", parts[6])
	}
	if object[key] == nil {
		return invalid("The secret %s has no JSON key %q.", parts[6], key)
	}
	return nil
}
