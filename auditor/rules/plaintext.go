package rules

import (
	"slices"
	"strings"
	"time"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/sdk/spec"
)

const plaintextRationale = "Whoever may look at the configuration sees the secret: in the console, in logs, in backups. Nobody rotates it and nobody knows who read it."

// clockSkew is how far the clocks of the scan and of the audit may be apart.
const clockSkew = time.Hour

// plaintext judges a place by the newest scan of the migration. A resource has
// one finding, whatever the number of its variables.
func plaintext(place spec.ScanPlace, resourceType, noun string) func(Context, *facts.Estate) []Result {
	return func(c Context, e *facts.Estate) []Result {
		whole := finding.Resource{ARN: "arn:aws:" + string(place) + ":*:" + e.Account + ":*", Name: "all " + noun, Type: "Other"}
		scan, known := e.Scan.Get()
		switch {
		case !known:
			return []Result{{whole, finding.Unreadable(e.Scan.Unknown), true}}
		case scan == nil:
			return []Result{{whole, finding.Unreadable("the migration has not scanned yet"), true}}
		case scan.Account != "" && scan.Account != e.Account:
			return []Result{{whole, finding.Unreadable("the migration's newest scan is of the account " + scan.Account), true}}
		case c.Now.Sub(scan.Finished) > c.Policy.ScanMaxAge:
			return []Result{{whole, finding.Unreadable("the migration's newest scan is of " + when(scan.Finished) + ", older than " + days(c.Policy.ScanMaxAge)), true}}
		case scan.Finished.Sub(c.Now) > clockSkew:
			return []Result{{whole, finding.Unreadable("the migration's newest scan is of " + when(scan.Finished) + ", which is yet to come"), true}}
		}
		var results []Result
		at := map[string]int{}
		for _, f := range scan.Findings {
			if f.Place != place {
				continue
			}
			i, seen := at[f.ARN]
			if !seen {
				i = len(results)
				at[f.ARN] = i
				results = append(results, Result{
					finding.Resource{ARN: f.ARN, Name: resourceName(f.ARN), Type: resourceType, Region: f.Region, Owner: f.Owner},
					finding.Failed("scanned", when(scan.Finished)), false,
				})
			}
			v := &results[i].Verdict
			v.Evidence = append(v.Evidence, finding.Evidence{Name: variableName(f), Value: string(f.Confidence) + ": " + f.Reason})
		}
		for _, u := range scan.Unread {
			if u.Place != place {
				continue
			}
			resource := finding.Resource{ARN: u.ARN, Name: resourceName(u.ARN), Type: resourceType, Region: u.Region}
			if u.ARN == "" {
				resource = whole
				resource.ARN = "arn:aws:" + string(place) + ":" + u.Region + ":" + e.Account + ":*"
				resource.Name, resource.Region = whole.Name+" in "+u.Region, u.Region
			}
			results = append(results, Result{resource, finding.Unreadable(u.Reason), u.ARN == ""})
		}
		for _, region := range e.Regions {
			if !slices.Contains(scan.Regions, region) {
				results = append(results, Result{finding.Resource{
					ARN: "arn:aws:" + string(place) + ":" + region + ":" + e.Account + ":*", Name: whole.Name + " in " + region, Type: "Other", Region: region,
				}, finding.Unreadable("the migration's scan left this region out"), true})
			}
		}
		if results == nil {
			results = append(results, Result{whole, finding.Passed(), false})
		}
		return results
	}
}

func variableName(f spec.ScanFinding) string {
	switch {
	case f.Container != "":
		return f.Container + "/" + f.Variable
	case f.Variable != "":
		return f.Variable
	default:
		return "the value"
	}
}

// resourceName returns what follows the account in an ARN, without the type.
func resourceName(arn string) string {
	fields := strings.SplitN(arn, ":", 6)
	name := fields[len(fields)-1]
	for _, kind := range []string{"function:", "task-definition/", "parameter"} {
		if rest, ok := strings.CutPrefix(name, kind); ok {
			return rest
		}
	}
	return name
}
