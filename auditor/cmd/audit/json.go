package main

import (
	"encoding/json"
	"io"
)

// writeJSON prints what a command found for programs.
func writeJSON(w io.Writer, found any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(found)
}
