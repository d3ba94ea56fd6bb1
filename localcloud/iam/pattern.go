package iam

import (
	"strings"
	"unicode/utf8"
)

// pattern is a string of a policy: text, wildcards and policy variables.
type pattern struct {
	tokens []token
	// fixed is what a pattern without variables always expands to.
	fixed   glob
	isFixed bool
}

type token struct {
	kind tokenKind
	// text is the literal text or the variable's key in lower case.
	text string
	// fallback is what a variable without a value stands for; nil: nothing.
	fallback *string
}

type tokenKind int

const (
	literal tokenKind = iota
	anyText
	anyChar
	variable
)

// wildcards reads a pattern without variables.
func wildcards(s string) pattern {
	p, _ := parsePattern(s, false)
	return p
}

// parsePattern reads * and ?, and with variables also ${key},
// ${key, 'default'} and the escapes ${*}, ${?} and ${$}.
func parsePattern(s string, variables bool) (pattern, error) {
	tokens, err := tokenize(s, variables)
	if err != nil {
		return pattern{}, err
	}
	p := pattern{tokens: tokens, isFixed: true}
	for _, t := range tokens {
		p.isFixed = p.isFixed && t.kind != variable
	}
	if p.isFixed {
		p.fixed, _ = p.fill(nil)
	}
	return p, nil
}

func tokenize(s string, variables bool) ([]token, error) {
	var p []token
	text := func(t string) {
		if n := len(p); n > 0 && p[n-1].kind == literal {
			p[n-1].text += t
			return
		}
		p = append(p, token{kind: literal, text: t})
	}
	for s != "" {
		switch {
		case s[0] == '*':
			p = append(p, token{kind: anyText})
			s = s[1:]
		case s[0] == '?':
			p = append(p, token{kind: anyChar})
			s = s[1:]
		case variables && strings.HasPrefix(s, "${"):
			name, rest, ok := strings.Cut(s[2:], "}")
			if !ok {
				return nil, syntaxError("a policy variable has no end")
			}
			t, err := parseVariable(name)
			if err != nil {
				return nil, err
			}
			if t.kind == literal {
				text(t.text)
			} else {
				p = append(p, t)
			}
			s = rest
		default:
			end := strings.IndexAny(s[1:], "*?$") + 1
			if end == 0 {
				end = len(s)
			}
			text(s[:end])
			s = s[end:]
		}
	}
	return p, nil
}

func parseVariable(s string) (token, error) {
	if s == "*" || s == "?" || s == "$" {
		return token{kind: literal, text: s}, nil
	}
	key, fallback, has := strings.Cut(s, ",")
	key = strings.TrimSpace(key)
	if key == "" || strings.ContainsAny(key, "'${*?") {
		return token{}, syntaxError("${%s} is not a policy variable", s)
	}
	t := token{kind: variable, text: strings.ToLower(key)}
	if has {
		quoted := strings.TrimSpace(fallback)
		if len(quoted) < 2 || quoted[0] != '\'' || quoted[len(quoted)-1] != '\'' {
			return token{}, syntaxError("the default in ${%s} needs single quotes", s)
		}
		v := quoted[1 : len(quoted)-1]
		t.fallback = &v
	}
	return t, nil
}

// glob is a pattern with its variables filled in: runes and the two wildcards.
type glob []rune

const (
	star     rune = -1
	question rune = -2
)

// expand fills variables in from the call's context. What they stand for is
// taken literally. It reports false when a variable has no single value and no
// default: such a pattern matches nothing.
func (p pattern) expand(c Context) (glob, bool) {
	if p.isFixed {
		return p.fixed, true
	}
	return p.fill(c)
}

func (p pattern) fill(c Context) (glob, bool) {
	var g glob
	for _, t := range p.tokens {
		switch t.kind {
		case anyText:
			g = append(g, star)
		case anyChar:
			g = append(g, question)
		case literal:
			g = append(g, []rune(t.text)...)
		case variable:
			values := c[t.text]
			switch {
			case len(values) == 1:
				g = append(g, []rune(values[0])...)
			case len(values) == 0 && t.fallback != nil:
				g = append(g, []rune(*t.fallback)...)
			default:
				return nil, false
			}
		}
	}
	return g, true
}

// String is the pattern's text for operators that know no wildcards.
func (g glob) String() string {
	var b strings.Builder
	for _, r := range g {
		switch r {
		case star:
			b.WriteByte('*')
		case question:
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// matches reports whether the wildcards can stand for value's text.
func (g glob) matches(value string) bool { return g.match(value, false) }

// matchesResource is matches for the Resource element: wildcards stay within
// the segments between colons, but for a * at the end of one.
func (g glob) matchesResource(value string) bool { return g.match(value, true) }

// match walks all the ways through the pattern at once, so that no pattern
// takes more than len(pattern)*len(value) steps.
func (g glob) match(value string, segments bool) bool {
	at, next := make([]bool, len(g)+1), make([]bool, len(g)+1)
	at[0] = true
	g.skipStars(at)
	for _, r := range value {
		clear(next)
		for i, here := range at[:len(g)] {
			if !here {
				continue
			}
			colon := segments && r == ':'
			switch {
			case g[i] == star:
				last := i+1 == len(g) || g[i+1] == ':'
				next[i] = next[i] || !colon || last
			case g[i] == question:
				next[i+1] = next[i+1] || !colon
			case g[i] == r:
				next[i+1] = true
			}
		}
		g.skipStars(next)
		at, next = next, at
	}
	return at[len(g)]
}

// skipStars adds the places that are reached by letting a star stand for "".
func (g glob) skipStars(at []bool) {
	for i, r := range g {
		if at[i] && r == star {
			at[i+1] = true
		}
	}
}

// matchesARN compares as ArnLike does: each of the six parts by itself.
func (g glob) matchesARN(value string) bool {
	if len(g) == 1 && g[0] == star {
		return true
	}
	have := strings.SplitN(value, ":", 6)
	want := g.segments(6)
	if len(have) != 6 || len(want) != 6 {
		return false
	}
	for i := range want {
		if !want[i].matches(have[i]) {
			return false
		}
	}
	return true
}

func (g glob) segments(n int) []glob {
	var parts []glob
	start := 0
	for i, r := range g {
		if r == ':' && len(parts) < n-1 {
			parts = append(parts, g[start:i])
			start = i + 1
		}
	}
	return append(parts, g[start:])
}

// Match reports whether pattern, with the wildcards * and ?, matches value. It
// is what StringLike does.
func Match(pattern, value string) bool {
	if !utf8.ValidString(pattern) || !utf8.ValidString(value) {
		return false
	}
	g, _ := wildcards(pattern).expand(nil)
	return g.matches(value)
}
