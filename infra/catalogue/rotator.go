package catalogue

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aistudio/secrets/sdk/spec"
)

// Rotator configures a rotation function. It works on the secrets of one kind
// that name it.
type Rotator struct {
	Kind                spec.Kind `mapstructure:"kind"`                // "": the rotator's name is a kind
	Program             string    `mapstructure:"program"`             // what dist/ has as rotate-<program>; "": the kind's own
	Architecture        string    `mapstructure:"architecture"`        // arm64 (default) or x86_64
	MemoryMB            int       `mapstructure:"memoryMb"`            // 128 (default) to 10240
	TimeoutSeconds      int       `mapstructure:"timeoutSeconds"`      // of a step, 1 to 900; 60 by default, 180 for api-key and custom
	ReservedConcurrency *int      `mapstructure:"reservedConcurrency"` // at least 1; absent: the account's unreserved pool
	LogLevel            string    `mapstructure:"logLevel"`            // debug, info (default), warn, error
	Layers              []string  `mapstructure:"layers"`              // ARNs of layer versions
	VPC                 *VPC      `mapstructure:"vpc"`                 // absent: outside of any
	Standby             Standby   `mapstructure:"standby"`             // what of these the function has in the second region

	// Of database rotators. Neither: the system's authorities.
	CAFile   string `mapstructure:"caFile"`   // authorities of the databases' certificates, a path in the function
	CABundle string `mapstructure:"caBundle"` // the same, a path from the folder of Pulumi.yaml; deployed in a layer

	// Of api-key rotators. Without an issuer, keys are generated.
	KeyPrefix string         `mapstructure:"keyPrefix"` // begins generated keys; "": the rotator's own
	Issuer    map[string]any `mapstructure:"issuer"`    // the admin API that issues keys, see the rotators' package apikey

	// Of custom rotators. With neither webhook nor applier, values are only
	// generated.
	Password map[string]any `mapstructure:"password"` // options of GetRandomPassword
	Webhook  map[string]any `mapstructure:"webhook"`  // what applies values, see the rotators' package custom
	Applier  string         `mapstructure:"applier"`  // ARN of the Lambda function that applies them
}

// Standby is what a rotation function has in the second region in place of what is
// of the first one alone. A function that has the one and not the other doesn't
// stand by.
type Standby struct {
	Layers []string `mapstructure:"layers"`
	VPC    *VPC     `mapstructure:"vpc"`
}

// StandsBy reports whether a function can be in a second region too.
func (r Rotator) StandsBy() bool {
	return (r.VPC == nil || r.Standby.VPC != nil) && (len(r.Layers) == 0 || len(r.Standby.Layers) > 0)
}

// VPC is where a rotation function reaches what it changes.
type VPC struct {
	ID               string   `mapstructure:"id"`
	SubnetIDs        []string `mapstructure:"subnetIds"`
	SecurityGroupIDs []string `mapstructure:"securityGroupIds"` // none: the stack makes one that reaches the databases and HTTPS
	Endpoints        []string `mapstructure:"endpoints"`        // services of AWS for which the stack makes an endpoint, such as secretsmanager
	RouteTableIDs    []string `mapstructure:"routeTableIds"`    // of the subnets, for the endpoints of dynamodb and s3
}

// MakesParts reports whether the stack makes something in the VPC.
func (v VPC) MakesParts() bool { return len(v.SecurityGroupIDs) == 0 || len(v.Endpoints) > 0 }

// endpoints are the services of AWS that a rotation function calls, and those that
// one of somebody's own may. Logs and traces leave a function by Lambda itself, and
// Secrets Manager uses the key.
var endpoints = []string{"dynamodb", "kms", "lambda", "logs", "monitoring", "rds", "s3", "secretsmanager", "ssm", "sts"}

// gateways are those of them whose endpoint is an entry in route tables.
var gateways = []string{"dynamodb", "s3"}

// Credentials returns the secrets beside the databases' masters that the
// function reads, by the path of their key in the rotator.
func (r Rotator) Credentials() map[string]string {
	found := map[string]string{}
	if admin, ok := r.Issuer["admin"].(map[string]any); ok {
		found["issuer.admin.secret"], _ = admin["secret"].(string)
	}
	if r.Webhook != nil {
		found["webhook.secret"], _ = r.Webhook["secret"].(string)
	}
	return found
}

const defaultMemoryMB = 128

// defaultTimeout leaves a step the time for the retries that its kind makes:
// issuers and webhooks may take a minute to know a new value.
func defaultTimeout(kind spec.Kind) time.Duration {
	switch kind {
	case spec.KindAPIKey, spec.KindCustom:
		return 3 * time.Minute
	default:
		return time.Minute
	}
}

