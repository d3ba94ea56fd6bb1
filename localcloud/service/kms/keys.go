package kms

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

const day = 24 * time.Hour

type tag struct{ TagKey, TagValue string }

type createKeyInput struct {
	Policy                         string
	Description                    string
	KeyUsage                       string
	KeySpec                        string
	CustomerMasterKeySpec          string
	Origin                         string
	BypassPolicyLockoutSafetyCheck bool
	Tags                           []tag
	MultiRegion                    bool
}

type keyMetadata struct {
	AWSAccountID                string `json:"AWSAccountId"`
	KeyID                       string `json:"KeyId"`
	Arn                         string
	CreationDate                *api.Time
	Enabled                     bool
	Description                 string
	KeyUsage                    string
	KeyState                    string
	DeletionDate                *api.Time `json:",omitempty"`
	PendingDeletionWindowInDays *int      `json:",omitempty"`
	Origin                      string
	KeyManager                  string
	CustomerMasterKeySpec       string
	KeySpec                     string
	EncryptionAlgorithms        []string
	MultiRegion                 bool
	MultiRegionConfiguration    *multiRegionConfiguration `json:",omitempty"`
}

type multiRegionConfiguration struct {
	MultiRegionKeyType string
	PrimaryKey         multiRegionKey
	ReplicaKeys        []multiRegionKey
}

type multiRegionKey struct{ Arn, Region string }

type keyMetadataOutput struct{ KeyMetadata keyMetadata }

func (k *key) hasReplicas() bool { return len(k.material.family) > 1 }

func (k *key) metadata() keyMetadata {
	m := keyMetadata{
		AWSAccountID: k.place.account, KeyID: k.id, Arn: k.arn, CreationDate: api.NewTime(k.created),
		Enabled: k.enabled && k.deletion.IsZero(), Description: k.description,
		KeyUsage: "ENCRYPT_DECRYPT", KeyState: k.state(), DeletionDate: api.NewTime(k.deletion),
		Origin: "AWS_KMS", KeyManager: k.manager,
		CustomerMasterKeySpec: symmetric, KeySpec: symmetric, EncryptionAlgorithms: []string{symmetric},
		MultiRegion: k.multiRegion,
	}
	if !k.multiRegion {
		return m
	}
	c := &multiRegionConfiguration{MultiRegionKeyType: "REPLICA", ReplicaKeys: []multiRegionKey{}}
	if k.primary {
		c.MultiRegionKeyType = "PRIMARY"
	}
	for _, region := range sortedKeys(k.material.family) {
		member := k.material.family[region]
		if member.primary {
			c.PrimaryKey = multiRegionKey{member.arn, region}
		} else {
			c.ReplicaKeys = append(c.ReplicaKeys, multiRegionKey{member.arn, region})
		}
	}
	m.MultiRegionConfiguration = c
	return m
}

// add stores a new key. s.mu is held.
func (s *Service) add(k *key) {
	k.arn = api.ARN("kms", k.place.region, k.place.account, "key/"+k.id)
	k.created = s.env.Clock.Now()
	k.enabled = true
	if k.tags == nil {
		k.tags = map[string]string{}
	}
	if s.keys[k.place] == nil {
		s.keys[k.place] = map[string]*key{}
	}
	s.keys[k.place][k.id] = k
	k.material.family[k.place.region] = k
}

func (s *Service) newMaterial() *material {
	m := &material{family: map[string]*key{}}
	m.add(s.env.Rand, s.env.Clock.Now(), false)
	return m
}

