package iam

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

type user struct {
	principal
	keys []*accessKey
}

// accessKey is a user's long-term key.
type accessKey struct {
	id, secret    string
	account, user string
	active        bool
	created       time.Time
}

type userXML struct {
	Path                string
	UserName            string
	UserId              string
	Arn                 string
	CreateDate          *api.XMLTime
	PermissionsBoundary *boundaryXML `xml:",omitempty"`
	Tags                []tag        `xml:"Tags>member"`
}

func (u *user) xml() userXML {
	return userXML{
		Path: u.path, UserName: u.name, UserId: u.id, Arn: u.arn,
		CreateDate: api.NewXMLTime(u.created), PermissionsBoundary: u.boundaryXML(), Tags: tagList(u.tags),
	}
}

type createUserIn struct {
	Path, UserName, PermissionsBoundary string
	Tags                                []tag
}

type userOut struct{ User userXML }

func (s *Service) createUser(ctx context.Context, r *api.Request, in *createUserIn) (*userOut, error) {
	p, err := s.newPrincipal(r.Account, "user", "AIDA", in.Path, in.UserName, in.Tags)
	if err != nil {
		r.AllowAll()
		return nil, err
	}
	keys := requestTags(in.Tags)
	if in.PermissionsBoundary != "" {
		keys["iam:PermissionsBoundary"] = []string{in.PermissionsBoundary}
	}
	if err := ask(ctx, r, p.arn, keys); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account(r.Account)
	for name := range a.users {
		if strings.EqualFold(name, in.UserName) {
			return nil, conflict("EntityAlreadyExists", "User with name %s already exists.", in.UserName)
		}
	}
	if in.PermissionsBoundary != "" {
		if s.policy(r.Account, in.PermissionsBoundary) == nil {
			return nil, notAttachable(in.PermissionsBoundary)
		}
		p.boundary = in.PermissionsBoundary
	}
	u := &user{principal: p}
	a.users[in.UserName] = u
	r.TrailResponse = map[string]any{"user": map[string]any{
		"path": u.path, "userName": u.name, "userId": u.id, "arn": u.arn, "createDate": u.created,
	}}
	return &userOut{u.xml()}, nil
}

type userRef struct{ UserName string }

// orCaller is AWS's rule for calls that leave the user's name out: the caller
// is meant.
func (in userRef) orCaller(r *api.Request) principalRef {
	if in.UserName != "" {
		return principalRef{UserName: in.UserName}
	}
	return principalRef{UserName: r.Caller.ARN[strings.LastIndex(r.Caller.ARN, "/")+1:]}
}

func (s *Service) getUser(ctx context.Context, r *api.Request, in *userRef) (*userOut, error) {
	if in.UserName == "" && r.Caller.Root {
		r.AllowAll()
		return &userOut{userXML{Path: "/", UserId: r.Account, Arn: r.Caller.ARN}}, nil
	}
	ref := in.orCaller(r)
	out := &userOut{}
	err := s.view(ctx, r, ref, func(*principal) error {
		out.User = s.accounts[r.Account].users[ref.UserName].xml()
		return nil
	})
	return out, err
}

func (s *Service) deleteUser(ctx context.Context, r *api.Request, in *userRef) (*empty, error) {
	return s.change(ctx, r, principalRef{UserName: in.UserName}, nil, func(p *principal) error {
		if len(s.accounts[r.Account].users[in.UserName].keys) > 0 {
			return conflict("DeleteConflict", "Cannot delete entity, must delete access keys first.")
		}
		if err := p.deletable(); err != nil {
			return err
		}
		delete(s.accounts[r.Account].users, in.UserName)
		return nil
	})
}

type listUsersOut struct {
	Users []userXML `xml:"Users>member"`
	page
}

func (s *Service) listUsers(ctx context.Context, r *api.Request, in *listIn) (*listUsersOut, error) {
	if err := ask(ctx, r, principalARN(r.Account, "user", "/", ""), nil); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []userXML
	if a := s.accounts[r.Account]; a != nil {
		for _, u := range a.users {
			if strings.HasPrefix(u.path, in.PathPrefix) {
				shown := u.xml()
				shown.Tags, shown.PermissionsBoundary = nil, nil
				list = append(list, shown)
			}
		}
	}
	out := &listUsersOut{}
	var err error
	out.Users, out.page, err = paginate(list, func(x userXML) string { return x.UserName }, in.Marker, in.MaxItems)
	return out, err
}

