package source

import (
	"regexp"
	"strings"
)

// pair is a name and a value that stand in a line. A value without a name is
// judged by its form alone.
type pair struct {
	name, value string
	quoted      bool
}

const quotedValue = `(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|` + "`([^`]*)`" + `)`

var (
	// quoted also takes a type between name and value or before the name: NAME
	// string = "…", name: str = "…", String name = "…"; and a call around the value:
	// Name: aws.String("…").
	quoted = regexp.MustCompile(`["'` + "`" + `]?([A-Za-z_$][\w$.\-/]*)["'` + "`" + `]?\]?(?:\s+([\w*.\[\]]+)|\s*:\s*[\w.\[\]<>]+)?\s*(?::=|=>|==?|:)\s*(?:[\w.]+\(\s*)?` + quotedValue)
	// call has both as arguments: Setenv("NAME", "…").
	call = regexp.MustCompile(`\(\s*["']([A-Za-z_][\w.\-]*)["']\s*,\s*` + quotedValue)
	// unquoted is a line of configuration.
	unquoted = regexp.MustCompile(`^\s*(?:export\s+|ENV\s+|ARG\s+|-\s+|set\s+)*["']?([A-Za-z_][\w.\-/]*)["']?(?:\s*=\s*|\s*:\s+)([^\s\[{|>].*?)\s*,?\s*$`)
	// dockerEnv is ENV NAME value.
	dockerEnv = regexp.MustCompile(`^\s*ENV\s+([A-Za-z_]\w*)\s+(\S.*?)\s*$`)
	// spaced is how .netrc and mail programs write it: login app password …
	spaced = regexp.MustCompile(`(?:^|\s)(password|passwd|secret|token)\s+["']?([^\s"'=:]+)["']?\s*$`)
	// attribute and element are XML.
	attribute = regexp.MustCompile(`(?:key|name)\s*=\s*"([^"]+)"\s+value\s*=\s*"([^"]*)"`)
	element   = regexp.MustCompile(`<([A-Za-z][\w.-]*)(?:\s[^<>]*)?>([^<>]+)</`)
	// flag is an argument of a command.
	flag = regexp.MustCompile(`--([a-z][a-z0-9-]*)[= ]["']?([^\s"']+)`)
	// header is one of HTTP.
	header = regexp.MustCompile(`(?i)authorization["']?\s*[:=,]\s*["']?((?:bearer|basic|token)\s+[^\s"']+)`)

	literal    = regexp.MustCompile(quotedValue)
	assignment = regexp.MustCompile(`^[A-Za-z_][\w.-]*=`)
	// nameLine and valueLine are how lists of variables write them, in Kubernetes,
	// task definitions and Terraform.
	nameLine  = regexp.MustCompile(`^\s*(?:-\s*)?["']?name["']?\s*[:=]\s*["']?([A-Za-z_][\w.\-/]*)["']?\s*,?\s*$`)
	valueLine = regexp.MustCompile(`^\s*["']?value["']?\s*[:=]\s*(.+?)\s*,?\s*$`)
	inOneLine = regexp.MustCompile(`["']?name["']?\s*[:=]\s*["']([\w.\-/]+)["']\s*,\s*["']?value["']?\s*[:=]\s*["']([^"']*)["']`)
)

// shortest is the length from which a value without a name may be a credential
// by its form.
const shortest = 16

// mayHaveForm spares most words of a program the look at all forms. All of them
// have digits, or what separates the parts of a URL or a list of parameters.
func mayHaveForm(value string) bool {
	return len(value) >= shortest && strings.ContainsAny(value, "0123456789@=")
}

// pairsOf returns the pairs of a line. pending is the name that a line before
// has announced; the second result is that for the line that follows.
func pairsOf(f format, line, pending string) ([]pair, string) {
	var pairs []pair
	add := func(name, value string, inQuotes bool) { pairs = append(pairs, pair{name, value, inQuotes}) }
	if match := nameLine.FindStringSubmatch(line); match != nil {
		return nil, match[1]
	}
	if pending != "" {
		if match := valueLine.FindStringSubmatch(line); match != nil {
			value, inQuotes := scalar(match[1])
			return []pair{{pending, value, inQuotes}}, ""
		}
	}
	for _, match := range inOneLine.FindAllStringSubmatch(line, -1) {
		add(match[1], match[2], true)
	}
	for _, match := range header.FindAllStringSubmatch(line, -1) {
		add("", match[1], true)
	}
	if f != prose {
		for _, match := range quoted.FindAllStringSubmatch(line, -1) {
			value := match[3] + match[4] + match[5]
			add(lastName(match[1]), value, true)
			if match[2] != "" {
				add(match[2], value, true) // the first word is the type, or const
			}
		}
		for _, match := range call.FindAllStringSubmatch(line, -1) {
			add(match[1], match[2]+match[3]+match[4], true)
		}
		for _, form := range []*regexp.Regexp{attribute, flag} {
			for _, match := range form.FindAllStringSubmatch(line, -1) {
				add(match[1], match[2], form == attribute)
			}
		}
	}
	if f == configuration {
		for _, form := range []*regexp.Regexp{unquoted, dockerEnv, spaced, element} {
			for _, match := range form.FindAllStringSubmatch(line, -1) {
				value, inQuotes := scalar(match[2])
				add(match[1], value, inQuotes)
			}
		}
	}
	// Known forms are found wherever they stand.
	for _, match := range literal.FindAllStringSubmatch(line, -1) {
		if value := match[1] + match[2] + match[3]; mayHaveForm(value) {
			add("", value, true)
		}
	}
	for _, word := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\"'`,;()[]<>|", r) }) {
		if word = word[len(assignment.FindString(word)):]; mayHaveForm(word) {
			add("", word, false)
		}
	}
	return pairs, ""
}

// lastName takes what a path in a program leads to: config.db.password.
func lastName(name string) string {
	return strings.Trim(name, "$.-/")
}

// scalar takes the quotes off, or cuts the comment behind a space and a #.
func scalar(value string) (text string, inQuotes bool) {
	if match := literal.FindStringSubmatchIndex(value); match != nil && match[0] == 0 && value[0] != '`' {
		return value[1 : match[1]-1], true
	}
	text, _, _ = strings.Cut(value, " #")
	return strings.TrimSpace(text), false
}
