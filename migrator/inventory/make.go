package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/discover/source"
	"github.com/aistudio/secrets/sdk/spec"
)

// Classifier gives verdicts. *classify.Classifier is one.
type Classifier interface {
	Classify(classify.Setting) classify.Verdict
}

// Options change what an inventory has. The zero Options are the defaults.
type Options struct {
	// Plain also lists settings that are no secret and belong to none.
	Plain bool
	// OwnerTags are the tags that name an owner, the first that is set. Empty:
	// spec.TagOwner.
	OwnerTags []string
	// Source is what a tree of source code holds.
	Source source.Result
}

// PlaceSource is where files that couldn't be read are.
const PlaceSource spec.ScanPlace = "source"

// Make makes the inventory of an estate. It calls nothing.
func Make(estate discover.Estate, classifier Classifier, key digest.Key, options Options) Inventory {
	if len(options.OwnerTags) == 0 {
		options.OwnerTags = []string{spec.TagOwner}
	}
	m := &maker{classifier: classifier, key: key, options: options, inventory: Inventory{
		Version: Version, Account: estate.Account, Region: estate.Region,
		Counts: Counts{
			Functions: len(estate.Functions), Services: len(estate.Services), TaskDefinitions: len(estate.TaskDefinitions),
			ScheduledTasks: len(estate.ScheduledTasks), Parameters: len(estate.Parameters),
		},
		Items: []Item{}, Source: []InFile{}, Shared: []Shared{}, Unread: []Unread{},
	}}
	for _, f := range estate.Functions {
		at := Item{Place: spec.ScanLambda, ARN: f.ARN, Name: f.Name, Owner: m.owner(f.Tags), ManagedBy: f.ManagedBy()}
		m.add(at, f.Settings)
		for _, v := range f.Versions {
			at.ARN, at.Name = f.ARN+":"+v.Number, f.Name+":"+v.Number
			m.add(at, v.Settings)
		}
	}
	for _, d := range estate.TaskDefinitions {
		at := Item{Place: spec.ScanECS, ARN: d.ARN, Name: d.ARN[strings.LastIndexByte(d.ARN, '/')+1:], Owner: m.owner(d.Tags), ManagedBy: d.ManagedBy()}
		m.addContainers(at, d.Containers)
	}
	for _, s := range estate.ScheduledTasks {
		m.addContainers(Item{Place: spec.ScanECS, ARN: s.ARN, Name: s.Name, Owner: m.owner(s.Tags), ManagedBy: s.ManagedBy()}, s.Overrides)
	}
	for _, p := range estate.Parameters {
		m.addParameter(p)
	}
	for _, u := range estate.Unread {
		m.inventory.Unread = append(m.inventory.Unread, Unread{u.Place, u.ARN, u.Reason})
	}
	m.addSource(options.Source)
	m.share()
	m.inventory.Counts.Unread = len(m.inventory.Unread)
	return m.inventory
}

type maker struct {
	classifier Classifier
	key        digest.Key
	options    Options
	inventory  Inventory
}

func (m *maker) owner(tags map[string]string) string {
	for _, tag := range m.options.OwnerTags {
		if owner := strings.TrimSpace(tags[tag]); owner != "" {
			return owner
		}
	}
	return ""
}

func (m *maker) addContainers(at Item, containers []discover.Container) {
	for _, c := range containers {
		at.Container = c.Name
		m.add(at, c.Settings)
		m.add(at, c.Arguments)
	}
}

// add adds the settings of one process.
func (m *maker) add(at Item, settings []classify.Setting) {
	groups, members := map[string]string{}, map[string]string{}
	for _, g := range classify.Related(settings) {
		for member, name := range g.Members {
			groups[name], members[name] = g.Prefix, member
		}
	}
	for _, s := range settings {
		item := at
		item.Variable, item.Group, item.Member = s.Name, groups[s.Name], members[s.Name]
		m.judge(item, s.Value, m.classifier.Classify(s))
	}
}

// addParameter leaves out a parameter without a value: it is in Unread, it is
// gone, or it wasn't looked for.
func (m *maker) addParameter(p discover.Parameter) {
	if p.Value.Len() == 0 {
		return
	}
	verdict := m.classifier.Classify(classify.Setting{Name: p.Name, Value: p.Value})
	if p.Type == discover.StringList {
		verdict = m.judgeList(p, verdict)
	}
	m.judge(Item{Place: spec.ScanSSM, ARN: p.ARN, Name: p.Name, Encrypted: p.Type == discover.SecureString}, p.Value, verdict)
}

// judgeList looks at the items of a list: one secret among them makes it one,
// by the surest verdict.
func (m *maker) judgeList(p discover.Parameter, whole classify.Verdict) classify.Verdict {
	best := whole
	for _, item := range strings.Split(p.Value.RevealString(), ",") {
		v := m.classifier.Classify(classify.Setting{Name: p.Name, Value: spec.ValueString(item)})
		if (v.Secret || v.Unknown) && (!best.Secret || v.Confidence > best.Confidence) {
			v.Reasons = append([]string{"an item of the list is one"}, v.Reasons...)
			best = v
		}
	}
	return best
}

func (m *maker) judge(item Item, value spec.Value, v classify.Verdict) {
	item.Secret, item.Unknown, item.Kind, item.Confidence, item.Reasons = v.Secret, v.Unknown, v.Kind, v.Confidence, v.Reasons
	counts := &m.inventory.Counts
	counts.Settings++
	switch {
	case v.Secret:
		item.Digest = m.key.Of(value)
		counts.Secrets++
		if !item.Encrypted {
			counts.Plaintext++
		}
	case v.Unknown:
		counts.Unknown++
	case item.Group == "" && !m.options.Plain:
		return
	}
	m.inventory.Items = append(m.inventory.Items, item)
}

func (m *maker) addSource(found source.Result) {
	for _, f := range found.Findings {
		m.inventory.Source = append(m.inventory.Source, InFile{
			File: f.File, Line: f.Line, Name: f.Name, Kind: f.Verdict.Kind, Confidence: f.Verdict.Confidence, Reasons: f.Verdict.Reasons, Digest: m.key.Of(f.Value),
		})
	}
	for _, u := range found.Unread {
		m.inventory.Unread = append(m.inventory.Unread, Unread{PlaceSource, u.File, u.Reason})
	}
	m.inventory.Counts.Source = len(m.inventory.Source)
}

// share finds the values that are in several places.
func (m *maker) share() {
	places := map[string][]string{}
	for _, item := range m.inventory.Items {
		if item.Secret {
			places[item.Digest] = append(places[item.Digest], item.where())
		}
	}
	for _, f := range m.inventory.Source {
		places[f.Digest] = append(places[f.Digest], fmt.Sprintf("%s:%d", f.File, f.Line))
	}
	m.inventory.Counts.Values = len(places)
	for _, d := range slices.Sorted(maps.Keys(places)) {
		if len(places[d]) > 1 {
			m.inventory.Shared = append(m.inventory.Shared, Shared{d, places[d]})
		}
	}
	slices.SortStableFunc(m.inventory.Shared, func(a, b Shared) int { return cmp.Compare(len(b.Places), len(a.Places)) })
}
