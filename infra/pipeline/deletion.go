package pipeline

import (
	"fmt"
	"slices"
	"strings"
)

// guardedTypes are the resources that take data or evidence with them when they
// are gone: secrets, keys, and the trail.
var guardedTypes = []string{
	"aws:secretsmanager/secret:Secret",
	"aws:kms/key:Key",
	"aws:kms/replicaKey:ReplicaKey",
	"aws:cloudtrail/trail:Trail",
}

// guards tells whether a change needs to be named. In a guarded stack these are
// deletions and replacements of the guarded types, and in every stack those of
// what Pulumi is told to protect.
func (o Options) guards(change Change) bool {
	return change.destroys() && (change.Protected || (o.Guarded && slices.Contains(guardedTypes, change.Type)))
}

// checkDeletions refuses what isn't named, and names that nothing has. It
// returns the URNs of what is named and protected.
func (o Options) checkDeletions(report *Report) (unprotect []string) {
	used := map[string]bool{}
	for _, change := range report.Changes {
		if !o.guards(change) {
			continue
		}
		named := false
		for _, given := range o.AllowDelete {
			if given == change.URN || given == change.Name {
				used[given], named = true, true
			}
		}
		if !named {
			report.refuse(GateDeletion, change.URN, fmt.Sprintf("this would %s a %s that is guarded", change.Operation, kindOf(change.Type)))
			report.next(fmt.Sprintf("if it has to go, name it: --allow-delete '%s'", change.URN))
			continue
		}
		report.warn(fmt.Sprintf("%s of %s is allowed by --allow-delete", change.Operation, change.URN))
		if change.Retained {
			report.warn(change.URN + " stays in AWS: Pulumi forgets it, and who wants it gone deletes it there")
		}
		if change.Protected {
			unprotect = append(unprotect, change.URN)
		}
	}
	for _, given := range o.AllowDelete {
		if !used[given] {
			report.refuse(GateDeletion, "", fmt.Sprintf("--allow-delete %s names no guarded resource that would be deleted or replaced", given))
			report.next("leave out of --allow-delete what isn't deleted: a name that fits nothing is a mistake, or the change isn't the one that was meant")
		}
	}
	return unprotect
}

// kindOf returns the last part of a resource type: Secret of
// aws:secretsmanager/secret:Secret.
func kindOf(resourceType string) string {
	return resourceType[strings.LastIndex(resourceType, ":")+1:]
}
