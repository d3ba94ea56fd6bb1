// Package ecs is the local cloud's Amazon Elastic Container Service, as far as
// secrets go: clusters, task definitions with their revisions, and services
// whose tasks start when their execution role can read what the containers'
// secrets name. Nothing runs: no container, instance, load balancer or task of
// its own.
package ecs

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/service/iam"
)

// Service is Amazon Elastic Container Service.
type Service struct {
	env        *api.Env
	roles      roles
	secrets    secrets
	parameters parameters

	mu          sync.Mutex
	clusters    map[place]map[string]*cluster
	definitions map[place]map[string][]*definition // by family
}

type place struct{ account, region string }

// roles is what ECS needs of IAM.
type roles interface {
	ServiceSession(ctx context.Context, roleARN, session, service string) (iam.Credentials, error)
}

// secrets and parameters are where containers' secrets are.
type secrets interface {
	ReadVersion(ctx context.Context, caller api.Caller, region, id, stage, versionID string) (string, error)
}

type parameters interface {
	ReadString(ctx context.Context, caller api.Caller, region, name string) (string, error)
}

type cluster struct {
	name, arn string
	services  map[string]*service
}

// New makes an ECS without clusters.
func New(env *api.Env, r roles, s secrets, p parameters) *Service {
	return &Service{
		env: env, roles: r, secrets: s, parameters: p,
		clusters: map[place]map[string]*cluster{}, definitions: map[place]map[string][]*definition{},
	}
}

// Name implements api.Service.
func (s *Service) Name() string { return "ecs" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.JSONRPC{Version: "1.1"} }

// SensitiveMembers implements api.Sensitive.
func (s *Service) SensitiveMembers() []string { return []string{"environment"} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{
		"CreateCluster":              api.JSON(s.createCluster),
		"DescribeClusters":           api.JSON(s.describeClusters),
		"ListClusters":               api.JSON(s.listClusters),
		"DeleteCluster":              api.JSON(s.deleteCluster),
		"RegisterTaskDefinition":     api.JSON(s.registerTaskDefinition),
		"DescribeTaskDefinition":     api.JSON(s.describeTaskDefinition),
		"DeregisterTaskDefinition":   api.JSON(s.deregisterTaskDefinition),
		"ListTaskDefinitions":        api.JSON(s.listTaskDefinitions),
		"ListTaskDefinitionFamilies": api.JSON(s.listTaskDefinitionFamilies),
		"CreateService":              api.JSON(s.createService),
		"UpdateService":              api.JSON(s.updateService),
		"DescribeServices":           api.JSON(s.describeServices),
		"ListServices":               api.JSON(s.listServices),
		"DeleteService":              api.JSON(s.deleteService),
	}[operation]
}

func at(r *api.Request) place { return place{r.Account, r.Region} }

func client(format string, args ...any) error { return api.Errorf("ClientException", format, args...) }

func invalid(format string, args ...any) error {
	return api.Errorf("InvalidParameterException", format, args...)
}

type tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type failure struct {
	Arn    string `json:"arn"`
	Reason string `json:"reason"`
}

// shortName takes the name out of an ARN; a name stays what it is.
func shortName(id string) string { return id[strings.LastIndex(id, "/")+1:] }

// page cuts a list at a token.
func page[T any](all []T, limit int, token string) ([]T, string, error) {
	if limit == 0 {
		limit = 100
	}
	start := 0
	if token != "" {
		var err error
		if start, err = strconv.Atoi(token); err != nil || start < 0 || start > len(all) {
			return nil, "", invalid("Invalid token.")
		}
	}
	if limit < 1 || limit > 100 {
		return nil, "", invalid("maxResults must be between 1 and 100.")
	}
	end := min(len(all), start+limit)
	if end == len(all) {
		return all[start:end], "", nil
	}
	return all[start:end], strconv.Itoa(end), nil
}

type createClusterInput struct {
	ClusterName string
	Tags        []tag
}

type clusterOutput struct {
	ClusterArn          string `json:"clusterArn"`
	ClusterName         string `json:"clusterName"`
	Status              string `json:"status"`
	ActiveServicesCount int    `json:"activeServicesCount"`
}