// makeManaged makes the key that AWS manages for a service when it is first
// used, for example aws/secretsmanager. Its policy lets everybody in the
// account use it, but through that service only:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html.
func (s *Service) makeManaged(p place, service string) *alias {
	via := service + "." + p.region + ".amazonaws.com"
	k := &key{
		place: p, id: uuid.NewString(), manager: "AWS", material: s.newMaterial(),
		description: "Default key that protects my data when no other key is defined (" + service + ")",
		policy: mustJSON(map[string]any{
			"Version": "2012-10-17",
			"Statement": []any{
				map[string]any{
					"Sid": "UseThroughTheService", "Effect": "Allow", "Principal": map[string]any{"AWS": "*"},
					"Action":   []string{"kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey"},
					"Resource": "*",
					"Condition": map[string]any{"StringEquals": map[string]any{
						"kms:CallerAccount": p.account, "kms:ViaService": via,
					}},
				},
				map[string]any{
					"Sid": "LookAtIt", "Effect": "Allow",
					"Principal": map[string]any{"AWS": "arn:aws:iam::" + p.account + ":root"},
					"Action":    []string{"kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"},
					"Resource":  "*",
				},
			},
		}),
	}
	s.add(k)
	k.material.rotation, k.material.period = true, 365*day
	s.scheduleRotation(k.material)
	return s.putAlias(p, "alias/aws/"+service, k.id)
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only for types that JSON doesn't have
	}
	return string(b)
}

// defaultPolicy is what a key gets that is made without one: the account's
// identity policies decide.
func defaultPolicy(account string) string {
	return mustJSON(map[string]any{
		"Version": "2012-10-17",
		"Id":      "key-default-1",
		"Statement": []any{map[string]any{
			"Sid": "Enable IAM User Permissions", "Effect": "Allow",
			"Principal": map[string]any{"AWS": "arn:aws:iam::" + account + ":root"},
			"Action":    "kms:*", "Resource": "*",
		}},
	})
}

func (s *Service) createKey(ctx context.Context, r *api.Request, in *createKeyInput) (*keyMetadataOutput, error) {
	conditions := map[string][]string{"kms:MultiRegion": {boolText(in.MultiRegion)}}
	for _, t := range in.Tags {
		conditions["aws:RequestTag/"+t.TagKey] = []string{t.TagValue}
		conditions["aws:TagKeys"] = append(conditions["aws:TagKeys"], t.TagKey)
	}
	if err := r.Authorize(ctx, api.Check{Action: "kms:CreateKey", Resource: "*", Context: conditions}); err != nil {
		return nil, err
	}
	for _, spec := range []string{in.KeySpec, in.CustomerMasterKeySpec} {
		if spec != "" && spec != symmetric {
			return nil, api.Errorf("UnsupportedOperationException", "The emulator has no keys of spec %s.", spec)
		}
	}
	if in.KeyUsage != "" && in.KeyUsage != "ENCRYPT_DECRYPT" || in.Origin != "" && in.Origin != "AWS_KMS" {
		return nil, api.Errorf("UnsupportedOperationException", "The emulator has no keys of usage %q and origin %q.", in.KeyUsage, in.Origin)
	}
	if in.Policy == "" {
		in.Policy = defaultPolicy(r.Account)
	} else if err := checkPolicy(in.Policy); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &key{
		place: at(r), id: uuid.NewString(), description: in.Description, manager: "CUSTOMER",
		policy: in.Policy, tags: map[string]string{}, material: s.newMaterial(),
		multiRegion: in.MultiRegion, primary: in.MultiRegion,
	}
	if k.multiRegion {
		id := make([]byte, 16)
		if _, err := io.ReadFull(s.env.Rand, id); err != nil {
			return nil, fmt.Errorf("key id: %w", err)
		}
		k.id = "mrk-" + hex.EncodeToString(id)
	}
	for _, t := range in.Tags {
		k.tags[t.TagKey] = t.TagValue
	}
	s.add(k)
	r.TrailResources = []string{k.arn}
	r.TrailResponse = map[string]any{"keyMetadata": map[string]any{"keyId": k.id, "arn": k.arn}}
	return &keyMetadataOutput{k.metadata()}, nil
}

type replicateKeyInput struct {
	KeyID                          string `json:"KeyId"`
	ReplicaRegion                  string
	Policy                         string
	BypassPolicyLockoutSafetyCheck bool
	Description                    string
	Tags                           []tag
}

type replicateKeyOutput struct {
	ReplicaKeyMetadata keyMetadata
	ReplicaPolicy      string
	ReplicaTags        []tag
}

