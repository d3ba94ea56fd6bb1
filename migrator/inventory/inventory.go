package inventory

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"

	"github.com/aistudio/secrets/sdk/spec"
)

// Version is the version of the inventory's JSON.
const Version = 1

// Schema is the JSON schema of an inventory.
//
//go:embed schema.json
var Schema []byte

// Inventory is what one account has in one region. All lists are in order, so
// that the same estate and key give the same inventory.
type Inventory struct {
	Version int      `json:"version"` // Version
	Account string   `json:"account"`
	Region  string   `json:"region"`
	Counts  Counts   `json:"counts"`
	Items   []Item   `json:"items"`  // never null
	Source  []InFile `json:"source"` // credentials in source code; never null
	Shared  []Shared `json:"shared"` // values that are in several places, by their digest; never null
	Unread  []Unread `json:"unread"` // never null
}

// Counts sums an inventory up.
type Counts struct {
	Functions       int `json:"functions"`
	Services        int `json:"services"`
	TaskDefinitions int `json:"taskDefinitions"`
	ScheduledTasks  int `json:"scheduledTasks"`
	Parameters      int `json:"parameters"`
	Settings        int `json:"settings"`  // that were looked at
	Secrets         int `json:"secrets"`   // of these
	Plaintext       int `json:"plaintext"` // secrets that anybody who may read the setting can read
	Values          int `json:"values"`    // different ones among the secrets
	Unknown         int `json:"unknown"`   // settings whose value is encrypted by their program
	Source          int `json:"source"`    // credentials in source code
	Unread          int `json:"unread"`
}

// Item is a setting.
type Item struct {
	Place      spec.ScanPlace `json:"place"`
	ARN        string         `json:"arn"` // of the function or its version, the task definition, the rule or schedule, the parameter
	Name       string         `json:"name"`
	Container  string         `json:"container,omitempty"`
	Variable   string         `json:"variable,omitempty"` // "" for a parameter
	Secret     bool           `json:"secret"`
	Unknown    bool           `json:"unknown,omitempty"`   // encrypted by its program, so nobody can tell
	Encrypted  bool           `json:"encrypted,omitempty"` // by AWS, for whoever may not use its key
	Kind       spec.Kind      `json:"kind,omitempty"`      // of a secret
	Confidence float64        `json:"confidence"`          // from 0 to 1
	Reasons    []string       `json:"reasons"`
	Digest     string         `json:"digest,omitempty"` // of a secret's value, by the inventory's key
	Group      string         `json:"group,omitempty"`  // prefix of the settings that make one secret with it
	Member     string         `json:"member,omitempty"` // key in the secret's JSON object, of a group's member
	Owner      string         `json:"owner,omitempty"`
	ManagedBy  string         `json:"managedBy,omitempty"` // the tool that would undo a change
}

// InFile is a credential in source code.
type InFile struct {
	File       string    `json:"file"` // from the tree's root
	Line       int       `json:"line"` // from 1
	Name       string    `json:"name,omitempty"`
	Kind       spec.Kind `json:"kind"`
	Confidence float64   `json:"confidence"` // from 0 to 1
	Reasons    []string  `json:"reasons"`
	Digest     string    `json:"digest"`
}

// Shared is a value that is in several places.
type Shared struct {
	Digest string   `json:"digest"`
	Places []string `json:"places"` // ARN, and a container and a variable behind spaces; or file:line
}

// Unread is something that nobody could look into. It is not clean: it is
// unknown.
type Unread struct {
	Place  spec.ScanPlace `json:"place"`         // or "source"
	ARN    string         `json:"arn,omitempty"` // or the file; "": all of the place
	Reason string         `json:"reason"`
}

// WriteJSON writes the inventory as JSON.
func (i Inventory) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(i); err != nil {
		return fmt.Errorf("write the inventory: %w", err)
	}
	return nil
}

func (i Item) where() string {
	where := i.ARN
	for _, part := range []string{i.Container, i.Variable} {
		if part != "" {
			where += " " + part
		}
	}
	return where
}
