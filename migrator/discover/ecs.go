package discover

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/sdk/spec"
)

type containerReader interface {
	ecs.ListClustersAPIClient
	ecs.ListServicesAPIClient
	ecs.ListTaskDefinitionsAPIClient
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
	DescribeTaskDefinition(context.Context, *ecs.DescribeTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error)
}

const (
	// servicesAtOnce is the most that DescribeServices takes.
	servicesAtOnce = 10
	// pageSize is the most that ECS's listings give.
	pageSize = 100
)

// readECS reads the services first: they may run revisions that are no longer
// listed. Tasks that something else starts (a person, Step Functions, Batch)
// can't be listed beforehand; what they start from is among the task
// definitions.
func (d *discovery) readECS(ctx context.Context) error {
	var clusters, inUse []string
	err := d.attempt(ctx, spec.ScanECS, "the clusters with their services and rules", func(ctx context.Context) error {
		var err error
		if clusters, err = d.listClusters(ctx); err != nil {
			return err
		}
		inUse, err = d.readServices(ctx, clusters)
		return err
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.readTaskDefinitions(ctx, inUse) })
	group.Go(func() error { return d.readScheduledTasks(ctx, clusters) })
	return group.Wait()
}

func (d *discovery) listClusters(ctx context.Context) ([]string, error) {
	var arns []string
	pages := ecs.NewListClustersPaginator(d.containers, &ecs.ListClustersInput{MaxResults: aws.Int32(pageSize)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the ECS clusters: %w", err)
		}
		arns = append(arns, page.ClusterArns...)
	}
	return arns, nil
}