func (s *Service) replicateKey(ctx context.Context, r *api.Request, in *replicateKeyInput) (*replicateKeyOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.openCustomer(ctx, r, in.KeyID, "ReplicateKey")
	if err != nil {
		return nil, err
	}
	switch {
	case !k.primary:
		return nil, api.Errorf("UnsupportedOperationException", "%s is not a multi-region primary key.", k.arn)
	case in.ReplicaRegion == "" || in.ReplicaRegion == k.place.region:
		return nil, api.Errorf("ValidationException", "The replica region %q must be another region than the key's.", in.ReplicaRegion)
	case k.material.family[in.ReplicaRegion] != nil:
		return nil, api.Errorf("AlreadyExistsException", "Replica key %s already exists in region %s.", k.id, in.ReplicaRegion)
	}
	if err := k.usable(); err != nil {
		return nil, err
	}
	if in.Policy == "" {
		// The policy is not shared with the primary.
		in.Policy = defaultPolicy(r.Account)
	} else if err := checkPolicy(in.Policy); err != nil {
		return nil, err
	}
	replica := &key{
		place: place{r.Account, in.ReplicaRegion}, id: k.id, description: in.Description, manager: "CUSTOMER",
		policy: in.Policy, tags: map[string]string{}, material: k.material, multiRegion: true,
	}
	for _, t := range in.Tags {
		replica.tags[t.TagKey] = t.TagValue
	}
	s.add(replica)
	r.TrailResources = append(r.TrailResources, replica.arn)
	return &replicateKeyOutput{replica.metadata(), replica.policy, replica.tagList()}, nil
}

type updatePrimaryRegionInput struct {
	KeyID         string `json:"KeyId"`
	PrimaryRegion string
}

func (s *Service) updatePrimaryRegion(ctx context.Context, r *api.Request, in *updatePrimaryRegionInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.openCustomer(ctx, r, in.KeyID, "UpdatePrimaryRegion")
	if err != nil {
		return nil, err
	}
	next := k.material.family[in.PrimaryRegion]
	if !k.primary || next == nil || next == k {
		return nil, api.Errorf("UnsupportedOperationException", "%s can't hand its role to a key in %q.", k.arn, in.PrimaryRegion)
	}
	k.primary, next.primary = false, true
	return nil, nil
}

type keyIDInput struct {
	KeyID string `json:"KeyId"`
}

type describeKeyInput struct {
	KeyID       string `json:"KeyId"`
	GrantTokens []string
}

func (s *Service) describeKey(ctx context.Context, r *api.Request, in *describeKeyInput) (*keyMetadataOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.open(ctx, r, in.KeyID, "DescribeKey", nil)
	if err != nil {
		return nil, err
	}
	return &keyMetadataOutput{k.metadata()}, nil
}

type listInput struct {
	Limit  *int
	Marker string
}

type listKeysOutput struct {
	Keys       []keyListEntry
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

type keyListEntry struct {
	KeyID  string `json:"KeyId"`
	KeyArn string
}

func (s *Service) listKeys(ctx context.Context, r *api.Request, in *listInput) (*listKeysOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "kms:ListKeys", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ids, next, err := page(sortedKeys(s.keys[at(r)]), in.Limit, in.Marker)
	if err != nil {
		return nil, err
	}
	out := &listKeysOutput{Keys: []keyListEntry{}, NextMarker: next, Truncated: next != ""}
	for _, id := range ids {
		out.Keys = append(out.Keys, keyListEntry{id, s.keys[at(r)][id].arn})
	}
	return out, nil
}

func (s *Service) enableKey(ctx context.Context, r *api.Request, in *keyIDInput) (*struct{}, error) {
	return s.setEnabled(ctx, r, in.KeyID, "EnableKey", true)
}

func (s *Service) disableKey(ctx context.Context, r *api.Request, in *keyIDInput) (*struct{}, error) {
	return s.setEnabled(ctx, r, in.KeyID, "DisableKey", false)
}

func (s *Service) setEnabled(ctx context.Context, r *api.Request, id, action string, enabled bool) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.openCustomer(ctx, r, id, action)
	if err != nil {
		return nil, err
	}
	if !k.deletion.IsZero() {
		return nil, api.Errorf("KMSInvalidStateException", "%s is pending deletion.", k.arn)
	}
	k.enabled = enabled
	return nil, nil
}

