package tasks

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/aistudio/secrets/migrator/apply/refusal"
)

// Running returns the ARN of the revision that the service's primary deployment
// runs.
func (t *Tasks) Running(ctx context.Context, cluster, service string) (string, error) {
	s, err := t.service(ctx, cluster, service)
	if err != nil {
		return "", err
	}
	return revision(s), nil
}

func (t *Tasks) service(ctx context.Context, cluster, service string) (*types.Service, error) {
	out, err := t.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &cluster, Services: []string{service}})
	if err != nil {
		return nil, read("ECS service "+service, err)
	}
	if len(out.Services) != 1 || aws.ToString(out.Services[0].Status) != "ACTIVE" {
		return nil, fmt.Errorf("read ECS service %s: %w", service, ErrGone)
	}
	s := &out.Services[0]
	if c := s.DeploymentController; c != nil && c.Type != types.DeploymentControllerTypeEcs {
		return nil, fmt.Errorf("ECS service %s is deployed by %s: deploy the change with it", service, c.Type)
	}
	return s, nil
}

func primary(s *types.Service) types.Deployment {
	for _, d := range s.Deployments {
		if aws.ToString(d.Status) == "PRIMARY" {
			return d
		}
	}
	return types.Deployment{}
}

func revision(s *types.Service) string { return aws.ToString(primary(s).TaskDefinition) }

// steady tells whether the primary deployment is complete. ECS says so once the
// service is in a steady state; where it doesn't say, the deployment must be
// alone (ECS API reference, Deployment).
func steady(s *types.Service) bool {
	p := primary(s)
	return p.RunningCount == p.DesiredCount &&
		(p.RolloutState == types.DeploymentRolloutStateCompleted || p.RolloutState == "" && len(s.Deployments) == 1)
}

// Settled waits until no deployment of the service is under way, and returns the
// ARN of the revision that it runs then. It fails if the last deployment failed.
func (t *Tasks) Settled(ctx context.Context, cluster, service string) (string, error) {
	for waited := time.Duration(0); ; waited += interval {
		s, err := t.service(ctx, cluster, service)
		if err != nil {
			return "", err
		}
		switch {
		case steady(s):
			return revision(s), nil
		case primary(s).RolloutState == types.DeploymentRolloutStateFailed:
			return "", &UnsteadyError{aws.ToString(primary(s).RolloutStateReason)}
		case waited >= patience:
			return "", &UnsteadyError{fmt.Sprintf("a deployment is under way for more than %s", patience)}
		}
		if err := t.sleep(ctx, interval); err != nil {
			return "", err
		}
	}
}

// Failing returns an UnsteadyError if the service's last deployment failed or is
// failing, whatever it deploys. It doesn't wait for one that is under way.
func (t *Tasks) Failing(ctx context.Context, cluster, service string) error {
	s, err := t.service(ctx, cluster, service)
	if err != nil {
		return err
	}
	switch p := primary(s); {
	case p.RolloutState == types.DeploymentRolloutStateFailed:
		return &UnsteadyError{aws.ToString(p.RolloutStateReason)}
	case !steady(s) && starving(s):
		return &UnsteadyError{fmt.Sprintf("%d tasks in a row failed to start", p.FailedTasks)}
	}
	return nil
}

// Deploy brings the service from one of the revisions to another and waits until
// it is in a steady state. If it is there already, it only waits. It returns
// ErrChanged if the service runs anything else, and an UnsteadyError if the
// steady state doesn't come: then the service is still on its way, or went back
// by itself.
func (t *Tasks) Deploy(ctx context.Context, cluster, service string, from []string, to string) error {
	s, err := t.service(ctx, cluster, service)
	if err != nil {
		return err
	}
	if revision(s) != to {
		if !slices.Contains(from, revision(s)) {
			return fmt.Errorf("ECS service %s runs %s: %w", service, revision(s), ErrChanged)
		}
		out, err := t.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: &cluster, Service: &service, TaskDefinition: &to})
		if err != nil {
			return fmt.Errorf("update ECS service %s: %w", service, refusal.Of(err))
		}
		if err := t.giveWay(ctx, out.Service, cluster, append([]string{to}, from...)); err != nil {
			return err
		}
	}
	return t.await(ctx, cluster, service, to)
}

// giveWay undoes an update that pushed a deployment of somebody else aside, which
// began between the reading and the writing.
func (t *Tasks) giveWay(ctx context.Context, s *types.Service, cluster string, ours []string) error {
	for _, d := range s.Deployments {
		other := aws.ToString(d.TaskDefinition)
		if slices.Contains(ours, other) {
			continue
		}
		if _, err := t.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: &cluster, Service: s.ServiceArn, TaskDefinition: &other}); err != nil {
			return fmt.Errorf("somebody else deployed %s to ECS service %s at the same moment, which was pushed aside and couldn't be brought back: deploy it again: %w", other, aws.ToString(s.ServiceArn), refusal.Of(err))
		}
		return fmt.Errorf("somebody else deployed %s to ECS service %s at the same moment, which goes on: %w", other, aws.ToString(s.ServiceArn), ErrChanged)
	}
	return nil
}

func (t *Tasks) await(ctx context.Context, cluster, service, to string) error {
	for waited := time.Duration(0); ; waited += interval {
		s, err := t.service(ctx, cluster, service)
		if err != nil {
			return err
		}
		p := primary(s)
		switch {
		case revision(s) == to && steady(s):
			return nil
		case p.RolloutState == types.DeploymentRolloutStateFailed:
			return &UnsteadyError{aws.ToString(p.RolloutStateReason)}
		case revision(s) != to:
			return t.replaced(s, to)
		case starving(s):
			return &UnsteadyError{fmt.Sprintf("%d tasks in a row failed to start", p.FailedTasks)}
		case waited >= patience:
			return &UnsteadyError{fmt.Sprintf("%d of %d tasks run after %s", p.RunningCount, p.DesiredCount, patience)}
		}
		if err := t.sleep(ctx, interval); err != nil {
			return err
		}
	}
}

// starving tells whether the tasks of the last deployment don't start, where ECS
// doesn't count them itself.
func starving(s *types.Service) bool {
	p := primary(s)
	return !hasBreaker(s) && p.FailedTasks >= tooMany(p.DesiredCount)
}

func hasBreaker(s *types.Service) bool {
	c := s.DeploymentConfiguration
	return c != nil && c.DeploymentCircuitBreaker != nil && c.DeploymentCircuitBreaker.Enable
}

// tooMany is how many tasks may fail in a row before a deployment counts as
// failed, as with ECS's circuit breaker, which not all services have (ECS developer
// guide, "How the Amazon ECS deployment circuit breaker detects failures"). Where
// ECS may stop the old tasks first, the service is down meanwhile.
func tooMany(desired int32) int32 { return min(max((desired+1)/2, 3), 200) }

// replaced tells ECS's own rollback, which leaves the failed deployment in sight,
// from a deployment of somebody else.
func (t *Tasks) replaced(s *types.Service, to string) error {
	for _, d := range s.Deployments {
		if aws.ToString(d.TaskDefinition) == to && d.RolloutState == types.DeploymentRolloutStateFailed {
			return &UnsteadyError{aws.ToString(d.RolloutStateReason)}
		}
	}
	return fmt.Errorf("ECS service %s runs %s: %w", aws.ToString(s.ServiceArn), revision(s), ErrChanged)
}
