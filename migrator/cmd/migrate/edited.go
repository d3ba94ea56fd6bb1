package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aistudio/secrets/migrator/apply"
	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
)

// checkEdited refuses a plan that somebody has edited into one that something
// blocks, as by taking a block away that still holds. What an earlier run did is
// past that, and so is what this one isn't about.
func (m *migration) checkEdited(ctx context.Context, config aws.Config, p plan.Plan, o apply.Options) error {
	s, err := m.settings()
	if err != nil {
		return err
	}
	classifier, err := classify.New(s.Classify)
	if err != nil {
		return err
	}
	state, err := journal.Read(m.folder)
	if err != nil {
		return err
	}
	bar := &progress{terminal: m.terminal}
	defer bar.end()
	estate, err := discover.Read(ctx, config, bar.show)
	if err != nil {
		return err
	}
	facts, err := plan.ReadFacts(ctx, config, p, estate, o.Key, bar.show)
	if err != nil {
		return err
	}
	about := subjects(p, o, state)
	var blocks []string
	for _, d := range plan.CheckEdited(p, s, estate, classifier, o.Key, facts) {
		if about[d.Subject] {
			blocks = append(blocks, d.String())
		}
	}
	if len(blocks) > 0 {
		return fmt.Errorf("the plan was edited, or the estate has changed, so that this blocks it, and nothing was changed: settle it, or make the plan again (your edits stay):\n  %s", strings.Join(blocks, "\n  "))
	}
	return nil
}

// subjects are what a run is about and no earlier one has done: services, their
// roles and their secrets.
func subjects(p plan.Plan, o apply.Options, state journal.State) map[string]bool {
	about := map[string]bool{p.KMSKey: true}
	for _, s := range p.Services {
		if state.Service(s.ID).Live() || o.Wave > 0 && s.Wave != o.Wave || len(o.Only) > 0 && !slices.Contains(o.Only, s.ID) {
			continue
		}
		about[s.ID], about[s.Role] = true, true
		for _, v := range s.Variables {
			about[v.Secret] = true
		}
	}
	for _, s := range p.Secrets {
		switch state.Secret(s.Name).Status {
		case "", journal.Writing:
			about[s.Name] = about[s.Name] || o.Wave == 0 && len(o.Only) == 0
		default: // also one that a rollback scheduled for deletion, which the apply restores
			delete(about, s.Name)
		}
	}
	return about
}
