package cost

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/aistudio/secrets/infra/catalogue"
)

// Key is the key of a stack's configuration whose members are assumptions.
const Key = catalogue.Namespace + ":cost"

// Assumption is a number that a stack's configuration doesn't say.
type Assumption struct {
	Name    string // as the configuration writes it: readsPerDay
	Default float64
	Meaning string
}

// Flag returns the name as a flag of a command: reads-per-day.
func (a Assumption) Flag() string {
	var b strings.Builder
	for _, r := range a.Name {
		if unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Assumptions returns all assumptions with their defaults.
func Assumptions() []Assumption {
	return []Assumption{
		{"instances", 4, "processes, or Lambda execution environments, of each service that are alive at a time"},
		{"readsPerDay", 20_000, "reads of each of its secrets that one of them makes in a day"},
		{"restartsPerDay", 12, "times a day that one of them is replaced, by one with an empty cache"},
		{"feedSeconds", 30, "between two requests of a cache to the rotation feed"},
		{"stepSeconds", 3, "that a step of a rotation takes"},
		{"auditSeconds", 30, "that an audit takes, and as long a scan for plaintext"},
		{"retries", 1.1, "attempts of a rotation, on average"},
		{"keys", 3, "keys in the primary region: of the secrets, the alerts, the trail"},
		{"keyRotations", 0, "yearly rotations that each key has behind it, of which AWS charges for two"},
		{"otherAlarms", 15, "metrics with an alarm beside those of functions, of which each has three, and of queues"},
		{"dashboards", 1, "dashboards"},
		{"dailyMetrics", 41, "custom metrics that are sent once a day: the audit's by rule and severity, the scan's; AWS charges for the hours in which a metric is sent"},
		{"hourlyMetrics", 8, "custom metrics that are sent in every hour: the trail's counts, the caches' reads"},
		{"logGb", 1, "GB of logs a month, the trail's among them"},
		{"reportGb", 2, "GB of reports and of the trail's files that are kept"},
		{"mails", 60, "alerts by email a month"},
		{"otherTrails", 0, "trails that the account has beside the stack's: then the stack's events aren't free"},
		{"writesPerDay", 5000, "management events a day that a trail logs beside the reads of secrets"},
	}
}

// Values are assumptions by name.
type Values map[string]float64

// Defaults returns the default of every assumption.
func Defaults() Values {
	v := Values{}
	for _, a := range Assumptions() {
		v[a.Name] = a.Default
	}
	return v
}

// Read returns the defaults with what a stack's configuration says in their
// place: text is the JSON of Key's value, or empty. The error tells all mistakes.
func Read(text string) (Values, error) {
	v := Defaults()
	if text == "" {
		return v, nil
	}
	var written map[string]any
	if err := json.Unmarshal([]byte(text), &written); err != nil {
		return nil, fmt.Errorf("%s is not an object: write a key and a number a line", Key)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(written)) {
		number, ok := written[name].(float64)
		if _, known := v[name]; !known {
			errs = append(errs, fmt.Errorf("%s.%s is unknown: there are %s", Key, name, strings.Join(slices.Sorted(maps.Keys(v)), ", ")))
		} else if !ok {
			errs = append(errs, fmt.Errorf("%s.%s is no number", Key, name))
		} else {
			v[name] = number
		}
	}
	return v, errors.Join(append(errs, v.Validate())...)
}

// Validate returns all that is wrong with the values, or nil.
func (v Values) Validate() error {
	var errs []error
	for _, a := range Assumptions() {
		switch n := v[a.Name]; {
		case n < 0, math.IsNaN(n), math.IsInf(n, 0):
			errs = append(errs, fmt.Errorf("%s.%s is %g: write a number of at least 0", Key, a.Name, n))
		case n == 0 && a.Name == "feedSeconds":
			errs = append(errs, fmt.Errorf("%s.%s is 0: write the seconds between two requests", Key, a.Name))
		case n < 1 && a.Name == "retries":
			errs = append(errs, fmt.Errorf("%s.%s is %g: a rotation has at least one attempt", Key, a.Name, n))
		}
	}
	return errors.Join(errs...)
}
