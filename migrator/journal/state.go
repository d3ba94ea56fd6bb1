package journal

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/aistudio/secrets/migrator/plan"
)

// State is what a journal adds up to: the last entry of each subject.
type State struct {
	Secrets    map[string]Secret    // by name
	Grants     map[string]Grant     // by the role's ARN and the policy's name, joined by a space
	Services   map[string]Service   // by ID
	Parameters map[string]Parameter // by name
	Revisions  map[string]Revision  // by ARN
	Started    time.Time            // of the first entry; zero: there is none
	Ended      time.Time            // of the last
}

func newState() State {
	return State{
		Secrets: map[string]Secret{}, Grants: map[string]Grant{}, Services: map[string]Service{},
		Parameters: map[string]Parameter{}, Revisions: map[string]Revision{},
	}
}

// Key is the grant's in State.Grants.
func (g Grant) Key() string { return g.Role + " " + g.PolicyName }

// Live tells whether the service is at the new secrets, or may be: its switch
// has begun and wasn't undone.
func (s Service) Live() bool {
	return slices.Contains([]Status{Switching, Switched, Healthy, Returning, Restoring, Cleaning, Cleaned}, s.Status)
}

// Done tells whether the service is at the new secrets and did well.
func (s Service) Done() bool {
	return slices.Contains([]Status{Healthy, Cleaning, Cleaned}, s.Status)
}

// Holds tells whether the variable is among those that moved.
func (s Service) Holds(v plan.Variable) bool {
	return slices.ContainsFunc(s.Variables, func(x Variable) bool {
		return plan.Variable{Container: x.Container, Name: x.Name, Secret: x.Secret, Field: x.Field, Parameter: x.Parameter} == v
	})
}

// Cleaned tells whether a cleanup has begun: there is no way back by a rollback
// after that.
func (s State) Cleaned() bool {
	for _, x := range s.Services {
		if x.Status == Cleaning || x.Status == Cleaned {
			return true
		}
	}
	for _, p := range s.Parameters {
		if p.Status == Deleting || p.Status == Deleted {
			return true
		}
	}
	return false
}

// LastSwitch is when the last of the services that are at the new secrets became
// healthy, from which a soak counts. It is zero if there is none.
func (s State) LastSwitch() time.Time {
	var last time.Time
	for _, x := range s.Services {
		if x.Live() && x.Switched.After(last) {
			last = x.Switched
		}
	}
	return last
}

// add takes an entry in.
func (s *State) add(e Entry) error {
	if s.Started.IsZero() {
		s.Started = e.Time
	}
	s.Ended = e.Time
	switch {
	case e.Secret != nil:
		x := *e.Secret
		x.Time = e.Time
		s.Secrets[x.Name] = x
	case e.Grant != nil:
		x := *e.Grant
		x.Time = e.Time
		s.Grants[x.Key()] = x
	case e.Service != nil:
		x := *e.Service
		x.Time, x.By = e.Time, e.Act
		switch {
		case x.Status == Healthy && e.Act != Cleanup: // which takes old values out that a soak has shown to be of no use
			x.Switched = e.Time
		case x.Live():
			x.Switched = s.Services[x.ID].Switched
		}
		s.Services[x.ID] = x
	case e.Parameter != nil:
		x := *e.Parameter
		x.Time = e.Time
		s.Parameters[x.Name] = x
	case e.Revision != nil:
		x := *e.Revision
		x.Time = e.Time
		s.Revisions[x.ARN] = x
	default:
		return errors.New("it has no subject")
	}
	return nil
}

func (s State) clone() State {
	s.Secrets, s.Grants, s.Services = maps.Clone(s.Secrets), maps.Clone(s.Grants), maps.Clone(s.Services)
	s.Parameters, s.Revisions = maps.Clone(s.Parameters), maps.Clone(s.Revisions)
	return s
}

// Secret returns what is known of the secret, or the zero Secret.
func (s State) Secret(name string) Secret { return s.Secrets[name] }

// Service returns what is known of the service, or the zero Service.
func (s State) Service(id string) Service { return s.Services[id] }

// Grant returns what is known of the grant of the key, or the zero Grant.
func (s State) Grant(key string) Grant { return s.Grants[key] }