func (s *Stack) readRotators(rotators map[string]Rotator, mistakes *MistakesError) {
	s.Rotators = make(map[string]Rotator, len(rotators))
	served := map[[2]string]string{} // who has the endpoint of a service in a VPC
	for _, name := range slices.Sorted(maps.Keys(rotators)) {
		rotator, path := rotators[name], KeyRotators+"."+name
		if rotator.Kind == "" {
			rotator.Kind = spec.Kind(name)
		}
		if _, err := spec.ParseKind(string(rotator.Kind)); err != nil {
			mistakes.add(path+".kind", "%s; only a rotator that is named like its kind can leave it out", err)
			continue
		}
		if function := spec.RotationFunction(s.Settings.Organization, s.Settings.Environment, name); !wordPattern.MatchString(name) || len(function) > maxFunctionName {
			mistakes.add(path, "is no name of a rotator: write up to 20 lower-case letters, digits and hyphens, so that %s has at most %d characters", function, maxFunctionName)
		}
		if rotator.Program == "" {
			rotator.Program = rotator.Kind.String()
		} else if !wordPattern.MatchString(rotator.Program) {
			mistakes.add(path+".program", "%q is no name of a program: write up to 20 lower-case letters, digits and hyphens", rotator.Program)
		}
		if rotator.Architecture == "" {
			rotator.Architecture = "arm64"
		}
		if rotator.MemoryMB == 0 {
			rotator.MemoryMB = defaultMemoryMB
		}
		if rotator.TimeoutSeconds == 0 {
			rotator.TimeoutSeconds = int(defaultTimeout(rotator.Kind) / time.Second)
		}
		if rotator.LogLevel == "" {
			rotator.LogLevel = "info"
		}
		rotator.validate(path, mistakes)
		rotator.validateKind(path, mistakes)
		s.validateStandby(path, rotator, mistakes)
		for _, place := range []struct {
			path string
			vpc  *VPC
		}{{path + ".vpc", rotator.VPC}, {path + ".standby.vpc", rotator.Standby.VPC}} {
			if place.vpc == nil {
				continue
			}
			for _, service := range place.vpc.Endpoints {
				endpoint := [2]string{place.vpc.ID, service}
				if other := served[endpoint]; other != "" && other != name {
					mistakes.add(place.path+".endpoints", "%s has the endpoint of %s in %s already: a VPC takes one", other, service, place.vpc.ID)
				}
				served[endpoint] = name
			}
		}
		s.Rotators[name] = rotator
	}
}

var (
	// Limits of Lambda (developer guide, "Lambda quotas"; API reference).
	layerPattern    = regexp.MustCompile(`^arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:layer:[\w-]+:[0-9]+$`)
	functionPattern = regexp.MustCompile(`^arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:[\w-]{1,64}$`)
	subnetPattern   = regexp.MustCompile(`^subnet-[0-9a-f]+$`)
	groupPattern    = regexp.MustCompile(`^sg-[0-9a-f]+$`)
	routesPattern   = regexp.MustCompile(`^rtb-[0-9a-f]+$`)
	vpcPattern      = regexp.MustCompile(`^vpc-[0-9a-f]+$`)
)

const maxFunctionName = 64

func (r Rotator) validate(path string, mistakes *MistakesError) {
	validateArchitecture(path+".architecture", r.Architecture, mistakes)
	if r.MemoryMB < 128 || r.MemoryMB > 10240 {
		mistakes.add(path+".memoryMb", "%d: Lambda takes 128 to 10240", r.MemoryMB)
	}
	if r.TimeoutSeconds < 1 || r.TimeoutSeconds > 900 {
		mistakes.add(path+".timeoutSeconds", "%d: Lambda takes 1 to 900", r.TimeoutSeconds)
	}
	if r.ReservedConcurrency != nil && *r.ReservedConcurrency < 1 {
		mistakes.add(path+".reservedConcurrency", "%d would keep the function from running: write at least 1, or leave it out", *r.ReservedConcurrency)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, r.LogLevel) {
		mistakes.add(path+".logLevel", "%q: write debug, info, warn or error", r.LogLevel)
	}
	r.validateLayers(path+".layers", r.Layers, mistakes)
	r.validateLayers(path+".standby.layers", r.Standby.Layers, mistakes)
	if r.VPC != nil {
		r.VPC.validate(path+".vpc", mistakes)
	}
	if r.Standby.VPC != nil {
		r.Standby.VPC.validate(path+".standby.vpc", mistakes)
	}
}

func (r Rotator) validateLayers(path string, layers []string, mistakes *MistakesError) {
	n := len(layers)
	if r.CABundle != "" {
		n++
	}
	if n > 5 {
		mistakes.add(path, "%d are too many: Lambda takes 5, that of caBundle among them", n)
	}
	for _, layer := range layers {
		if !layerPattern.MatchString(layer) {
			mistakes.add(path, "%q is no ARN of a layer's version", layer)
		}
	}
}

