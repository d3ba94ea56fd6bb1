package plan

import (
	"strings"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/settings"
)

// Classifier tells which settings are secrets. *classify.Classifier is one.
type Classifier interface {
	Classify(classify.Setting) classify.Verdict
}

// maker makes one plan.
type maker struct {
	settings   settings.Settings
	estate     discover.Estate
	classifier Classifier
	key        digest.Key
	facts      Facts

	parameters  map[string]*discover.Parameter      // by name and by ARN
	definitions map[string]*discover.TaskDefinition // by ARN, and the newest of a family by its ARN without a revision
	services    []*candidate                        // by ID
	plan        Plan
}

// Make makes the plan for an estate. It calls nothing and is deterministic: the
// same estate, key and facts give the same plan, in whatever order the estate's
// lists are. With the zero Facts it is a draft that tells what to ask AWS for;
// see ReadFacts.
func Make(s settings.Settings, estate discover.Estate, classifier Classifier, key digest.Key, facts Facts) (Plan, error) {
	m := newMaker(s, estate, classifier, key, facts)
	wants := m.wants()
	m.nameAll(wants)
	m.addSecrets(wants)
	m.addServices(wants)
	m.addGrants()
	m.block()
	m.order()
	return m.plan, m.plan.Validate()
}

func newMaker(s settings.Settings, estate discover.Estate, classifier Classifier, key digest.Key, facts Facts) *maker {
	m := &maker{
		settings: s, estate: estate, classifier: classifier, key: key, facts: facts,
		parameters: map[string]*discover.Parameter{}, definitions: map[string]*discover.TaskDefinition{},
		plan: Plan{
			Version: Version, Stack: s.Stack, Organization: s.Organization, Environment: s.Environment,
			Account: estate.Account, Region: estate.Region, KMSKey: s.KMSKey, Mode: Mode(s.Mode),
		},
	}
	for i := range estate.Parameters {
		p := &estate.Parameters[i]
		m.parameters[p.Name], m.parameters[p.ARN] = p, p
	}
	for i := range estate.TaskDefinitions {
		d := &estate.TaskDefinitions[i]
		m.definitions[d.ARN] = d
		family := d.ARN[:max(0, strings.LastIndexByte(d.ARN, ':'))]
		if newest := m.definitions[family]; d.Active && (newest == nil || newest.Revision < d.Revision) {
			m.definitions[family] = d
		}
	}
	m.services = m.candidates()
	return m
}
