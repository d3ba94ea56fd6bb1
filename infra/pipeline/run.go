package pipeline

import (
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"github.com/aistudio/secrets/infra/pipeline/checks"
)

// run is what the engine told of one operation.
type run struct {
	// changes are the program's, drift what a refresh found.
	changes   changes
	drift     changes
	unchanged int
	// resources are those that the stack has in the end, by URN.
	resources map[string]checks.Resource
	failures  []Failure
	// done are the changes that were made, and refreshed the resources that were
	// compared with AWS, by URN.
	done, refreshed map[string]bool
	// incomplete is that not all events came.
	incomplete error
}

// follow collects the engine's events. It returns the channel to send them to,
// and a function that waits for the last one, to be called once the operation
// has returned. progress, if there is one, is called for each event.
func follow(progress func(apitype.EngineEvent)) (chan<- events.EngineEvent, func() *run) {
	var (
		stream   = make(chan events.EngineEvent)
		returned = make(chan struct{})
		finished = make(chan struct{})
		r        = &run{changes: changes{}, drift: changes{}, resources: map[string]checks.Resource{}, done: map[string]bool{}, refreshed: map[string]bool{}}
	)
	go func() {
		defer close(finished)
		for {
			// The Automation API closes the channel after the last event, but not
			// if the CLI never came to send one. Once the operation has returned,
			// nobody sends.
			select {
			case event, more := <-stream:
				if !more {
					return
				}
				if event.Error != nil {
					r.incomplete = event.Error
					continue
				}
				r.note(event.EngineEvent)
				if progress != nil {
					progress(event.EngineEvent)
				}
			case <-returned:
				return
			}
		}
	}()
	return stream, func() *run {
		close(returned)
		<-finished
		return r
	}
}

func (r *run) note(event apitype.EngineEvent) {
	switch {
	case event.ResourcePreEvent != nil:
		step := event.ResourcePreEvent.Metadata
		if step.Op == apitype.OpRefresh {
			r.refreshed[step.URN] = true
			return
		}
		r.changes.add(step)
		r.keep(step)
	case event.ResOutputsEvent != nil:
		step := event.ResOutputsEvent.Metadata
		if r.refreshed[step.URN] {
			// The engine tells by the outputs what the comparison came to.
			delete(r.refreshed, step.URN)
			r.drift.add(step)
			return
		}
		r.keep(step)
		if _, changed := changeOf(step); changed {
			r.done[step.URN] = true
		}
	case event.ResOpFailedEvent != nil:
		delete(r.done, event.ResOpFailedEvent.Metadata.URN)
	case event.DiagnosticEvent != nil:
		if d := event.DiagnosticEvent; d.Severity == "error" {
			r.failures = append(r.failures, Failure{URN: d.URN, Problem: plain(d.Message)})
		}
	case event.ErrorEvent != nil:
		r.failures = append(r.failures, Failure{Problem: plain(event.ErrorEvent.Error)})
	case event.SummaryEvent != nil:
		r.unchanged = event.SummaryEvent.ResourceChanges[apitype.OpSame]
	}
}

// keep notes a resource as it will be, or, once its step is done, as it is.
func (r *run) keep(step apitype.StepEventMetadata) {
	switch {
	case step.Op == apitype.OpDelete:
		delete(r.resources, step.URN)
	case step.Op != apitype.OpDeleteReplaced && step.New != nil:
		r.resources[step.URN] = checks.Resource{
			URN: step.URN, Type: step.Type, Name: name(step.URN), ID: step.New.ID,
			Inputs: step.New.Inputs, Protected: step.New.Protect,
		}
	}
}

// violations returns what the policy checks find.
func (r *run) violations(policy checks.Policy) []checks.Violation {
	var resources []checks.Resource
	for _, urn := range slices.Sorted(maps.Keys(r.resources)) {
		resources = append(resources, r.resources[urn])
	}
	return checks.Run(policy, resources)
}

// plain removes the marks of colours from a message of the engine.
func plain(message string) string {
	for {
		before, rest, found := strings.Cut(message, "<{%")
		if !found {
			return strings.TrimSpace(message)
		}
		_, after, closed := strings.Cut(rest, "%}>")
		if !closed {
			return strings.TrimSpace(message)
		}
		message = before + after
	}
}
