// Package kms is the local cloud's AWS Key Management Service: symmetric keys,
// real AES-256-GCM bound to the encryption context, aliases, key policies,
// rotation and multi-region keys. Asymmetric and HMAC keys, grants, custom key
// stores and imported material are refused.
package kms

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is AWS Key Management Service.
type Service struct {
	env *api.Env

	mu      sync.Mutex
	keys    map[place]map[string]*key   // by key id
	aliases map[place]map[string]*alias // by name, with "alias/"
}

// place is where state lives.
type place struct{ account, region string }

// key is one KMS key of one region. Replicas share their material.
type key struct {
	place       place
	id          string
	arn         string
	description string
	created     time.Time
	manager     string // CUSTOMER or AWS
	enabled     bool
	deletion    time.Time // zero unless it is to be deleted
	policy      string
	tags        map[string]string
	material    *material
	multiRegion bool
	primary     bool
}

type alias struct {
	name, arn, keyID string
	created, updated time.Time
}

// New makes a KMS without keys.
func New(env *api.Env) *Service {
	return &Service{
		env:     env,
		keys:    map[place]map[string]*key{},
		aliases: map[place]map[string]*alias{},
	}
}

// Name implements api.Service.
func (s *Service) Name() string { return "kms" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.JSONRPC{Version: "1.1"} }

// SensitiveMembers implements api.Sensitive: CloudTrail shows neither what is
// encrypted nor what comes out.
func (s *Service) SensitiveMembers() []string {
	return []string{"Plaintext", "CiphertextBlob", "Policy"}
}

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{
		"CreateKey":                       api.JSON(s.createKey),
		"DescribeKey":                     api.JSON(s.describeKey),
		"ListKeys":                        api.JSON(s.listKeys),
		"EnableKey":                       api.JSON(s.enableKey),
		"DisableKey":                      api.JSON(s.disableKey),
		"ScheduleKeyDeletion":             api.JSON(s.scheduleKeyDeletion),
		"CancelKeyDeletion":               api.JSON(s.cancelKeyDeletion),
		"UpdateKeyDescription":            api.JSON(s.updateKeyDescription),
		"EnableKeyRotation":               api.JSON(s.enableKeyRotation),
		"DisableKeyRotation":              api.JSON(s.disableKeyRotation),
		"GetKeyRotationStatus":            api.JSON(s.getKeyRotationStatus),
		"RotateKeyOnDemand":               api.JSON(s.rotateKeyOnDemand),
		"ListKeyRotations":                api.JSON(s.listKeyRotations),
		"ReplicateKey":                    api.JSON(s.replicateKey),
		"UpdatePrimaryRegion":             api.JSON(s.updatePrimaryRegion),
		"CreateAlias":                     api.JSON(s.createAlias),
		"UpdateAlias":                     api.JSON(s.updateAlias),
		"DeleteAlias":                     api.JSON(s.deleteAlias),
		"ListAliases":                     api.JSON(s.listAliases),
		"PutKeyPolicy":                    api.JSON(s.putKeyPolicy),
		"GetKeyPolicy":                    api.JSON(s.getKeyPolicy),
		"ListKeyPolicies":                 api.JSON(s.listKeyPolicies),
		"TagResource":                     api.JSON(s.tagResource),
		"UntagResource":                   api.JSON(s.untagResource),
		"ListResourceTags":                api.JSON(s.listResourceTags),
		"Encrypt":                         api.JSON(s.encrypt),
		"Decrypt":                         api.JSON(s.decrypt),
		"ReEncrypt":                       api.JSON(s.reEncrypt),
		"GenerateDataKey":                 api.JSON(s.generateDataKey),
		"GenerateDataKeyWithoutPlaintext": api.JSON(s.generateDataKeyWithoutPlaintext),
		"GenerateRandom":                  api.JSON(s.generateRandom),
	}[operation]
}

func at(r *api.Request) place { return place{r.Account, r.Region} }

// find resolves a key id, key ARN, alias name or alias ARN. s.mu is held.
func (s *Service) find(p place, id string) (*key, error) {
	if strings.HasPrefix(id, "arn:") {
		parts := strings.SplitN(id, ":", 6)
		if len(parts) < 6 || parts[2] != "kms" {
			return nil, api.Errorf("InvalidArnException", "%s is not a KMS ARN.", id)
		}
		if parts[3] != p.region {
			return nil, api.Errorf("NotFoundException", "Invalid arn %s", parts[3])
		}
		p.account = parts[4]
		id = strings.TrimPrefix(parts[5], "key/")
	}
	if strings.HasPrefix(id, "alias/") {
		a, err := s.findAlias(p, id)
		if err != nil {
			return nil, err
		}
		id = a.keyID
	}
	k := s.keys[p][id]
	if k == nil {
		return nil, api.Errorf("NotFoundException", "Key '%s' does not exist", api.ARN("kms", p.region, p.account, "key/"+id))
	}
	return k, nil
}

