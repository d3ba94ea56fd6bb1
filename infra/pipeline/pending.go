package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// pendingOperation is one that a killed update had begun. Nobody knows how it
// ended.
type pendingOperation struct {
	Resource map[string]json.RawMessage `json:"resource"`
	// Type is what the update was doing: creating, updating, deleting, reading
	// or importing it.
	Type string `json:"type"`
}

const (
	creating = "creating"
	updating = "updating"
)

func (o pendingOperation) urn() string {
	var urn string
	_ = json.Unmarshal(o.Resource["urn"], &urn) // it has one, or the state couldn't be read
	return urn
}

// state is the state of a stack, of which only some parts are looked at.
type state struct {
	whole      apitype.UntypedDeployment
	deployment map[string]json.RawMessage
	pending    []pendingOperation
}

// readState exports the state.
func (p *Pipeline) readState(ctx context.Context) (*state, error) {
	exported, err := p.stack.Export(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the state of the stack: %s", message(err))
	}
	s := &state{whole: exported}
	if len(exported.Deployment) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(exported.Deployment, &s.deployment); err != nil {
		return nil, fmt.Errorf("read the state of the stack: %w", err)
	}
	if pending, ok := s.deployment["pending_operations"]; ok {
		if err := json.Unmarshal(pending, &s.pending); err != nil {
			return nil, fmt.Errorf("read the pending operations in the state of the stack: %w", err)
		}
	}
	return s, nil
}

// checkPending refuses to work on a stack on which a killed update left
// operations: to create again what may be there is how resources are lost.
func (p *Pipeline) checkPending(ctx context.Context, report *Report) {
	state, err := p.readState(ctx)
	if err != nil {
		report.fail("", err.Error())
		return
	}
	for _, operation := range state.pending {
		report.refuse(GatePending, operation.urn(), fmt.Sprintf("an update was killed while %s it, and how that ended isn't known", operation.Type))
		report.next(recovery(report.Stack, operation))
	}
}

// recovery says how to settle a pending operation.
// Source: https://www.pulumi.com/docs/iac/operations/troubleshooting/interrupted-updates/
func recovery(stack string, operation pendingOperation) string {
	urn := operation.urn()
	if operation.Type != creating {
		return fmt.Sprintf("pipeline recover %s reads from AWS how %s ended", stack, urn)
	}
	return fmt.Sprintf("look in AWS whether %[2]s was made: if so, pipeline recover %[1]s --import '%[2]s=<id>', with the ID that Pulumi has for its type; if not, pipeline recover %[1]s --clear '%[2]s'", stack, urn)
}

// Settlement says how the pending creations of a killed update ended.
type Settlement struct {
	// Import are resources that were made, by URN with the ID that Pulumi has
	// for their type (for most the ARN or the name).
	Import map[string]string
	// Clear are the URNs of resources that weren't made.
	Clear []string
}

// Recover settles what a killed update left. What it was updating or deleting is
// read from AWS; each creation must be in the settlement. Every other difference
// between the state and AWS is read into the state too, as by pulumi refresh.
func (p *Pipeline) Recover(ctx context.Context, settlement Settlement) Report {
	return p.reporting("recover", func(report *Report) Outcome { return p.recover(ctx, report, settlement) })
}

func (p *Pipeline) recover(ctx context.Context, report *Report, settlement Settlement) Outcome {
	state, err := p.readState(ctx)
	if err != nil {
		report.fail("", err.Error())
		return Failed
	}
	settlement.check(report, state.pending)
	if stopped(report) {
		return Refused
	}
	if len(state.pending) == 0 {
		p.log("nothing is pending")
		return Succeeded
	}
	for {
		ran := &run{}
		err := p.settle(ctx, state, settlement)
		if err == nil {
			stream, collect := follow(p.progress())
			_, err = p.stack.Refresh(ctx, optrefresh.EventStreams(stream), optrefresh.RunProgram(false),
				optrefresh.SuppressOutputs(), optrefresh.SuppressProgress(), optrefresh.ShowSecrets(false))
			ran = collect()
		}
		if err == nil {
			report.Changes, report.Unchanged = ran.drift.sorted(), ran.unchanged
			return Succeeded
		}
		met := lockOf(err)
		if met == nil {
			return p.failed(ctx, report, ran, err)
		}
		if outcome, again := p.waitTurn(ctx, report, *met); !again {
			return outcome
		}
	}
}

// check refuses a settlement that doesn't fit what is pending.
func (s Settlement) check(report *Report, pending []pendingOperation) {
	open := map[string]bool{}
	for _, operation := range pending {
		urn := operation.urn()
		if operation.Type != creating {
			continue
		}
		open[urn] = true
		_, imported := s.Import[urn]
		cleared := slices.Contains(s.Clear, urn)
		switch {
		case imported && cleared:
			report.refuse(GatePending, urn, "it is both imported and cleared")
		case !imported && !cleared:
			report.refuse(GatePending, urn, "an update was killed while creating it: say whether it was made")
			report.next(recovery(report.Stack, operation))
		}
	}
	for _, urn := range slices.Concat(slices.Sorted(maps.Keys(s.Import)), s.Clear) {
		if !open[urn] {
			report.refuse(GatePending, urn, "no update was killed while creating it, so there is nothing to settle")
		}
	}
}

// settle writes the settlement of creations into the state: what was made
// becomes a resource whose update is pending, so that a refresh has to read it
// before anything else is done, and what wasn't made is forgotten.
//
// It does so itself, as Pulumi documents for editing a state: with version
// 3.274.1 of the CLI, pulumi refresh --import-pending-creates forgets the
// resource too.
func (p *Pipeline) settle(ctx context.Context, s *state, settlement Settlement) error {
	var resources []json.RawMessage
	if listed, ok := s.deployment["resources"]; ok {
		if err := json.Unmarshal(listed, &resources); err != nil {
			return fmt.Errorf("read the resources in the state of the stack: %w", err)
		}
	}
	var pending []pendingOperation
	settled := false
	for _, operation := range s.pending {
		if operation.Type != creating {
			pending = append(pending, operation)
			continue
		}
		settled = true
		id, imported := settlement.Import[operation.urn()]
		if !imported {
			continue
		}
		made := maps.Clone(operation.Resource)
		var err error
		if made["id"], err = json.Marshal(id); err != nil {
			return fmt.Errorf("write the state of the stack: %w", err)
		}
		resource, err := json.Marshal(made)
		if err != nil {
			return fmt.Errorf("write the state of the stack: %w", err)
		}
		resources = append(resources, resource)
		pending = append(pending, pendingOperation{Resource: made, Type: updating})
	}
	if !settled {
		return nil
	}

	deployment := maps.Clone(s.deployment)
	var err error
	if deployment["resources"], err = json.Marshal(resources); err == nil {
		deployment["pending_operations"], err = json.Marshal(pending)
	}
	whole := s.whole
	if err == nil {
		whole.Deployment, err = json.Marshal(deployment)
	}
	if err != nil {
		return fmt.Errorf("write the state of the stack: %w", err)
	}
	return p.stack.Import(ctx, whole)
}

// ParseImport reads <urn>=<id>.
func ParseImport(text string) (urn, id string, err error) {
	urn, id, found := strings.Cut(text, "=")
	if !found || id == "" || !strings.HasPrefix(urn, "urn:pulumi:") {
		return "", "", fmt.Errorf("%q isn't <urn>=<id>", text)
	}
	return urn, id, nil
}