type scheduleKeyDeletionInput struct {
	KeyID               string `json:"KeyId"`
	PendingWindowInDays *int
}

type scheduleKeyDeletionOutput struct {
	KeyID               string `json:"KeyId"`
	DeletionDate        *api.Time
	KeyState            string
	PendingWindowInDays int
}

func (s *Service) scheduleKeyDeletion(ctx context.Context, r *api.Request, in *scheduleKeyDeletionInput) (*scheduleKeyDeletionOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.openCustomer(ctx, r, in.KeyID, "ScheduleKeyDeletion")
	if err != nil {
		return nil, err
	}
	days := 30
	if in.PendingWindowInDays != nil {
		days = *in.PendingWindowInDays
	}
	if days < 7 || days > 30 {
		return nil, api.Errorf("ValidationException", "Value at 'pendingWindowInDays' failed to satisfy constraint: Member must be between 7 and 30")
	}
	if !k.deletion.IsZero() {
		return nil, api.Errorf("KMSInvalidStateException", "%s is pending deletion.", k.arn)
	}
	k.deletion = s.env.Clock.Now().Add(time.Duration(days) * day)
	s.env.Clock.AtFunc(k.deletion, func() { s.deleteIfDue(k) })
	return &scheduleKeyDeletionOutput{KeyID: k.arn, DeletionDate: api.NewTime(k.deletion), KeyState: k.state(), PendingWindowInDays: days}, nil
}

// deleteIfDue deletes a key whose window has passed. A primary waits until its
// replicas are gone.
func (s *Service) deleteIfDue(k *key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.deletion.IsZero() || s.env.Clock.Now().Before(k.deletion) || k.primary && k.hasReplicas() {
		return
	}
	delete(s.keys[k.place], k.id)
	delete(k.material.family, k.place.region)
	maps.DeleteFunc(s.aliases[k.place], func(_ string, a *alias) bool { return a.keyID == k.id })
	for _, member := range k.material.family {
		if member.primary && !member.deletion.IsZero() {
			s.env.Clock.AtFunc(member.deletion, func() { s.deleteIfDue(member) })
		}
	}
}

type keyIDOutput struct {
	KeyID string `json:"KeyId"`
}

func (s *Service) cancelKeyDeletion(ctx context.Context, r *api.Request, in *keyIDInput) (*keyIDOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.openCustomer(ctx, r, in.KeyID, "CancelKeyDeletion")
	if err != nil {
		return nil, err
	}
	if k.deletion.IsZero() {
		return nil, api.Errorf("KMSInvalidStateException", "%s is not pending deletion.", k.arn)
	}
	k.deletion = time.Time{}
	k.enabled = false // AWS leaves it disabled
	return &keyIDOutput{k.arn}, nil
}

type updateKeyDescriptionInput struct {
	KeyID       string `json:"KeyId"`
	Description string
}

func (s *Service) updateKeyDescription(ctx context.Context, r *api.Request, in *updateKeyDescriptionInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.openCustomer(ctx, r, in.KeyID, "UpdateKeyDescription")
	if err != nil {
		return nil, err
	}
	k.description = in.Description
	return nil, nil
}

// checkPolicy is the little that can be said of a policy without evaluating it.
func checkPolicy(policy string) error {
	var document struct{ Statement any }
	if err := json.Unmarshal([]byte(policy), &document); err != nil || document.Statement == nil {
		return api.Errorf("MalformedPolicyDocumentException", "The key policy is not a JSON policy with statements.")
	}
	if len(policy) > 32<<10 {
		return api.Errorf("LimitExceededException", "The key policy is larger than 32 kilobytes.")
	}
	if !strings.Contains(policy, "kms:") && !strings.Contains(policy, `"*"`) {
		return api.Errorf("MalformedPolicyDocumentException", "The new key policy will not allow you to update the key policy in the future.")
	}
	return nil
}
