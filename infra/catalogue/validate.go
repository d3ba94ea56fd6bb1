package catalogue

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/aistudio/secrets/sdk/spec"
)

var (
	regionPattern = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
	// Lambda's function names hold the least of what these words end up in.
	wordPattern    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,19}$`)
	servicePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,29}$`)
	// ECR's names (API reference, CreateRepository), and their ARNs.
	repositoryPattern = regexp.MustCompile(`^(arn:aws[a-z-]*:ecr:[a-z0-9-]+:[0-9]{12}:repository/)?[a-z0-9]+([._/-]+[a-z0-9]+)*$`)
	principalService  = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com$`)
)

// logRetentions are the periods that CloudWatch Logs takes, in days (API
// reference, PutRetentionPolicy).
var logRetentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// Limits of IAM (user guide, "IAM and AWS STS quotas").
const (
	maxRoleName     = 64
	maxPolicyName   = 128
	maxRolePolicies = 10   // managed policies of a role
	maxRotatorARNs  = 8000 // characters of what a rotator reaches, of the 10,240 of its policy
)

func (s *Stack) validateRegions(mistakes *MistakesError) {
	if !regionPattern.MatchString(s.Region) {
		mistakes.add(KeyRegion, "%q is no region", s.Region)
	}
	if replica := s.Settings.ReplicaRegion; replica != "" {
		if !regionPattern.MatchString(replica) {
			mistakes.add(KeySettings+".replicaRegion", "%q is no region", replica)
		}
		if replica == s.Region {
			mistakes.add(KeySettings+".replicaRegion", "is the region of the secrets themselves: name another, or leave it out")
		}
	}
}

func (s *Stack) validateSettings(mistakes *MistakesError) {
	settings := s.Settings
	for _, word := range []struct{ key, value string }{
		{"organization", settings.Organization},
		{"environment", settings.Environment},
	} {
		if !wordPattern.MatchString(word.value) {
			mistakes.add(KeySettings+"."+word.key, "%q: write up to 20 lower-case letters, digits and hyphens", word.value)
		}
	}
	if settings.Owner == "" {
		mistakes.add(KeySettings+".owner", "is missing: name the team to ask")
	}
	if len(settings.Administrators) == 0 {
		mistakes.add(KeySettings+".administrators", "is missing: list who may manage keys and secrets, the deployer among them")
	}
	for _, administrator := range settings.Administrators {
		mistakes.addErr(KeySettings+".administrators", administrator.validate())
	}
	if days := settings.RecoveryWindowDays; days < 7 || days > 30 {
		mistakes.add(KeySettings+".recoveryWindowDays", "%d: AWS takes 7 to 30 days", days)
	}
	if days := settings.LogRetentionDays; !slices.Contains(logRetentions, days) {
		mistakes.add(KeySettings+".logRetentionDays", "%d: CloudWatch takes one of %v", days, logRetentions)
	}
}

func (s *Stack) validateServices(mistakes *MistakesError) {
	for _, name := range slices.Sorted(maps.Keys(s.Services)) {
		service, path := s.Services[name], KeyServices+"."+name
		if !servicePattern.MatchString(name) {
			mistakes.add(path, "is no name of a service: write up to 30 letters, digits, - and _")
		}
		if role := spec.ReaderRole(s.Settings.Organization, s.Settings.Environment, name); len(role) > maxRoleName {
			mistakes.add(path, "is too long: the name of its role, %s, has %d characters and IAM takes %d", role, len(role), maxRoleName)
		}
		if a := service.Access; a != "" && a != accessNamed && a != accessByTag {
			mistakes.add(path+".access", "%q: write %s or %s", a, accessNamed, accessByTag)
		}
		if service.Injected && service.Role == "" && !slices.Contains(service.AssumedBy, "ecs-tasks.amazonaws.com") {
			mistakes.add(path+".injected", "is for tasks of ECS, and ecs-tasks.amazonaws.com isn't in assumedBy")
		}
		service.validateTask(path, mistakes)
		if (len(service.AssumedBy) == 0) == (service.Role == "") {
			mistakes.add(path, "write either assumedBy, who may take on the role that the stack makes, or role, one that exists")
		}
		for _, who := range service.Services() {
			if !principalService.MatchString(who) {
				mistakes.add(path+".assumedBy", "%q is no AWS service", who)
			}
		}
		for _, who := range service.Principals() {
			mistakes.addErr(path+".assumedBy", who.validate())
		}
		if service.Role != "" && !strings.HasPrefix(string(service.Role), "role/") {
			mistakes.add(path+".role", "%q: write role/<path/name>", service.Role)
		} else if service.Role != "" {
			mistakes.addErr(path+".role", service.Role.validate())
		}
	}
}

// validateTask checks what ECS needs of an execution role.
func (s Service) validateTask(path string, mistakes *MistakesError) {
	for _, field := range []struct {
		name    string
		values  []string
		pattern *regexp.Regexp
		hint    string
	}{
		{"repositories", s.Repositories, repositoryPattern, "write the name of a repository in ECR, or its ARN"},
		{"logGroups", s.LogGroups, logGroupPattern, "write up to 512 letters, digits and . - _ / #"},
	} {
		if len(field.values) > 0 && (!s.Injected || s.Role != "") {
			mistakes.add(path+"."+field.name, "is for the execution role that the stack makes: write injected: true and assumedBy, or leave it out")
		}
		for _, value := range field.values {
			if !field.pattern.MatchString(value) {
				mistakes.add(path+"."+field.name, "%q: %s", value, field.hint)
			}
		}
	}
}

func (s *Stack) validateDatabases(mistakes *MistakesError) {
	for _, name := range slices.Sorted(maps.Keys(s.Databases)) {
		server, path := s.Databases[name], KeyDatabases+"."+name
		if !slices.Contains(spec.Engines(), server.Engine) {
			mistakes.add(path+".engine", "%q is unknown: write one of %s", server.Engine, strings.Join(spec.Engines(), ", "))
		}
		if server.Host == "" {
			mistakes.add(path+".host", "is missing")
		}
		if server.Port < 0 || server.Port > 65535 {
			mistakes.add(path+".port", "%d is no port", server.Port)
		}
		if server.Master == "" {
			mistakes.add(path+".master", "is missing: name the secret of the user who creates the others")
		}
	}
}

// validateTogether checks what no entry can know alone.
func (s *Stack) validateTogether(mistakes *MistakesError) {
	ids := map[string]string{}
	read := map[string]int{}
	arns, counted := map[string]int{}, map[[2]string]bool{}
	for _, secret := range s.Secrets {
		path := KeyCatalogue + "." + secret.Path()
		if other, ok := ids[secret.ID()]; ok && secret.Name != (spec.Name{}) {
			mistakes.add(path, "would have the same resource names as %s: both become %s", other, secret.ID())
		}
		ids[secret.ID()] = secret.Path()
		for _, path := range slices.Sorted(maps.Keys(s.Credentials())) {
			if s.Credentials()[path] == secret.Name.String() {
				mistakes.add(path, "%s is in the catalogue: its value must be there before this stack can use it, so it must come from elsewhere", secret.Name)
			}
		}
		if name := s.Settings.Prefix() + "-" + secret.ID() + "-read"; len(name) > maxPolicyName {
			mistakes.add(path, "is too long: the name of its policy, %s, has %d characters and IAM takes %d", name, len(name), maxPolicyName)
		}
		for _, reader := range secret.Readers {
			if !s.ReadsByTag(reader, secret) {
				read[reader]++
			}
		}
		if secret.NeedsRotator() {
			arns[secret.Rotator] += s.arnLength(secret.Name.String())
			for path, id := range s.CredentialsOf(secret) {
				reached := [2]string{secret.Rotator, path}
				if !counted[reached] {
					// To read it, with its key and, where RDS manages it, to find its server.
					arns[secret.Rotator] += 3*s.arnLength(id) + len(`"arn:aws-us-gov:kms::123456789012:key/mrk-00000000000000000000000000000000",`) + len(s.Region)
				}
				counted[reached] = true
			}
		}
	}
	for _, rotator := range slices.Sorted(maps.Keys(arns)) {
		if arns[rotator] > maxRotatorARNs {
			mistakes.add(KeyCatalogue, "has too many secrets and servers for the policy of one rotation function, %s: give some another one in %s", rotator, KeyRotators)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(read)) {
		if read[name] > maxRolePolicies {
			mistakes.add(KeyServices+"."+name, "reads %d secrets, each by a policy of its own, and a role takes %d: write access: byTag, or split the service", read[name], maxRolePolicies)
		}
	}
}

// arnLength is how long the ARN of a secret is in a policy, by its name or ARN.
func (s *Stack) arnLength(id string) int {
	if strings.HasPrefix(id, "arn:") {
		return len(id) + len(`"",`)
	}
	return len(`"arn:aws-us-gov:secretsmanager::123456789012:secret:-abcdef",`) + len(s.Region) + len(id)
}

// CredentialsOf returns those of Credentials that the rotation of a secret needs.
func (s *Stack) CredentialsOf(secret Secret) map[string]string {
	found := map[string]string{}
	if server, there := s.Databases[secret.Database.Server]; there {
		found[KeyDatabases+"."+secret.Database.Server+".master"] = server.Master
	}
	for key, id := range s.Rotators[secret.Rotator].Credentials() {
		found[KeyRotators+"."+secret.Rotator+"."+key] = id
	}
	return found
}

// Credentials returns the secrets that the rotation functions read beside their
// own, by the path of their key. They are none of the stack's.
func (s *Stack) Credentials() map[string]string {
	found := map[string]string{}
	for name, server := range s.Databases {
		found[KeyDatabases+"."+name+".master"] = server.Master
	}
	for name, rotator := range s.Rotators {
		for key, id := range rotator.Credentials() {
			found[KeyRotators+"."+name+"."+key] = id
		}
	}
	return found
}
