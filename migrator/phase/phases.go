package phase

// Phases returns the plan (ADR-006, "Implementation Plan").
func Phases() []Phase {
	return []Phase{
		{
			Name: Foundation, Title: "The key, the secrets, their replicas, and the audit are there",
			Steps: []Step{
				{
					Title: "Deploy the stack", Command: deployStack(),
					Reaches: []string{"key", "replica-key", "secrets", "replicas", "trail", "auditor"},
				},
				{Title: "Wait for the daily audit, or invoke the auditor's function", Reaches: []string{"audited"}},
			},
			Checks: []Check{
				keyCheck(), replicaKeyCheck(), secretsCheck(), replicasCheck(), trailCheck(), auditorCheck(), auditedCheck(),
			},
		},
		{
			Name: Prepare, Title: "The cache and the rotation are proved, and the plan of the migration is agreed on",
			Steps: []Step{
				{Title: "Deploy the stack with its cache and rotators", Command: deployStack(), Reaches: []string{"layer", "rotators"}},
				{Title: "Rotate a secret of each kind: bin/rotate now <secret>", Reaches: []string{"rotated"}},
				{Title: "Plan the migration", Command: []string{"migrate", "plan", "{stack}", "--folder", "{folder}"}, Reaches: []string{"planned"}},
				{Title: "Settle what blocks in the plan, and plan again", Reaches: []string{"unblocked"}},
				{Title: "Review the plan with those who own the services", Reaches: []string{"plan-reviewed"}},
			},
			Checks: []Check{layerCheck(), rotatorsCheck(), rotatedCheck(), plannedCheck(), unblockedCheck(), planReviewedCheck()},
		},
		migrating(Dev, "The services of dev read from Secrets Manager, and secrets rotate",
			Step{Title: "Switch the rotation on: add the plan's catalogue entries to the stack's file, and deploy", Command: deployStack(), Reaches: []string{"rotating"}},
		),
		migrating(Staging, "The services of staging read from Secrets Manager as fast as before"),
		migrating(Prod, "The services of prod read from Secrets Manager, and have for a day"),
		{
			Name: Cleanup, Title: "Nothing of the old is left",
			Steps: []Step{
				{
					Title: "Remove old variables, parameters and revisions", Command: []string{"migrate", "cleanup", "{stack}", "--folder", "{folder}", "--soak", "{soak}"},
					Reaches: []string{"cleaned"},
				},
				{Title: "Switch all rotations on", Command: deployStack(), Reaches: []string{"rotating"}},
				{Title: "Wait for the daily scan and audit", Reaches: []string{"no-plaintext", "audit-clean"}},
				{Title: "Look at the caches' metrics and at the rotations' times, and adjust them", Reaches: []string{"cache-tuned", "rotation-tuned"}},
				{Title: "Complete the documentation", Reaches: []string{"documented"}},
			},
			Checks: []Check{
				cleanedCheck(), rotatingCheck(), noPlaintextCheck(), auditCleanCheck(), cacheTunedCheck(), rotationTunedCheck(), documentedCheck(),
			},
		},
	}
}

// deployStack is the command of the steps that deploy: with the gates and
// approvals of the pipeline.
func deployStack() []string { return []string{"go", "tool", "mage", "pipeline:up", "{stack}"} }

// migrating is the phase that migrates a stack.
func migrating(name Name, title string, more ...Step) Phase {
	steps := []Step{
		{Title: "Agree on a window and go through the checklist", Reaches: []string{"learned", "window", "checklist"}},
		{
			Title: "Apply the plan, wave by wave", Command: []string{"migrate", "apply", "{stack}", "--folder", "{folder}"},
			Reaches: []string{"applied"},
		},
		{
			Title: "Watch the services for the soak time", Command: []string{"migrate", "validate", "{stack}", "--folder", "{folder}", "--soak", "{soak}", "--wait"},
			Reaches: []string{"valid"},
		},
		{Title: "Measure that services are as fast as before", Reaches: []string{"performance"}},
	}
	steps = append(steps, more...)
	steps = append(steps, Step{Title: "Wait for the daily audit", Reaches: []string{"audit-clean"}})
	return Phase{
		Name: name, Title: title, Steps: steps,
		Checks: []Check{
			learnedCheck(), windowCheck(), checklistCheck(), dualReadCheck(), appliedCheck(), validCheck(), noAlarmCheck(), performanceCheck(),
			only(rotatingCheck(), string(Dev)), auditCleanCheck(),
		},
	}
}

// only is a check of some stacks.
func only(c Check, stacks ...string) Check {
	c.Stacks = stacks
	return c
}
