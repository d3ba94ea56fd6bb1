// Package scan turns inventories into the result of the migration's daily scan,
// which the auditor reads: see [spec.Scan].
package scan

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/aistudio/secrets/migrator/inventory"
	"github.com/aistudio/secrets/sdk/spec"
)

// Of returns the scan that the inventories of an account's regions make
// together. What a program has encrypted itself is unread: nobody knows.
func Of(account string, started, finished time.Time, inventories ...inventory.Inventory) spec.Scan {
	s := spec.Scan{
		Version: spec.ScanVersion, Started: started.UTC(), Finished: finished.UTC(), Account: account,
		Regions: []string{}, Findings: []spec.ScanFinding{}, Unread: []spec.ScanUnread{},
	}
	for _, i := range inventories {
		s.Regions = append(s.Regions, i.Region)
		for _, item := range i.Items {
			switch {
			case item.Secret && !item.Encrypted:
				s.Findings = append(s.Findings, finding(i.Region, item))
			case item.Unknown:
				s.Unread = append(s.Unread, spec.ScanUnread{Place: item.Place, Region: i.Region, ARN: item.ARN, Reason: unknown(item)})
			}
		}
		for _, u := range i.Unread {
			s.Unread = append(s.Unread, spec.ScanUnread{Place: u.Place, Region: i.Region, ARN: u.ARN, Reason: u.Reason})
		}
	}
	slices.SortStableFunc(s.Unread, func(a, b spec.ScanUnread) int {
		return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.Place, b.Place), cmp.Compare(a.ARN, b.ARN))
	})
	return s
}

func finding(region string, item inventory.Item) spec.ScanFinding {
	return spec.ScanFinding{
		Place: item.Place, Region: region, ARN: item.ARN, Container: item.Container, Variable: item.Variable,
		Confidence: confidence(item.Confidence), Reason: strings.Join(item.Reasons, ", "), Owner: item.Owner,
	}
}

func unknown(item inventory.Item) string {
	var what []string
	for _, part := range []string{item.Container, item.Variable} {
		if part != "" {
			what = append(what, part)
		}
	}
	return strings.Join(append(what, strings.Join(item.Reasons, ", ")), ": ")
}

// The degrees of confidence in numbers of package classify: what has the form of
// a credential, or is on a list, has 0.97 and more.
const (
	certain = 0.97
	likely  = 0.8
)

func confidence(of float64) spec.ScanConfidence {
	switch {
	case of >= certain:
		return spec.ScanCertain
	case of >= likely:
		return spec.ScanLikely
	default:
		return spec.ScanPossible
	}
}
