package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
)

// pendingOperation is one that a killed update had begun. Nobody knows how it
// ended.
type pendingOperation struct {
	URN       string
	Operation string // creating, updating, deleting, reading, importing
}

// pendingOperations reads them out of the state.
func (p *Pipeline) pendingOperations(ctx context.Context) ([]pendingOperation, error) {
	state, err := p.stack.Export(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the state of the stack: %s", message(err))
	}
	if len(state.Deployment) == 0 {
		return nil, nil
	}
	var deployment struct {
		Pending []struct {
			Resource struct {
				URN string `json:"urn"`
			} `json:"resource"`
			Type string `json:"type"`
		} `json:"pending_operations"`
	}
	if err := json.Unmarshal(state.Deployment, &deployment); err != nil {
		return nil, fmt.Errorf("read the state of the stack: %w", err)
	}
	var pending []pendingOperation
	for _, operation := range deployment.Pending {
		pending = append(pending, pendingOperation{URN: operation.Resource.URN, Operation: operation.Type})
	}
	return pending, nil
}

// checkPending refuses to work on a stack on which a killed update left
// operations: to create again what may be there is how resources are lost.
func (p *Pipeline) checkPending(ctx context.Context, report *Report) {
	pending, err := p.pendingOperations(ctx)
	if err != nil {
		report.fail("", err.Error())
		return
	}
	for _, operation := range pending {
		report.refuse(GatePending, operation.URN, fmt.Sprintf("an update was killed while %s it, and how that ended isn't known", operation.Operation))
		report.next(recovery(report.Stack, operation))
	}
}

// recovery says how to settle a pending operation.
// Source: https://www.pulumi.com/docs/iac/operations/troubleshooting/interrupted-updates/
func recovery(stack string, operation pendingOperation) string {
	if operation.Operation != "creating" {
		return fmt.Sprintf("pipeline recover %s reads from AWS how %s ended", stack, operation.URN)
	}
	return fmt.Sprintf("look in AWS whether %[2]s was made: if so, pipeline recover %[1]s --import '%[2]s=<id>', with the ID that Pulumi has for its type; if not, pipeline recover %[1]s --clear '%[2]s'", stack, operation.URN)
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
	pending, err := p.pendingOperations(ctx)
	if err != nil {
		report.fail("", err.Error())
		return Failed
	}
	var imports []optrefresh.PendingCreate
	cleared := map[string]bool{}
	for urn := range settlement.Import {
		if !slices.ContainsFunc(pending, func(o pendingOperation) bool { return o.URN == urn && o.Operation == "creating" }) {
			report.refuse(GatePending, urn, "no update was killed while creating it, so there is nothing to import")
		}
	}
	for _, urn := range settlement.Clear {
		if !slices.ContainsFunc(pending, func(o pendingOperation) bool { return o.URN == urn && o.Operation == "creating" }) {
			report.refuse(GatePending, urn, "no update was killed while creating it, so there is nothing to clear")
		}
		cleared[urn] = true
	}
	for _, operation := range pending {
		if operation.Operation != "creating" {
			continue
		}
		id, imported := settlement.Import[operation.URN]
		switch {
		case imported && cleared[operation.URN]:
			report.refuse(GatePending, operation.URN, "it is both imported and cleared")
		case imported:
			imports = append(imports, optrefresh.PendingCreate{URN: operation.URN, ID: id})
		case !cleared[operation.URN]:
			report.refuse(GatePending, operation.URN, "an update was killed while creating it: say whether it was made")
			report.next(recovery(report.Stack, operation))
		}
	}
	if len(report.Refusals) > 0 {
		return Refused
	}
	if len(pending) == 0 {
		p.log("nothing is pending")
		return Succeeded
	}

	options := []optrefresh.Option{optrefresh.SuppressOutputs(), optrefresh.SuppressProgress(), optrefresh.RunProgram(false), optrefresh.ShowSecrets(false)}
	if len(imports) > 0 {
		options = append(options, optrefresh.ImportPendingCreates(imports))
	}
	if len(cleared) > 0 {
		options = append(options, optrefresh.ClearPendingCreates())
	}
	for {
		stream, collect := follow(p.progress())
		_, err := p.stack.Refresh(ctx, append(options, optrefresh.EventStreams(stream))...)
		ran := collect()
		if err == nil {
			report.Changes, report.Unchanged = ran.drift.sorted(), ran.unchanged
			return Succeeded
		}
		if met := lockOf(err); met != nil && p.waitTurn(ctx, report, *met) {
			continue
		}
		return p.failed(ctx, report, ran, err)
	}
}

// ParseImport reads <urn>=<id>.
func ParseImport(text string) (urn, id string, err error) {
	urn, id, found := strings.Cut(text, "=")
	if !found || id == "" || !strings.HasPrefix(urn, "urn:pulumi:") {
		return "", "", fmt.Errorf("%q isn't <urn>=<id>", text)
	}
	return urn, id, nil
}