func (c *cluster) output() *clusterOutput {
	return &clusterOutput{c.arn, c.name, "ACTIVE", len(c.services)}
}

type oneCluster struct {
	Cluster *clusterOutput `json:"cluster"`
}

const defaultCluster = "default"

func orDefault(name string) string {
	if name == "" {
		return defaultCluster
	}
	return shortName(name)
}

func (s *Service) createCluster(ctx context.Context, r *api.Request, in *createClusterInput) (*oneCluster, error) {
	name := orDefault(in.ClusterName)
	arn := r.ARN("ecs", "cluster/"+name)
	r.TrailResources = []string{arn}
	if err := r.Authorize(ctx, api.Check{Action: "ecs:CreateCluster", Resource: arn}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clusters[at(r)] == nil {
		s.clusters[at(r)] = map[string]*cluster{}
	}
	c := s.clusters[at(r)][name]
	if c == nil {
		c = &cluster{name, arn, map[string]*service{}}
		s.clusters[at(r)][name] = c
	}
	return &oneCluster{c.output()}, nil
}

type clustersInput struct{ Clusters []string }

type clustersOutput struct {
	Clusters []*clusterOutput `json:"clusters"`
	Failures []failure        `json:"failures"`
}

func (s *Service) describeClusters(ctx context.Context, r *api.Request, in *clustersInput) (*clustersOutput, error) {
	if len(in.Clusters) == 0 {
		in.Clusters = []string{defaultCluster}
	}
	for _, id := range in.Clusters {
		if err := r.Authorize(ctx, api.Check{Action: "ecs:DescribeClusters", Resource: r.ARN("ecs", "cluster/"+shortName(id))}); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &clustersOutput{[]*clusterOutput{}, []failure{}}
	for _, id := range in.Clusters {
		if c := s.clusters[at(r)][shortName(id)]; c != nil {
			out.Clusters = append(out.Clusters, c.output())
		} else {
			out.Failures = append(out.Failures, failure{r.ARN("ecs", "cluster/"+shortName(id)), "MISSING"})
		}
	}
	return out, nil
}

type listInput struct {
	Cluster    string
	MaxResults int
	NextToken  string
}

type clusterArns struct {
	ClusterArns []string `json:"clusterArns"`
	NextToken   string   `json:"nextToken,omitempty"`
}

func (s *Service) listClusters(ctx context.Context, r *api.Request, in *listInput) (*clusterArns, error) {
	if err := r.Authorize(ctx, api.Check{Action: "ecs:ListClusters", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	arns := []string{}
	for _, name := range slices.Sorted(maps.Keys(s.clusters[at(r)])) {
		arns = append(arns, s.clusters[at(r)][name].arn)
	}
	found, next, err := page(arns, in.MaxResults, in.NextToken)
	return &clusterArns{found, next}, err
}

func (s *Service) deleteCluster(ctx context.Context, r *api.Request, in *struct{ Cluster string }) (*oneCluster, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.cluster(ctx, r, in.Cluster, "DeleteCluster")
	if err != nil {
		return nil, err
	}
	if len(c.services) > 0 {
		return nil, api.Errorf("ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active.")
	}
	delete(s.clusters[at(r)], c.name)
	out := c.output()
	out.Status = "INACTIVE"
	return &oneCluster{out}, nil
}

// cluster finds a cluster and asks whether the caller may do something to it.
// s.mu is held.
func (s *Service) cluster(ctx context.Context, r *api.Request, id, action string) (*cluster, error) {
	arn := r.ARN("ecs", "cluster/"+orDefault(id))
	r.TrailResources = append(r.TrailResources, arn)
	if err := r.Authorize(ctx, api.Check{Action: "ecs:" + action, Resource: arn}); err != nil {
		return nil, err
	}
	return s.findCluster(r, id)
}

func (s *Service) findCluster(r *api.Request, id string) (*cluster, error) {
	if c := s.clusters[at(r)][orDefault(id)]; c != nil {
		return c, nil
	}
	return nil, api.Errorf("ClusterNotFoundException", "Cluster not found.")
}
