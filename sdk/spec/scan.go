package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// ScanKey is the key in the audit's bucket under which the migration's scan
// stores its newest result. The bucket's versions are the history.
const ScanKey = "scan/latest.json"

// ScanFunction ends the name of a stack's function that scans, and of its role:
// <organization>-<environment> stands before it.
const ScanFunction = "-migration-scan"

// ScanVersion is the version of the scan's JSON.
const ScanVersion = 1

// Scan is the result of the migration's scan for secrets that live outside of
// Secrets Manager: in the environment of Lambda functions and ECS task
// definitions, and in String parameters. It holds no value, nor anything that
// a value could be guessed from.
type Scan struct {
	Version  int           `json:"version"`  // ScanVersion
	Started  time.Time     `json:"started"`  // UTC
	Finished time.Time     `json:"finished"` // UTC
	Account  string        `json:"account"`
	Regions  []string      `json:"regions"`  // that were scanned
	Findings []ScanFinding `json:"findings"` // never null
	Unread   []ScanUnread  `json:"unread"`   // what couldn't be read; never null
}

// ScanFinding is a secret in plaintext.
type ScanFinding struct {
	Place      ScanPlace      `json:"place"`
	Region     string         `json:"region"`
	ARN        string         `json:"arn"`                 // of the function's version, the task definition's revision, the parameter
	Container  string         `json:"container,omitempty"` // of an ECS task definition
	Variable   string         `json:"variable,omitempty"`  // its name; empty for parameters
	Confidence ScanConfidence `json:"confidence"`
	Reason     string         `json:"reason"` // what gave it away, never a part of the value
	Owner      string         `json:"owner,omitempty"`
	SecretName string         `json:"secretName,omitempty"` // of the managed secret that is to take its place
}

// ScanUnread is something that the scan could not look into. It is not clean:
// it is unknown.
type ScanUnread struct {
	Place  ScanPlace `json:"place"`
	Region string    `json:"region"`
	ARN    string    `json:"arn,omitempty"` // empty: all of the place in the region
	Reason string    `json:"reason"`
}

// ScanPlace is a kind of place where secrets are in plaintext.
type ScanPlace string

// The places that are scanned.
const (
	ScanLambda ScanPlace = "lambda" // a variable of a function
	ScanECS    ScanPlace = "ecs"    // a variable of a container, in every active revision
	ScanSSM    ScanPlace = "ssm"    // a parameter of the type String or StringList
)

// ScanConfidence says how sure the scan is.
type ScanConfidence string

// The degrees of confidence.
const (
	ScanCertain  ScanConfidence = "certain"  // it has the form of a known credential
	ScanLikely   ScanConfidence = "likely"   // name and value say so
	ScanPossible ScanConfidence = "possible" // one of them says so: somebody must look
)

// ReadScan reads a scan's JSON and returns all that is wrong with it. Members
// that it doesn't know are let through: a newer scan may say more.
func ReadScan(r io.Reader) (Scan, error) {
	var scan Scan
	if err := json.NewDecoder(r).Decode(&scan); err != nil {
		return Scan{}, fmt.Errorf("read the migration's scan: %w", err)
	}
	if err := scan.Validate(); err != nil {
		return Scan{}, err
	}
	return scan, nil
}

// Validate returns all that is wrong with the scan, or nil.
func (s Scan) Validate() error {
	var errs []error
	if s.Version != ScanVersion {
		errs = append(errs, fmt.Errorf("version is %d: this program reads version %d", s.Version, ScanVersion))
	}
	if s.Finished.IsZero() || s.Finished.Before(s.Started) {
		errs = append(errs, errors.New("finished is missing or before started"))
	}
	for i, f := range s.Findings {
		if !f.Place.known() {
			errs = append(errs, fmt.Errorf("findings[%d]: place %q is unknown", i, f.Place))
		}
		if f.ARN == "" {
			errs = append(errs, fmt.Errorf("findings[%d]: arn is missing", i))
		}
	}
	for i, u := range s.Unread {
		if !u.Place.known() {
			errs = append(errs, fmt.Errorf("unread[%d]: place %q is unknown", i, u.Place))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("the migration's scan: %w", err)
	}
	return nil
}

func (p ScanPlace) known() bool { return p == ScanLambda || p == ScanECS || p == ScanSSM }
