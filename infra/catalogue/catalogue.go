// Package catalogue reads what a stack declares: its settings, the services
// that read secrets, the database servers, the rotation functions, and the
// secrets themselves. All of it is plain data from Pulumi.<stack>.yaml and
// holds no secret value.
//
// Parse is strict: an unknown key, a wrong type or a value that can't work is a
// mistake, and all mistakes are reported at once, each with its key's path.
package catalogue

import (
	"strings"

	"github.com/aistudio/secrets/sdk/spec"
)

// Stack is a stack's configuration, checked.
type Stack struct {
	Region    string // where the secrets live, "aws:region"
	Settings  Settings
	Services  map[string]Service
	Databases map[string]DatabaseServer
	Rotators  map[string]Rotator // by name, which for most is their kind's
	Cache     Cache
	Events    Events
	Audit     Audit
	Budget    Budget
	Secrets   []Secret // ordered by name
}

// Settings hold for all of a stack.
type Settings struct {
	Organization       string      `mapstructure:"organization"`       // first segment of every name
	Environment        string      `mapstructure:"environment"`        // second segment of every name
	Owner              string      `mapstructure:"owner"`              // team that owns what the secrets share: key, functions
	Administrators     []Principal `mapstructure:"administrators"`     // who may manage keys and secrets; each exists, and the deployer is one
	ReplicaRegion      string      `mapstructure:"replicaRegion"`      // second region of keys and secrets; "": none
	RecoveryWindowDays int         `mapstructure:"recoveryWindowDays"` // 7 to 30; for deleted secrets and keys
	LogRetentionDays   int         `mapstructure:"logRetentionDays"`   // one of CloudWatch's periods
	Protect            bool        `mapstructure:"protect"`            // refuse to delete secrets and keys
}

// Prefix returns "<organization>-<environment>", with which the names of roles,
// policies and functions start.
func (s Settings) Prefix() string { return s.Organization + "-" + s.Environment }

// Service reads secrets. Either the stack makes a role for it, which AssumedBy
// may take on, or the service brings its own.
type Service struct {
	AssumedBy []string  `mapstructure:"assumedBy"` // service principals ("lambda.amazonaws.com") and Principals
	Role      Principal `mapstructure:"role"`      // an existing role
	Access    string    `mapstructure:"access"`    // named (default): each secret has a policy for its readers; byTag: one policy for all secrets of the service, by the tag Service
	Injected  bool      `mapstructure:"injected"`  // ECS injects the secrets: the role is the tasks' execution role and needs no cache

	// What else ECS needs of an execution role that the stack makes. Names are of
	// the stack's account and region.
	Repositories []string `mapstructure:"repositories"` // names or ARNs of the repositories of the images in ECR
	LogGroups    []string `mapstructure:"logGroups"`    // names of the log groups of the containers
}

// The ways in which a role may read its service's secrets.
const (
	accessNamed = "named"
	accessByTag = "byTag"
)

// ReadsByTag reports whether a service's role may read a secret because both have
// the service's tag. What other services share with it has a policy in any case.
func (s *Stack) ReadsByTag(service string, secret Secret) bool {
	return s.Services[service].ReadsByTag() && secret.Name.Service == service
}

// ReadsByTag reports whether the service's role may read what has its tag.
func (s Service) ReadsByTag() bool { return s.Access == accessByTag }

// Services returns the AWS services among AssumedBy.
func (s Service) Services() []string {
	var services []string
	for _, who := range s.AssumedBy {
		if isServicePrincipal(who) {
			services = append(services, who)
		}
	}
	return services
}

// Principals returns the account's principals among AssumedBy.
func (s Service) Principals() []Principal {
	var principals []Principal
	for _, who := range s.AssumedBy {
		if !isServicePrincipal(who) {
			principals = append(principals, Principal(who))
		}
	}
	return principals
}

func isServicePrincipal(who string) bool { return strings.HasSuffix(who, ".amazonaws.com") }

// DatabaseServer is where the users of database secrets live.
type DatabaseServer struct {
	Engine     string `mapstructure:"engine"` // one of spec.Engines
	Host       string `mapstructure:"host"`
	Port       int    `mapstructure:"port"`       // 0: the engine's own
	Master     string `mapstructure:"master"`     // name or ARN of the secret of the user who creates the others; not in the catalogue
	ServerName string `mapstructure:"serverName"` // in the server's certificate, where Host is an alias; "": Host
}

// FirstValue says where a secret's first value comes from. Rotation is switched
// on once there is one.
type FirstValue string

// Where first values come from.
const (
	ValueSeeded  FirstValue = "seeded"  // the rotation function makes it
	ValueAwaited FirstValue = "awaited" // somebody will put it
	ValuePresent FirstValue = "present" // somebody has put it
)

// Secret is an entry of the catalogue.
type Secret struct {
	Name               spec.Name
	Kind               spec.Kind
	Owner              string
	Description        string
	DataClassification string
	Readers            []string // services
	Value              FirstValue
	Database           DatabaseUser // of database secrets
	Rotator            string       // which rotation function works on it
	Schedule           *Schedule    // nil: not rotated, for the reason RotationDisabled
	RotationDisabled   string
}

// DatabaseUser is the user that a database secret is for.
type DatabaseUser struct {
	Server   string `mapstructure:"server"` // key of the stack's databases
	Username string `mapstructure:"username"`
	DBName   string `mapstructure:"dbname"` // "": the server's default
}

// Path returns "<service>/<secret>", the secret's key in the catalogue.
func (s Secret) Path() string { return s.Name.Service + "/" + s.Name.Secret }

// ID returns "<service>-<secret>", which names the secret's resources. It is
// unique in a stack.
func (s Secret) ID() string { return s.Name.Service + "-" + s.Name.Secret }

// Rotates reports whether the rotation of the secret can be switched on: it has
// a schedule and a value.
func (s Secret) Rotates() bool { return s.Schedule != nil && s.Value != ValueAwaited }

// NeedsRotator reports whether a rotation function works on the secret.
func (s Secret) NeedsRotator() bool { return s.Rotates() || s.Value == ValueSeeded }