// validateStandby checks where a function is: Lambda takes layers of its own
// region only (API reference, CreateFunction).
func (s *Stack) validateStandby(path string, r Rotator, mistakes *MistakesError) {
	replica := s.Settings.ReplicaRegion
	if replica == "" && (r.Standby.VPC != nil || len(r.Standby.Layers) > 0) {
		mistakes.add(path+".standby", "is of a second region, and there is none: name it at %s.replicaRegion, or leave this out", KeySettings)
		return
	}
	for _, place := range []struct {
		path, region string
		layers       []string
	}{{path + ".layers", s.Region, r.Layers}, {path + ".standby.layers", replica, r.Standby.Layers}} {
		for _, layer := range place.layers {
			if layerPattern.MatchString(layer) && !strings.Contains(layer, ":lambda:"+place.region+":") {
				mistakes.add(place.path, "%s isn't of %s, where the function is", layer, place.region)
			}
		}
	}
}

func validateArchitecture(path, architecture string, mistakes *MistakesError) {
	if architecture != "arm64" && architecture != "x86_64" {
		mistakes.add(path, "%q: write arm64 or x86_64", architecture)
	}
}

func (v VPC) validate(path string, mistakes *MistakesError) {
	if len(v.SubnetIDs) == 0 {
		mistakes.add(path+".subnetIds", "is missing: name the subnets that the function runs in")
	}
	for _, id := range v.SubnetIDs {
		if !subnetPattern.MatchString(id) {
			mistakes.add(path+".subnetIds", "%q is no ID of a subnet", id)
		}
	}
	for _, id := range v.SecurityGroupIDs {
		if !groupPattern.MatchString(id) {
			mistakes.add(path+".securityGroupIds", "%q is no ID of a security group", id)
		}
	}
	for _, id := range v.RouteTableIDs {
		if !routesPattern.MatchString(id) {
			mistakes.add(path+".routeTableIds", "%q is no ID of a route table", id)
		}
	}
	for _, service := range gateways {
		if slices.Contains(v.Endpoints, service) && len(v.RouteTableIDs) == 0 {
			mistakes.add(path+".routeTableIds", "is missing: the endpoint of %s is an entry in the subnets' route tables", service)
		}
	}
	if v.MakesParts() && !vpcPattern.MatchString(v.ID) {
		mistakes.add(path+".id", "%q is no ID of a VPC: it is needed to make a security group or endpoints in it", v.ID)
	}
	for i, service := range v.Endpoints {
		if !slices.Contains(endpoints, service) || slices.Contains(v.Endpoints[:i], service) {
			mistakes.add(path+".endpoints", "%q: a rotation function calls %v; name each once", service, endpoints)
		}
	}
}

// validateKind refuses what the rotator's kind has no use for.
func (r Rotator) validateKind(path string, mistakes *MistakesError) {
	for _, field := range []struct {
		name string
		kind spec.Kind
		set  bool
	}{
		{"caFile", spec.KindDatabase, r.CAFile != ""},
		{"caBundle", spec.KindDatabase, r.CABundle != ""},
		{"keyPrefix", spec.KindAPIKey, r.KeyPrefix != ""},
		{"issuer", spec.KindAPIKey, r.Issuer != nil},
		{"password", spec.KindCustom, r.Password != nil},
		{"webhook", spec.KindCustom, r.Webhook != nil},
		{"applier", spec.KindCustom, r.Applier != ""},
	} {
		if field.set && r.Kind != field.kind {
			mistakes.add(path+"."+field.name, "belongs to rotators of %s secrets, and this one is for %s secrets", field.kind, r.Kind)
		}
	}
	for _, pair := range []struct {
		one, other string
		both       bool
	}{
		{"caFile", "caBundle", r.CAFile != "" && r.CABundle != ""},
		{"keyPrefix", "issuer", r.KeyPrefix != "" && r.Issuer != nil},
		{"webhook", "applier", r.Webhook != nil && r.Applier != ""},
	} {
		if pair.both {
			mistakes.add(path, "has both %s and %s: leave one out", pair.one, pair.other)
		}
	}
	if r.Issuer != nil && r.Credentials()["issuer.admin.secret"] == "" {
		mistakes.add(path+".issuer.admin.secret", "is missing: name the secret with the admin credential")
	}
	if r.Webhook != nil && r.Credentials()["webhook.secret"] == "" {
		mistakes.add(path+".webhook.secret", "is missing: name the secret that is the signing key")
	}
	if r.Applier != "" && !functionPattern.MatchString(r.Applier) {
		mistakes.add(path+".applier", "%q is no ARN of a Lambda function", r.Applier)
	}
}
