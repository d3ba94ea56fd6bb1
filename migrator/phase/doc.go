// Package phase runs the implementation plan of ADR-006 phase by phase:
// foundation, prepare, dev, staging, prod, cleanup.
//
// Each phase is data: what must be complete before it, the steps that are done
// in it, and a checklist. A step is a command, which is shown before it runs, or
// something that a person does. A check asks AWS, the audit's newest report, or
// the migration's folder, or is a person's word, which is recorded with the name
// and the time. A check passes, fails, or is unknown, and a phase is complete
// when every check passes.
//
// Nothing is remembered that can be asked again: a phase can be run as often as
// one likes, skips the steps whose checks pass, and says what it finds. What a
// stack's folder records is for the other stacks, which may be in accounts that
// the same credentials don't reach.
package phase