// readServices reads the services of the clusters and returns the revisions that
// any of their deployments or task sets runs.
func (d *discovery) readServices(ctx context.Context, clusters []string) (inUse []string, _ error) {
	var mu sync.Mutex
	var found, done int
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, cluster := range clusters {
		group.Go(func() error {
			arns, err := d.listServices(ctx, cluster)
			if err != nil {
				return err
			}
			mu.Lock()
			found += len(arns)
			mu.Unlock()
			for batch := range slices.Chunk(arns, servicesAtOnce) {
				services, revisions, err := d.describeServices(ctx, cluster, batch)
				if err != nil {
					return err
				}
				mu.Lock()
				d.estate.Services = append(d.estate.Services, services...)
				inUse = append(inUse, revisions...)
				done += len(batch)
				d.progress("ECS services", done, found)
				mu.Unlock()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(d.estate.Services, func(a, b Service) int { return cmp.Compare(a.ARN, b.ARN) })
	slices.Sort(inUse)
	return slices.Compact(inUse), nil
}

func (d *discovery) listServices(ctx context.Context, cluster string) ([]string, error) {
	var arns []string
	pages := ecs.NewListServicesPaginator(d.containers, &ecs.ListServicesInput{Cluster: &cluster, MaxResults: aws.Int32(pageSize)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		switch {
		case err == nil:
			arns = append(arns, page.ServiceArns...)
		case gone(err):
			return nil, nil
		case denied(err):
			d.unread(spec.ScanECS, cluster, "its services can't be listed: "+reason(err))
			return nil, nil
		default:
			return nil, fmt.Errorf("list the services of cluster %s: %w", cluster, err)
		}
	}
	return arns, nil
}

// describeServices reads a batch. One service that may not be read fails the
// call for all, so then they are read one by one.
func (d *discovery) describeServices(ctx context.Context, cluster string, arns []string) (services []Service, inUse []string, _ error) {
	out, err := d.containers.DescribeServices(ctx, &ecs.DescribeServicesInput{
		Cluster: &cluster, Services: arns, Include: []ecstypes.ServiceField{ecstypes.ServiceFieldTags},
	})
	switch {
	case err == nil:
	case gone(err):
		return nil, nil, nil
	case !denied(err):
		return nil, nil, fmt.Errorf("read %d services of cluster %s: %w", len(arns), cluster, err)
	case len(arns) == 1:
		d.unread(spec.ScanECS, arns[0], "the service can't be read: "+reason(err))
		return nil, nil, nil
	default:
		for i := range arns {
			one, revisions, err := d.describeServices(ctx, cluster, arns[i:i+1])
			if err != nil {
				return nil, nil, err
			}
			services, inUse = append(services, one...), append(inUse, revisions...)
		}
		return services, inUse, nil
	}
	for _, s := range out.Services {
		for _, p := range s.Deployments {
			inUse = append(inUse, aws.ToString(p.TaskDefinition))
		}
		for _, p := range s.TaskSets {
			inUse = append(inUse, aws.ToString(p.TaskDefinition))
		}
		if aws.ToString(s.Status) == "ACTIVE" { // else it is being deleted
			services = append(services, takeService(s))
		}
	}
	return services, inUse, nil
}

func takeService(s ecstypes.Service) Service {
	service := Service{
		ARN: aws.ToString(s.ServiceArn), Name: aws.ToString(s.ServiceName), Cluster: aws.ToString(s.ClusterArn),
		TaskDefinition: aws.ToString(s.TaskDefinition), Controller: string(ecstypes.DeploymentControllerTypeEcs), Tags: takeTags(s.Tags),
		Platform: aws.ToString(s.PlatformVersion),
	}
	if s.DeploymentController != nil {
		service.Controller = string(s.DeploymentController.Type)
	}
	for _, p := range s.Deployments {
		if aws.ToString(p.Status) == "PRIMARY" {
			service.TaskDefinition = aws.ToString(p.TaskDefinition)
		}
	}
	// CodeDeploy and others that deploy by themselves move task sets.
	for _, p := range s.TaskSets {
		if aws.ToString(p.Status) == "PRIMARY" {
			service.TaskDefinition = aws.ToString(p.TaskDefinition)
		}
	}
	return service
}

func takeTags(list []ecstypes.Tag) map[string]string {
	tags := map[string]string{}
	for _, t := range list {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return tags
}

// readTaskDefinitions reads all active revisions, whichever family they are of,
// and the ones in use.
func (d *discovery) readTaskDefinitions(ctx context.Context, inUse []string) error {
	arns := slices.DeleteFunc(inUse, func(arn string) bool { return arn == "" })
	err := d.attempt(ctx, spec.ScanECS, "the task definitions", func(ctx context.Context) error {
		pages := ecs.NewListTaskDefinitionsPaginator(d.containers, &ecs.ListTaskDefinitionsInput{
			Status: ecstypes.TaskDefinitionStatusActive, MaxResults: aws.Int32(pageSize),
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return fmt.Errorf("list the task definitions: %w", err)
			}
			arns = append(arns, page.TaskDefinitionArns...)
			d.progress("ECS task definitions", 0, len(arns))
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(arns)
	arns = slices.Compact(arns)

	var mu sync.Mutex
	var done int
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, arn := range arns {
		group.Go(func() error {
			definition, err := d.describeTaskDefinition(ctx, arn)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if definition != nil {
				d.estate.TaskDefinitions = append(d.estate.TaskDefinitions, *definition)
			}
			done++
			d.progress("ECS task definitions", done, len(arns))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	slices.SortFunc(d.estate.TaskDefinitions, func(a, b TaskDefinition) int {
		return cmp.Or(cmp.Compare(a.Family, b.Family), cmp.Compare(a.Revision, b.Revision))
	})
	return nil
}

// describeTaskDefinition returns nil where there is nothing to read.
func (d *discovery) describeTaskDefinition(ctx context.Context, arn string) (*TaskDefinition, error) {
	out, err := d.containers.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{
		TaskDefinition: &arn, Include: []ecstypes.TaskDefinitionField{ecstypes.TaskDefinitionFieldTags},
	})
	switch {
	case err == nil:
	case denied(err) || code(err) == "ClientException": // which is how ECS says that it has been deleted
		d.unread(spec.ScanECS, arn, "the task definition can't be read: "+reason(err))
		return nil, nil
	default:
		return nil, fmt.Errorf("read task definition %s: %w", arn, err)
	}
	t := out.TaskDefinition
	definition := &TaskDefinition{
		ARN: arn, Family: aws.ToString(t.Family), Revision: int(t.Revision), Active: t.Status == ecstypes.TaskDefinitionStatusActive,
		ExecutionRole: aws.ToString(t.ExecutionRoleArn), TaskRole: aws.ToString(t.TaskRoleArn), Tags: takeTags(out.Tags),
	}
	for _, c := range t.ContainerDefinitions {
		container := takeContainer(c)
		for _, file := range container.EnvironmentFiles {
			d.unread(spec.ScanECS, arn, fmt.Sprintf("container %s has more variables in %s, which isn't read", container.Name, file))
		}
		definition.Containers = append(definition.Containers, container)
	}
	return definition, nil
}

// attached tells whether a flag of one letter has its value behind it, as -pHunter2
// has, which is no name to be told.
func attached(flag string) bool {
	return len(flag) > 2 && flag[1] != '-' && strings.ContainsFunc(flag[2:], func(r rune) bool { return !unicode.IsLetter(r) && r != '-' && r != '.' && r != '_' })
}

func takeContainer(c ecstypes.ContainerDefinition) Container {
	container := Container{Name: aws.ToString(c.Name)}
	for _, pair := range c.Environment {
		container.Settings = append(container.Settings, classify.Setting{Name: aws.ToString(pair.Name), Value: spec.ValueString(aws.ToString(pair.Value))})
	}
	sortSettings(container.Settings)
	for _, s := range c.Secrets {
		container.Injected = append(container.Injected, Injected{Name: aws.ToString(s.Name), ValueFrom: aws.ToString(s.ValueFrom)})
	}
	slices.SortFunc(container.Injected, func(a, b Injected) int { return cmp.Compare(a.Name, b.Name) })
	container.Arguments = arguments(c)
	for _, file := range c.EnvironmentFiles {
		container.EnvironmentFiles = append(container.EnvironmentFiles, aws.ToString(file.Value))
	}
	return container
}

// arguments finds values in a container's definition outside its environment:
// what isn't a variable can't be migrated, but it is in plaintext all the same.
func arguments(c ecstypes.ContainerDefinition) []classify.Setting {
	var settings []classify.Setting
	add := func(name, value string) {
		settings = append(settings, classify.Setting{Name: name, Value: spec.ValueString(value)})
	}
	// A shell's command is one argument of many words.
	words := strings.Fields(strings.Join(slices.Concat(c.EntryPoint, c.Command), " "))
	for i, word := range words {
		flag, value, joined := strings.Cut(word, "=")
		switch {
		case !strings.HasPrefix(flag, "-"):
		case attached(flag):
			add("command "+flag[:2], word[2:])
		case joined:
			add("command "+flag, value)
		case i+1 < len(words) && !strings.HasPrefix(words[i+1], "-"):
			add("command "+flag, words[i+1])
		}
	}
	if c.LogConfiguration != nil {
		for name, value := range c.LogConfiguration.Options {
			add("log "+name, value)
		}
	}
	sortSettings(settings)
	return settings
}
