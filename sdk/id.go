package secrets

import "strings"

// An id of a secret is its name, its ARN or its ARN without the hyphen and the
// six random characters at the end:
//
//	arn:aws:secretsmanager:eu-west-1:123456789012:secret:acme/dev/shop/db-a1B2c3
//
// The ARNs of a secret and its replicas differ in the region only (user guide,
// "Replicate secrets across Regions").

const (
	arnParts  = 7 // arn, partition, service, region, account, "secret", name
	arnRegion = 3
	arnSuffix = 7 // the hyphen and the random characters
)

// splitARN returns the parts of an ARN; ok tells whether it is a secret's.
func splitARN(id string) (parts []string, ok bool) {
	parts = strings.SplitN(id, ":", arnParts)
	return parts, len(parts) == arnParts && parts[0] == "arn"
}

// inRegion returns an ARN as it is in another region, and names as they are.
func inRegion(id, region string) string {
	parts, ok := splitARN(id)
	if !ok {
		return id
	}
	parts[arnRegion] = region
	return strings.Join(parts, ":")
}

// sameSecret tells whether id is the secret's, in whichever of its regions.
func sameSecret(secret Secret, id string) bool {
	if _, ok := splitARN(id); !ok {
		return id == secret.Name
	}
	have, want := inRegion(secret.ARN, ""), inRegion(id, "")
	return have == want || len(have) == len(want)+arnSuffix && strings.HasPrefix(have, want+"-")
}
