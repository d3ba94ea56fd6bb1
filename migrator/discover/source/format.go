package source

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// format is how a file writes names and values.
type format int

const (
	program       format = iota // values stand in quotes
	configuration               // values may stand without, and mean what they say
	prose                       // nothing but known forms is told from what is told about
)

// script is the first line of a program that no shell runs.
var script = regexp.MustCompile(`^#!.*/(?:env )?(?:python|node|ruby|perl|php|deno|bun)`)

func formatOf(name, text string) format {
	base := strings.ToLower(path.Base(name))
	extension := path.Ext(base)
	switch {
	case slices.Contains([]string{
		".env", ".properties", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".config", ".tfvars", ".sh", ".bash", ".zsh", ".npmrc", ".netrc", ".pypirc", ".xml", ".json",
	}, extension):
		return configuration
	case strings.HasPrefix(base, "dockerfile") || strings.HasSuffix(base, ".dockerfile"):
		return configuration
	case extension == "" && script.MatchString(text):
		return program
	case strings.HasPrefix(base, ".") || extension == "": // .netrc, config, Makefile
		return configuration
	case slices.Contains([]string{".md", ".rst", ".txt", ".adoc", ".html", ".htm"}, extension):
		return prose
	default:
		return program
	}
}
