package database

import (
	"fmt"
	"strings"

	"github.com/aistudio/secrets/rotators/rotation"
)

const (
	cloneSuffix = "_clone"
	ownerSuffix = "_owner"

	// nameLimit is PostgreSQL's, in bytes; longer names are cut off silently.
	nameLimit = 63
)

// users are the two that alternate and the role that they share.
type users struct{ base, clone, owner string }

// usersOf derives them from either user.
func usersOf(user string) (users, error) {
	base := strings.TrimSuffix(user, cloneSuffix)
	refuse := func(why string) (users, error) {
		return users{}, fmt.Errorf("user %q: %s (%w)", user, why, rotation.ErrDefinite)
	}
	switch {
	case base == "":
		return refuse("no name is left without " + cloneSuffix)
	case strings.HasSuffix(base, cloneSuffix):
		return refuse("a name that ends in " + cloneSuffix + " twice doesn't tell which user is the other one")
	case len(base)+len(cloneSuffix) > nameLimit:
		return refuse(fmt.Sprintf("too long: with %s a name has at most %d bytes", cloneSuffix, nameLimit))
	case strings.ContainsRune(base, 0):
		return refuse("a name can't hold a zero byte")
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
