package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/urn"
)

// Operation is what happens to a resource.
type Operation string

// The operations.
const (
	Create  Operation = "create"
	Update  Operation = "update"
	Replace Operation = "replace"
	Delete  Operation = "delete"
	Import  Operation = "import"
)

// Change is what happens to one resource.
type Change struct {
	Operation Operation `json:"operation"`
	URN       string    `json:"urn"`
	Type      string    `json:"type"`
	Name      string    `json:"name"`
	// Properties are the paths of what differs. Values are never told.
	Properties []string `json:"properties,omitempty"`
	// Protected is that Pulumi is told to refuse to delete the resource.
	Protected bool `json:"protected,omitempty"`
	// Retained is that a deletion only makes Pulumi forget the resource, which
	// stays in AWS.
	Retained bool `json:"retained,omitempty"`

	inputs map[string]any
}

// destroys tells whether the resource as it is now will be gone.
func (c Change) destroys() bool { return c.Operation == Delete || c.Operation == Replace }

// operations says what each of the engine's steps is to people. The steps of a
// replacement are one; what isn't here changes nothing.
var operations = map[apitype.OpType]Operation{
	apitype.OpCreate:            Create,
	apitype.OpUpdate:            Update,
	apitype.OpDelete:            Delete,
	apitype.OpReplace:           Replace,
	apitype.OpCreateReplacement: Replace,
	apitype.OpDeleteReplaced:    Replace,
	apitype.OpImport:            Import,
	apitype.OpImportReplacement: Replace,
}

// changeOf returns what a step of the engine does, and whether it changes
// anything.
func changeOf(step apitype.StepEventMetadata) (Change, bool) {
	operation, ok := operations[step.Op]
	if !ok || step.Type == string(resource.RootStackType) {
		return Change{}, false // the stack itself is nothing in AWS
	}
	change := Change{Operation: operation, URN: step.URN, Type: step.Type, Name: name(step.URN), Properties: properties(step)}
	if step.Old != nil {
		change.Protected, change.Retained = step.Old.Protect, step.Old.RetainOnDelete
	}
	if step.New != nil {
		change.inputs = step.New.Inputs
	}
	return change, true
}

// properties returns the paths of what differs, sorted.
func properties(step apitype.StepEventMetadata) []string {
	paths := map[string]bool{}
	for path := range step.DetailedDiff {
		paths[path] = true
	}
	if len(paths) == 0 {
		for _, key := range slices.Concat(step.Diffs, step.Keys) {
			paths[key] = true
		}
	}
	if len(paths) == 0 && step.Op == apitype.OpUpdate && step.Old != nil && step.New != nil {
		// Of a comparison with AWS the engine tells only the outputs.
		for key := range step.New.Outputs {
			if !reflect.DeepEqual(step.Old.Outputs[key], step.New.Outputs[key]) {
				paths[key] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(paths))
}

// name returns the resource's name in the program.
func name(of string) string { return urn.URN(of).Name() }

// changes collects the steps of a run by resource.
type changes map[string]Change

// add notes a step. Steps of one replacement are told once.
func (c changes) add(step apitype.StepEventMetadata) {
	change, ok := changeOf(step)
	if !ok {
		return
	}
	if before, ok := c[step.URN]; ok {
		if before.Operation != change.Operation {
			change.Operation = Replace
		}
		change.Protected = change.Protected || before.Protected
		change.Retained = change.Retained || before.Retained
		if len(change.Properties) == 0 {
			change.Properties = before.Properties
		}
		if change.inputs == nil {
			change.inputs = before.inputs
		}
	}
	c[step.URN] = change
}

// sorted returns the changes in the order of their URNs.
func (c changes) sorted() []Change {
	sorted := make([]Change, 0, len(c))
	for _, urn := range slices.Sorted(maps.Keys(c)) {
		sorted = append(sorted, c[urn])
	}
	return sorted
}

// digest identifies changes by what is done to which resource and what its
// inputs will be. It is the same for every preview of the same changes, on any
// machine: where archives lie doesn't count, only what is in them, and neither
// do names that the provider draws.
//
// Inputs that Pulumi keeps secret are masked before they come here. The digest
// tells nothing of the others to those who don't know them.
func digest(project, stack, command string, revision Revision, changes []Change) (string, error) {
	type fact struct {
		Operation  Operation
		URN        string
		Properties []string
		Inputs     any
	}
	facts := make([]fact, 0, len(changes))
	for _, change := range changes {
		facts = append(facts, fact{change.Operation, change.URN, change.Properties, repeatable(change.inputs)})
	}
	text, err := json.Marshal(map[string]any{
		"project": project, "stack": stack, "command": command,
		"artifacts": revision.Artifacts, "changes": facts,
	})
	if err != nil {
		return "", fmt.Errorf("compute the digest of the changes: %w", err)
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// repeatable leaves out of inputs what differs from preview to preview.
func repeatable(value any) any {
	switch value := value.(type) {
	case map[string]any:
		object := maps.Clone(value)
		switch object[resource.SigKey] {
		case resource.AssetSig, resource.ArchiveSig:
			delete(object, "path")
			delete(object, "uri")
		}
		if defaults, ok := object["__defaults"].([]any); ok {
			for _, key := range defaults {
				if key, ok := key.(string); ok {
					delete(object, key)
				}
			}
			delete(object, "__defaults")
		}
		for key, element := range object {
			object[key] = repeatable(element)
		}
		return object
	case []any:
		list := make([]any, len(value))
		for i, element := range value {
			list[i] = repeatable(element)
		}
		return list
	}
	return value
}
