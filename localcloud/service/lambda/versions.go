package lambda

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

type publishVersionInput struct {
	CodeSha256  string
	Description *string
	RevisionId  string
}

func (s *Service) publishVersion(ctx context.Context, r *api.Request, in *publishVersionInput) (*api.Reply, error) {
	ref, err := s.target(ctx, r, "PublishVersion")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.update(ref, in.RevisionId)
	if err != nil {
		return nil, err
	}
	if in.CodeSha256 != "" && in.CodeSha256 != f.latest.code.sum() {
		return nil, invalid("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.", in.CodeSha256, f.latest.code.sum())
	}
	description := f.latest.description
	set(&description, in.Description)
	v := s.publish(f, description)
	return created(v.show(qualified(f.functionKey, v.number))), nil
}

// publish makes a version of $LATEST, or returns the last one when nothing has
// changed since. The lock is held.
func (s *Service) publish(f *function, description string) *version {
	if n := len(f.versions); n > 0 && f.versions[n-1].same(f.latest) {
		return f.versions[n-1]
	}
	v := *f.latest
	f.count++
	v.number, v.revisionID = strconv.Itoa(f.count), uuid.NewString()
	if description != "" {
		v.description = description
	}
	v.pool = s.newPool(v)
	f.versions = append(f.versions, &v)
	return &v
}

// same tells whether two versions run the same, whatever their descriptions.
func (v *version) same(w *version) bool {
	return v.code == w.code && v.architecture == w.architecture && maps.Equal(v.variables, w.variables) &&
		v.ephemeralStorage == w.ephemeralStorage && v.handler == w.handler && v.kmsKeyARN == w.kmsKeyARN &&
		slices.Equal(v.layers, w.layers) && v.logging == w.logging && v.memory == w.memory && v.role == w.role &&
		v.runtime == w.runtime && v.timeout == w.timeout && v.tracing == w.tracing && v.vpc.equal(w.vpc)
}

func (c *vpcConfig) equal(d *vpcConfig) bool {
	if c == nil || d == nil {
		return c == d
	}
	return c.Ipv6AllowedForDualStack == d.Ipv6AllowedForDualStack &&
		slices.Equal(c.SecurityGroupIds, d.SecurityGroupIds) && slices.Equal(c.SubnetIds, d.SubnetIds)
}

// deleteVersion deletes a published version that no alias points to.
func (f *function) deleteVersion(number string) error {
	i := slices.IndexFunc(f.versions, func(v *version) bool { return v.number == number })
	if i < 0 {
		return functionNotFound(qualified(f.functionKey, number))
	}
	for _, a := range f.aliases {
		if _, routed := a.weights[number]; routed || a.version == number {
			return conflict("Version %s of %s is used by the alias %s and can't be deleted.", number, f.arn(), a.name)
		}
	}
	f.versions[i].pool.Retire()
	f.versions = slices.Delete(f.versions, i, i+1)
	delete(f.policies, number)
	return nil
}

type listVersionsOutput struct {
	NextMarker string `json:",omitempty"`
	Versions   []configuration
}

func (s *Service) listVersions(ctx context.Context, r *api.Request, _ *empty) (*listVersionsOutput, error) {
	ref, err := s.target(ctx, r, "ListVersionsByFunction")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, _, err := s.find(reference{functionKey: ref.functionKey})
	if err != nil {
		return nil, err
	}
	list := []configuration{f.latest.show(qualified(f.functionKey, latest))}
	for _, v := range f.versions {
		list = append(list, v.show(qualified(f.functionKey, v.number)))
	}
	page, next, err := paged(r, list)
	if err != nil {
		return nil, err
	}
	return &listVersionsOutput{next, page}, nil
}