// maxAccessKeys is AWS's quota of access keys a user.
const maxAccessKeys = 2

type accessKeyXML struct {
	UserName        string
	AccessKeyId     string
	Status          string
	SecretAccessKey string `xml:",omitempty"`
	CreateDate      *api.XMLTime
}

func (k *accessKey) xml() accessKeyXML {
	status := "Inactive"
	if k.active {
		status = "Active"
	}
	return accessKeyXML{UserName: k.user, AccessKeyId: k.id, Status: status, CreateDate: api.NewXMLTime(k.created)}
}

type createAccessKeyOut struct{ AccessKey accessKeyXML }

func (s *Service) createAccessKey(ctx context.Context, r *api.Request, in *userRef) (*createAccessKeyOut, error) {
	ref := in.orCaller(r)
	out := &createAccessKeyOut{}
	_, err := s.change(ctx, r, ref, nil, func(p *principal) error {
		u := s.accounts[r.Account].users[p.name]
		if len(u.keys) >= maxAccessKeys {
			return conflict("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: %d", maxAccessKeys)
		}
		k := &accessKey{account: r.Account, user: u.name, active: true, created: s.env.Clock.Now().Truncate(time.Second)}
		var err error
		if k.id, err = s.newID(longTermPrefix, 20); err != nil {
			return err
		}
		if k.secret, err = s.randomText(30); err != nil {
			return err
		}
		u.keys = append(u.keys, k)
		s.keys[k.id] = k
		out.AccessKey = k.xml()
		out.AccessKey.SecretAccessKey = k.secret
		r.TrailResponse = map[string]any{"accessKey": map[string]any{
			"userName": k.user, "accessKeyId": k.id, "status": "Active", "createDate": k.created,
		}}
		return nil
	})
	return out, err
}

type accessKeyIn struct{ UserName, AccessKeyId, Status string }

// changeKey changes one key of a user.
func (s *Service) changeKey(ctx context.Context, r *api.Request, in *accessKeyIn, f func(*user, int) error) (*empty, error) {
	ref := userRef{in.UserName}.orCaller(r)
	return s.change(ctx, r, ref, nil, func(p *principal) error {
		u := s.accounts[r.Account].users[p.name]
		i := slices.IndexFunc(u.keys, func(k *accessKey) bool { return k.id == in.AccessKeyId })
		if i < 0 {
			return noSuchEntity("The Access Key with id %s cannot be found.", in.AccessKeyId)
		}
		return f(u, i)
	})
}

func (s *Service) updateAccessKey(ctx context.Context, r *api.Request, in *accessKeyIn) (*empty, error) {
	return s.changeKey(ctx, r, in, func(u *user, i int) error {
		switch in.Status {
		case "Active", "Inactive":
			u.keys[i].active = in.Status == "Active"
			return nil
		}
		return validation("1 validation error detected: Value at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]")
	})
}

func (s *Service) deleteAccessKey(ctx context.Context, r *api.Request, in *accessKeyIn) (*empty, error) {
	return s.changeKey(ctx, r, in, func(u *user, i int) error {
		u.keys[i].active = false
		u.keys = slices.Delete(u.keys, i, i+1)
		return nil
	})
}

type listAccessKeysOut struct {
	AccessKeyMetadata []accessKeyXML `xml:"AccessKeyMetadata>member"`
	page
}

func (s *Service) listAccessKeys(ctx context.Context, r *api.Request, in *listPrincipalIn) (*listAccessKeysOut, error) {
	ref := userRef{in.UserName}.orCaller(r)
	out := &listAccessKeysOut{}
	err := s.view(ctx, r, ref, func(p *principal) (err error) {
		var list []accessKeyXML
		for _, k := range s.accounts[r.Account].users[p.name].keys {
			list = append(list, k.xml())
		}
		out.AccessKeyMetadata, out.page, err = paginate(list, func(k accessKeyXML) string { return k.AccessKeyId }, in.Marker, in.MaxItems)
		return err
	})
	return out, err
}
