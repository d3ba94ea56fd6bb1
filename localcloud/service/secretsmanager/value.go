package secretsmanager

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

const (
	defaultKey  = "alias/aws/secretsmanager"
	maxValue    = 65536
	maxStages   = 20
	maxVersions = 100
	// versionAge is how long a version stays whatever their number.
	versionAge = 24 * time.Hour
	// versionQuota is where the emulator refuses a further version: the 100
	// that are kept and one every ten minutes of the day for which none is
	// removed, the rate that AWS calls sustainable. AWS names no figure.
	versionQuota = maxVersions + 24*6
)

// customKey is the key of a secret as DescribeSecret shows it: nothing for the
// account's default key.
func customKey(id string) string {
	if id == defaultKey || strings.HasSuffix(id, ":"+defaultKey) {
		return ""
	}
	return id
}

// value is a secret value in the clear, on its way in or out.
type value struct {
	data   []byte
	binary bool
}

// valueOf reads the two members that carry a value; nil when neither is there.
func valueOf(text *string, binary []byte) (*value, error) {
	if text != nil && binary != nil {
		return nil, errParameter("You can't specify both a binary secret value and a string secret value in the same secret.")
	}
	var c constraints
	switch {
	case text != nil:
		c.size("secretString", "", len(*text), 1, maxValue)
		return &value{data: []byte(*text)}, c.err()
	case binary != nil:
		c.size("secretBinary", "", len(binary), 1, maxValue)
		return &value{data: binary, binary: true}, c.err()
	}
	return nil, nil
}

func (v *value) equal(other *value) bool {
	return v.binary == other.binary && bytes.Equal(v.data, other.data)
}

// members are the two members that carry a value in a reply.
func (v *value) members() (text *string, binary []byte) {
	if v.binary {
		return nil, v.data
	}
	t := string(v.data)
	return &t, nil
}

// onBehalf is the caller as KMS sees them when Secrets Manager calls for them.
func onBehalf(caller api.Caller, region string) api.Caller {
	caller.Via = "secretsmanager." + region + ".amazonaws.com"
	return caller
}

// encryptionContext binds a ciphertext to its place: see "Secret encryption and
// decryption" in the user guide.
func (sec *secret) encryptionContext(versionID string) map[string]string {
	return map[string]string{"SecretARN": sec.arn(), "SecretVersionId": versionID}
}

// keyARN names the secret's key, which is in the secret's own account whoever
// calls, unless the secret's configuration says otherwise by an ARN.
func (sec *secret) keyARN() string {
	switch id := sec.kmsKeyID; {
	case id == "":
		return api.ARN("kms", sec.region, sec.account, defaultKey)
	case strings.HasPrefix(id, "arn:"):
		return id
	case strings.HasPrefix(id, "alias/"):
		return api.ARN("kms", sec.region, sec.account, id)
	default:
		return api.ARN("kms", sec.region, sec.account, "key/"+id)
	}
}

// seal encrypts val into v under the secret's key, in the name of the caller.
func (s *Service) seal(ctx context.Context, caller api.Caller, sec *secret, v *version, val *value) error {
	ciphertext, keyARN, err := s.keys.Encrypt(ctx, onBehalf(caller, sec.region), sec.region, sec.keyARN(), val.data, sec.encryptionContext(v.id))
	if err != nil {
		return keyError(err, "EncryptionFailure", "Secrets Manager can't encrypt the protected secret text using the provided KMS key.")
	}
	v.ciphertext, v.boundTo, v.binary = ciphertext, v.id, val.binary
	v.keyARN, v.defaultKey = keyARN, sec.kmsKeyID == ""
	return nil
}

// unseal decrypts a version in the name of the caller.
func (s *Service) unseal(ctx context.Context, caller api.Caller, sec *secret, v *version) (*value, error) {
	data, err := s.keys.Decrypt(ctx, onBehalf(caller, sec.region), sec.region, v.ciphertext, sec.encryptionContext(v.boundTo))
	if err != nil {
		return nil, keyError(err, "DecryptionFailure", "Secrets Manager can't decrypt the protected secret text using the provided KMS key.")
	}
	return &value{data: data, binary: v.binary}, nil
}

// prune removes the oldest versions without a label: all but the 100 most
// recent, and none younger than a day.
func (sec *secret) prune(now time.Time) {
	excess := -maxVersions
	for _, v := range sec.versions {
		if len(v.stages) == 0 {
			excess++
		}
	}
	sec.versions = slices.DeleteFunc(sec.versions, func(v *version) bool {
		if excess <= 0 || len(v.stages) > 0 || now.Sub(v.created) < versionAge {
			return false
		}
		excess--
		return true
	})
}

// room reports as an error that the secret can't take one more version or the
// given labels.
func (sec *secret) room(now time.Time, stages []string) error {
	sec.prune(now)
	if len(sec.versions) >= versionQuota {
		return api.Errorf("LimitExceededException",
			"The secret has %d versions. Secrets Manager removes versions without staging labels when they are a day old.", len(sec.versions))
	}
	return sec.roomForStages(stages)
}

func (sec *secret) roomForStages(stages []string) error {
	all := map[string]bool{}
	for _, stage := range stages {
		all[stage] = true
	}
	for _, v := range sec.versions {
		for _, stage := range v.stages {
			all[stage] = true
		}
	}
	if len(all) > maxStages {
		return api.Errorf("LimitExceededException", "A secret can't have more than %d staging labels.", maxStages)
	}
	return nil
}
