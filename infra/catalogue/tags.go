package catalogue

import "github.com/aistudio/secrets/sdk/spec"

// managedBy is the value of the tag ManagedBy.
const managedBy = "pulumi"

// Tags returns the tags of the secret and of what belongs to it alone.
func (s Secret) Tags() map[string]string {
	return map[string]string{
		spec.TagEnvironment:        s.Name.Environment,
		spec.TagService:            s.Name.Service,
		spec.TagOwner:              s.Owner,
		spec.TagSecretType:         s.Kind.String(),
		spec.TagDataClassification: s.DataClassification,
		spec.TagManagedBy:          managedBy,
	}
}

// Tags returns the tags of what serves many secrets, on behalf of a service or
// of the platform.
func (s Settings) Tags(service string) map[string]string {
	return map[string]string{
		spec.TagEnvironment: s.Environment,
		spec.TagService:     service,
		spec.TagOwner:       s.Owner,
		spec.TagManagedBy:   managedBy,
	}
}
