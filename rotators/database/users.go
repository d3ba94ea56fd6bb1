package database

import (
	"fmt"
	"strings"

	"github.com/aistudio/secrets/rotators/rotation"
)

const (
	cloneSuffix = "_clone"
	ownerSuffix = "_owner"
)

// users are the two that alternate and, on PostgreSQL, the role that they
// share.
type users struct{ base, clone, owner string }

// usersOf derives them from either user.
func usersOf(user string, e engine) (users, error) {
	base := strings.TrimSuffix(user, cloneSuffix)
	refuse := func(why string) (users, error) {
		return users{}, fmt.Errorf("user %q: %s (%w)", user, why, rotation.ErrDefinite)
	}
	switch {
	case base == "":
		return refuse("no name is left without " + cloneSuffix)
	case strings.HasSuffix(base, cloneSuffix):
		return refuse("a name that ends in " + cloneSuffix + " twice doesn't tell which user is the other one")
	}
	for _, name := range []string{base, base + cloneSuffix} {
		if err := e.checkName(name); err != nil {
			return refuse(err.Error())
		}
	}
	return users{base: base, clone: base + cloneSuffix, owner: base + ownerSuffix}, nil
}

// other is the user that alternates with one.
func (u users) other(user string) string {
	if user == u.base {
		return u.clone
	}
	return u.base
}