func (s *Service) findAlias(p place, name string) (*alias, error) {
	if a := s.aliases[p][name]; a != nil {
		return a, nil
	}
	if service, ok := strings.CutPrefix(name, "alias/aws/"); ok && service != "" {
		return s.makeManaged(p, service), nil
	}
	return nil, api.Errorf("NotFoundException", "Alias %s is not found.", api.ARN("kms", p.region, p.account, name))
}

// usable says why a key can't encrypt or decrypt now.
func (k *key) usable() error {
	switch {
	case !k.deletion.IsZero():
		return api.Errorf("KMSInvalidStateException", "%s is pending deletion.", k.arn)
	case !k.enabled:
		return api.Errorf("DisabledException", "%s is disabled.", k.arn)
	}
	return nil
}

func (k *key) state() string {
	switch {
	case !k.deletion.IsZero() && k.multiRegion && k.primary && k.hasReplicas():
		return "PendingReplicaDeletion"
	case !k.deletion.IsZero():
		return "PendingDeletion"
	case !k.enabled:
		return "Disabled"
	}
	return "Enabled"
}

// check is the question to IAM for an action on the key. Key policies decide:
// https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html.
func (s *Service) check(action string, k *key, encryptionContext map[string]string) api.Check {
	ctx := map[string][]string{
		"kms:KeySpec":     {"SYMMETRIC_DEFAULT"},
		"kms:KeyUsage":    {"ENCRYPT_DECRYPT"},
		"kms:KeyOrigin":   {"AWS_KMS"},
		"kms:MultiRegion": {boolText(k.multiRegion)},
	}
	for name, value := range k.tags {
		ctx["aws:ResourceTag/"+name] = []string{value}
	}
	for name, value := range encryptionContext {
		ctx["kms:EncryptionContext:"+name] = []string{value}
		ctx["kms:EncryptionContextKeys"] = append(ctx["kms:EncryptionContextKeys"], name)
	}
	for _, a := range s.aliases[k.place] {
		if a.keyID == k.id {
			ctx["kms:ResourceAliases"] = append(ctx["kms:ResourceAliases"], a.name)
		}
	}
	return api.Check{Action: "kms:" + action, Resource: k.arn, ResourcePolicy: k.policy, PolicyDecides: true, Context: ctx}
}

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// open finds a key and asks whether the caller may do action to it. s.mu is
// held.
func (s *Service) open(ctx context.Context, r *api.Request, id, action string, encryptionContext map[string]string) (*key, error) {
	if id == "" {
		return nil, api.Errorf("ValidationException", "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null")
	}
	k, err := s.find(at(r), id)
	if err != nil {
		// AWS answers NotFound to everybody: there is nothing to protect.
		r.AllowAll()
		return nil, err
	}
	c := s.check(action, k, encryptionContext)
	if name, ok := aliasName(id); ok {
		c.Context["kms:RequestAlias"] = []string{name}
	}
	if err := r.Authorize(ctx, c); err != nil {
		return nil, err
	}
	r.TrailResources = append(r.TrailResources, k.arn)
	return k, nil
}

// aliasName is the alias that a key identifier names, if it names one.
func aliasName(id string) (string, bool) {
	if strings.HasPrefix(id, "arn:") {
		id = id[strings.LastIndex(id, ":")+1:]
	}
	return id, strings.HasPrefix(id, "alias/")
}

// openCustomer is open for what nobody may do to a key that AWS manages.
func (s *Service) openCustomer(ctx context.Context, r *api.Request, id, action string) (*key, error) {
	if _, isAlias := aliasName(id); isAlias {
		r.AllowAll()
		return nil, api.Errorf("NotFoundException", "Invalid keyId '%s'", id)
	}
	k, err := s.open(ctx, r, id, action, nil)
	if err != nil {
		return nil, err
	}
	if k.manager == "AWS" {
		return nil, api.Errorf("AccessDeniedException", "%s is managed by AWS; %s is not allowed on it.", k.arn, action)
	}
	return k, nil
}

// page cuts one page out of a sorted list; the marker is the last name shown.
func page(names []string, limit *int, marker string) (shown []string, next string, err error) {
	n := 100
	if limit != nil {
		n = *limit
	}
	if n < 1 || n > 1000 {
		return nil, "", api.Errorf("ValidationException", "Limit must be between 1 and 1000")
	}
	from := 0
	if marker != "" {
		i, found := slices.BinarySearch(names, marker)
		if from = i; found {
			from++
		}
	}
	names = names[from:]
	if len(names) > n {
		return names[:n], names[n-1], nil
	}
	return names, "", nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
