package database

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// grants are the rights of an account: which privileges it has on what.
type grants map[target]map[string]bool

// target is what privileges are granted on. Where each privilege has a grant
// option of its own, those with and those without are targets of their own.
type target struct {
	kind      targetKind
	object    string // as the server prints it; "" for roles
	grantable bool
}

type targetKind int

const (
	kindObject      targetKind = iota // everything, a database, a table, a routine; "GRANT OPTION" is one of the privileges
	kindDynamic                       // MySQL's dynamic privileges, on everything
	kindProxy                         // to be another account
	kindRole                          // the privileges are roles
	kindRestriction                   // MySQL's partial revokes: privileges that are taken away on a database
)

const grantOption = "GRANT OPTION"

// routine tells whether a target is one routine, on which a server itself gives
// rights to whoever has created it.
func (t target) routine() bool {
	return t.kind == kindObject && slices.ContainsFunc([]string{"PROCEDURE ", "FUNCTION ", "PACKAGE "}, func(prefix string) bool {
		return strings.HasPrefix(t.object, prefix)
	})
}

// add reads a row of SHOW GRANTS. Rows for other grantees, such as PUBLIC, are
// left out; "" takes all.
func (g grants) add(row, grantee string) {
	all := tokens(row)
	if len(all) == 0 {
		return
	}
	on, to := -1, -1
	depth := 0
	for i, t := range all {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth == 0 && t.is("ON") && on < 0:
			on = i
		case depth == 0 && to < 0 && (t.is("TO") || t.is("FROM")):
			to = i
		}
	}
	if to < 2 || to+1 >= len(all) || grantee != "" && (all[to+1].text != grantee || !all[to+1].quoted) {
		return
	}
	list, object := row[all[1].start:all[to-1].end], ""
	if on >= 0 {
		list, object = row[all[1].start:all[on-1].end], row[all[on+1].start:all[to-1].end]
	}
	grantable := false
	for i := to; i+1 < len(all); i++ {
		grantable = grantable || all[i+1].is("OPTION") && (all[i].is("GRANT") || all[i].is("ADMIN"))
	}
	kind := kindObject
	switch {
	case all[0].is("REVOKE"):
		kind = kindRestriction
	case on < 0:
		kind = kindRole
	case all[1].is("PROXY"):
		kind = kindProxy
	case object == "*.*" && strings.Contains(strings.SplitN(list, ",", 2)[0], "_"):
		kind = kindDynamic
	}
	key := target{kind: kind, object: object, grantable: grantable && kind != kindObject}
	for _, privilege := range privileges(list) {
		if privilege != "USAGE" {
			g.set(key, privilege)
		}
	}
	if grantable && kind == kindObject {
		g.set(key, grantOption)
	}
}

func (g grants) set(key target, privilege string) {
	if g[key] == nil {
		g[key] = map[string]bool{}
	}
	g[key][privilege] = true
}

// privileges splits a list, and one with columns into one for each column.
func privileges(list string) []string {
	var found []string
	var name, column string
	columns, depth, start := []string(nil), 0, 0
	finish := func(end int) {
		if depth == 0 && len(columns) == 0 {
			name = strings.TrimSpace(list[start:end])
		}
		for _, column = range columns {
			found = append(found, name+" ("+column+")")
		}
		if len(columns) == 0 && name != "" {
			found = append(found, name)
		}
		columns = nil
	}
	for _, t := range tokens(list) {
		switch {
		case t.is("("):
			name, depth, start = strings.TrimSpace(list[start:t.start]), 1, t.end
		case t.is(")"):
			columns, depth = append(columns, strings.TrimSpace(list[start:t.start])), 0
			start = t.end
		case t.is(",") && depth == 1:
			columns, start = append(columns, strings.TrimSpace(list[start:t.start])), t.end
		case t.is(","):
			finish(t.start)
			start = t.end
		}
	}
	finish(len(list))
	return found
}

// without returns what g has and other hasn't.
func (g grants) without(other grants) grants {
	rest := grants{}
	for key, list := range g {
		for privilege := range list {
			if !other[key][privilege] {
				rest.set(key, privilege)
			}
		}
	}
	return rest
}

// only returns the rights on the targets that keep accepts.
func (g grants) only(keep func(target) bool) grants {
	kept := grants{}
	for key, list := range g {
		if keep(key) {
			kept[key] = list
		}
	}
	return kept
}

// give returns the statements that give an account the rights; take those that
// take them away.
func (g grants) give(to account) []string {
	return g.statements(func(key target, list []string) []string {
		if key.kind == kindRestriction {
			return []string{"REVOKE " + strings.Join(list, ", ") + " ON " + key.object + " FROM " + to.String()}
		}
		option := ""
		if key.kind == kindRole && key.grantable {
			option = " WITH ADMIN OPTION"
		} else if key.grantable {
			option = " WITH GRANT OPTION"
		}
		if i := slices.Index(list, grantOption); i >= 0 && key.kind == kindObject {
			list, option = slices.Delete(list, i, i+1), " WITH GRANT OPTION"
			if len(list) == 0 {
				list = []string{"USAGE"}
			}
		}
		return []string{"GRANT " + strings.Join(list, ", ") + on(key) + " TO " + to.String() + option}
	})
}

func (g grants) take(from account) []string {
	return g.statements(func(key target, list []string) []string {
		if key.kind == kindRestriction {
			return []string{"GRANT " + strings.Join(list, ", ") + " ON " + key.object + " TO " + from.String()}
		}
		revoke := func(privileges string) string { return "REVOKE " + privileges + on(key) + " FROM " + from.String() }
		// The grammar wants these two one by one.
		if i := slices.Index(list, grantOption); i >= 0 && len(list) > 1 {
			return []string{revoke(grantOption), revoke(strings.Join(slices.Delete(list, i, i+1), ", "))}
		}
		return []string{revoke(strings.Join(list, ", "))}
	})
}

func on(key target) string {
	if key.kind == kindRole {
		return ""
	}
	return " ON " + key.object
}

// statements makes those of each target, in the order in which they may depend on
// each other.
func (g grants) statements(statement func(key target, list []string) []string) []string {
	keys := slices.SortedFunc(maps.Keys(g), compareTargets)
	var made []string
	for _, key := range keys {
		made = append(made, statement(key, slices.Sorted(maps.Keys(g[key])))...)
	}
	return made
}

func compareTargets(a, b target) int {
	grantable := func(t target) int {
		if t.grantable {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.object, b.object), cmp.Compare(grantable(a), grantable(b)))
}

// parseDefaultRole reads the row that MariaDB adds to SHOW GRANTS.
func parseDefaultRole(row string) (string, bool) {
	all := tokens(row)
	if len(all) < 5 || !all[0].is("SET") || !all[1].is("DEFAULT") || !all[2].is("ROLE") {
		return "", false
	}
	return row[all[3].start:all[3].end], true
}
