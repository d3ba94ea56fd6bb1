package kms

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

// material is what encrypts: all generations of it, the newest last. The keys
// of a multi-region family share one.
type material struct {
	generations []generation
	family      map[string]*key // by region
	rotation    bool
	period      time.Duration
	nextRun     time.Time
}

type generation struct {
	secret []byte // 32 bytes
	made   time.Time
	// demand tells an on-demand rotation from an automatic one.
	demand bool
}

func (m *material) add(rand io.Reader, now time.Time, demand bool) {
	secret := make([]byte, 32)
	if _, err := io.ReadFull(rand, secret); err != nil {
		panic(fmt.Sprintf("no randomness for a KMS key: %v", err))
	}
	m.generations = append(m.generations, generation{secret: secret, made: now, demand: demand})
}

const (
	blobVersion = 1
	maxPlain    = 4096
)

// seal encrypts with the newest generation. The blob names key and generation,
// so that Decrypt needs no key id and old blobs outlive rotations.
func (k *key) seal(rand io.Reader, plaintext []byte, encryptionContext map[string]string) ([]byte, error) {
	n := len(k.material.generations) - 1
	aead := newAEAD(k.material.generations[n].secret)
	blob := []byte{blobVersion, byte(len(k.id))}
	blob = append(blob, k.id...)
	blob = binary.BigEndian.AppendUint16(blob, uint16(n))
	nonce := make([]byte, aead.NonceSize())
	if _, err := io.ReadFull(rand, nonce); err != nil {
		return nil, fmt.Errorf("nonce: %w", err)
	}
	aad := additionalData(blob, encryptionContext)
	blob = append(blob, nonce...)
	return aead.Seal(blob, nonce, plaintext, aad), nil
}

func newAEAD(secret []byte) cipher.AEAD {
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic(err) // only for a wrong key length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for a block size that AES doesn't have
	}
	return aead
}

// additionalData binds the blob's header and the encryption context, whatever
// the order of its pairs.
func additionalData(header []byte, encryptionContext map[string]string) []byte {
	aad := bytes.Clone(header)
	for _, name := range sortedKeys(encryptionContext) {
		for _, s := range []string{name, encryptionContext[name]} {
			aad = binary.BigEndian.AppendUint32(aad, uint32(len(s)))
			aad = append(aad, s...)
		}
	}
	return aad
}

func errCiphertext() error {
	return &api.Error{Status: 400, Code: "InvalidCiphertextException"}
}

// blobKey reads the key id out of a blob and returns what follows it.
func blobKey(blob []byte) (id string, rest []byte, err error) {
	if len(blob) < 2 || blob[0] != blobVersion || len(blob) < 2+int(blob[1])+2 {
		return "", nil, errCiphertext()
	}
	n := 2 + int(blob[1])
	return string(blob[2:n]), blob[n:], nil
}

// keyOfBlob returns the ARN of the key that a blob names, in whichever account
// it is: a ciphertext says which key it needs.
func (s *Service) keyOfBlob(region, id string) string {
	for p, keys := range s.keys {
		if k := keys[id]; k != nil && p.region == region {
			return k.arn
		}
	}
	return id
}

func (k *key) unseal(blob []byte, encryptionContext map[string]string) ([]byte, error) {
	id, rest, err := blobKey(blob)
	if err != nil {
		return nil, err
	}
	if id != k.id {
		return nil, api.Errorf("IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
	}
	generation := int(binary.BigEndian.Uint16(rest))
	rest = rest[2:]
	if generation >= len(k.material.generations) {
		return nil, errCiphertext()
	}
	aead := newAEAD(k.material.generations[generation].secret)
	if len(rest) < aead.NonceSize() {
		return nil, errCiphertext()
	}
	header := blob[:len(blob)-len(rest)]
	plaintext, err := aead.Open(nil, rest[:aead.NonceSize()], rest[aead.NonceSize():], additionalData(header, encryptionContext))
	if err != nil {
		return nil, errCiphertext()
	}
	return plaintext, nil
}

type encryptInput struct {
	KeyID               string `json:"KeyId"`
	Plaintext           []byte
	EncryptionContext   map[string]string
	EncryptionAlgorithm string
}

type encryptOutput struct {
	CiphertextBlob      []byte
	KeyID               string `json:"KeyId"`
	EncryptionAlgorithm string
}

const symmetric = "SYMMETRIC_DEFAULT"

func checkAlgorithm(a string) error {
	if a != "" && a != symmetric {
		return api.Errorf("InvalidKeyUsageException", "The emulator's keys do %s only, not %s.", symmetric, a)
	}
	return nil
}

func (s *Service) encrypt(ctx context.Context, r *api.Request, in *encryptInput) (*encryptOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.open(ctx, r, in.KeyID, "Encrypt", in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	if err := checkAlgorithm(in.EncryptionAlgorithm); err != nil {
		return nil, err
	}
	if len(in.Plaintext) == 0 || len(in.Plaintext) > maxPlain {
		return nil, api.Errorf("ValidationException", "Value at 'plaintext' failed to satisfy constraint: Member must have length between 1 and %d", maxPlain)
	}
	if err := k.usable(); err != nil {
		return nil, err
	}
	blob, err := k.seal(s.env.Rand, in.Plaintext, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	return &encryptOutput{CiphertextBlob: blob, KeyID: k.arn, EncryptionAlgorithm: symmetric}, nil
}

type decryptInput struct {
	CiphertextBlob      []byte
	KeyID               string `json:"KeyId"`
	EncryptionContext   map[string]string
	EncryptionAlgorithm string
}

type decryptOutput struct {
	Plaintext           []byte
	KeyID               string `json:"KeyId"`
	EncryptionAlgorithm string
}

func (s *Service) decrypt(ctx context.Context, r *api.Request, in *decryptInput) (*decryptOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, plaintext, err := s.openBlob(ctx, r, in.KeyID, "Decrypt", in.CiphertextBlob, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	if err := checkAlgorithm(in.EncryptionAlgorithm); err != nil {
		return nil, err
	}
	return &decryptOutput{Plaintext: plaintext, KeyID: k.arn, EncryptionAlgorithm: symmetric}, nil
}

// openBlob finds the key of a blob, checks it against the one that the caller
// named, asks IAM and decrypts. s.mu is held.
func (s *Service) openBlob(ctx context.Context, r *api.Request, keyID, action string, blob []byte, encryptionContext map[string]string) (*key, []byte, error) {
	id, _, err := blobKey(blob)
	if err != nil {
		r.AllowAll()
		return nil, nil, err
	}
	if keyID == "" {
		keyID = s.keyOfBlob(r.Region, id)
	}
	k, err := s.open(ctx, r, keyID, action, encryptionContext)
	if err != nil {
		return nil, nil, err
	}
	if err := k.usable(); err != nil {
		return nil, nil, err
	}
	plaintext, err := k.unseal(blob, encryptionContext)
	return k, plaintext, err
}

type reEncryptInput struct {
	CiphertextBlob                 []byte
	SourceKeyID                    string `json:"SourceKeyId"`
	SourceEncryptionContext        map[string]string
	SourceEncryptionAlgorithm      string
	DestinationKeyID               string `json:"DestinationKeyId"`
	DestinationEncryptionContext   map[string]string
	DestinationEncryptionAlgorithm string
}

type reEncryptOutput struct {
	CiphertextBlob                 []byte
	SourceKeyID                    string `json:"SourceKeyId"`
	KeyID                          string `json:"KeyId"`
	SourceEncryptionAlgorithm      string
	DestinationEncryptionAlgorithm string
}

func (s *Service) reEncrypt(ctx context.Context, r *api.Request, in *reEncryptInput) (*reEncryptOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, plaintext, err := s.openBlob(ctx, r, in.SourceKeyID, "ReEncryptFrom", in.CiphertextBlob, in.SourceEncryptionContext)
	if err != nil {
		return nil, err
	}
	to, err := s.open(ctx, r, in.DestinationKeyID, "ReEncryptTo", in.DestinationEncryptionContext)
	if err != nil {
		return nil, err
	}
	if err := to.usable(); err != nil {
		return nil, err
	}
	blob, err := to.seal(s.env.Rand, plaintext, in.DestinationEncryptionContext)
	if err != nil {
		return nil, err
	}
	return &reEncryptOutput{
		CiphertextBlob: blob, SourceKeyID: from.arn, KeyID: to.arn,
		SourceEncryptionAlgorithm: symmetric, DestinationEncryptionAlgorithm: symmetric,
	}, nil
}

type dataKeyInput struct {
	KeyID             string `json:"KeyId"`
	EncryptionContext map[string]string
	KeySpec           string
	NumberOfBytes     *int
}

type dataKeyOutput struct {
	CiphertextBlob []byte
	Plaintext      []byte `json:",omitempty"`
	KeyID          string `json:"KeyId"`
}

func (in *dataKeyInput) size() (int, error) {
	switch {
	case (in.KeySpec == "") == (in.NumberOfBytes == nil):
		return 0, api.Errorf("ValidationException", "Please specify either number of bytes or key spec.")
	case in.KeySpec == "AES_256":
		return 32, nil
	case in.KeySpec == "AES_128":
		return 16, nil
	case in.KeySpec != "":
		return 0, api.Errorf("ValidationException", "Value at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [AES_256, AES_128]")
	case *in.NumberOfBytes < 1 || *in.NumberOfBytes > 1024:
		return 0, api.Errorf("ValidationException", "Value at 'numberOfBytes' failed to satisfy constraint: Member must be between 1 and 1024")
	}
	return *in.NumberOfBytes, nil
}

func (s *Service) generateDataKey(ctx context.Context, r *api.Request, in *dataKeyInput) (*dataKeyOutput, error) {
	return s.dataKey(ctx, r, in, "GenerateDataKey")
}

func (s *Service) generateDataKeyWithoutPlaintext(ctx context.Context, r *api.Request, in *dataKeyInput) (*dataKeyOutput, error) {
	out, err := s.dataKey(ctx, r, in, "GenerateDataKeyWithoutPlaintext")
	if err != nil {
		return nil, err
	}
	out.Plaintext = nil
	return out, nil
}

func (s *Service) dataKey(ctx context.Context, r *api.Request, in *dataKeyInput, action string) (*dataKeyOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.open(ctx, r, in.KeyID, action, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	n, err := in.size()
	if err != nil {
		return nil, err
	}
	if err := k.usable(); err != nil {
		return nil, err
	}
	plaintext := make([]byte, n)
	if _, err := io.ReadFull(s.env.Rand, plaintext); err != nil {
		return nil, fmt.Errorf("data key: %w", err)
	}
	blob, err := k.seal(s.env.Rand, plaintext, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	return &dataKeyOutput{CiphertextBlob: blob, Plaintext: plaintext, KeyID: k.arn}, nil
}

type generateRandomInput struct{ NumberOfBytes *int }

type generateRandomOutput struct{ Plaintext []byte }

func (s *Service) generateRandom(ctx context.Context, r *api.Request, in *generateRandomInput) (*generateRandomOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "kms:GenerateRandom", Resource: "*"}); err != nil {
		return nil, err
	}
	if in.NumberOfBytes == nil || *in.NumberOfBytes < 1 || *in.NumberOfBytes > 1024 {
		return nil, api.Errorf("ValidationException", "Value at 'numberOfBytes' failed to satisfy constraint: Member must be between 1 and 1024")
	}
	b := make([]byte, *in.NumberOfBytes)
	if _, err := io.ReadFull(s.env.Rand, b); err != nil {
		return nil, fmt.Errorf("random bytes: %w", err)
	}
	return &generateRandomOutput{Plaintext: b}, nil
}

// Encrypt encrypts for another service in the caller's name; caller.Via names
// the service. The caller needs kms:GenerateDataKey, as for Secrets Manager
// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html),
// or kms:Encrypt for the Parameter Store, which encrypts small values directly
// (https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html).
// keyID is a key id, key ARN, alias name or alias ARN of the region. It returns
// the ciphertext and the ARN of the key. Plaintexts may be of any length: they
// stand for a data key and what it encrypts.
func (s *Service) Encrypt(ctx context.Context, caller api.Caller, region, keyID string, plaintext []byte, encryptionContext map[string]string) (ciphertext []byte, keyARN string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	action := "GenerateDataKey"
	if strings.HasPrefix(caller.Via, "ssm.") {
		action = "Encrypt"
	}
	k, err := s.openFor(ctx, caller, region, keyID, action, encryptionContext)
	if err != nil {
		return nil, "", err
	}
	blob, err := k.seal(s.env.Rand, plaintext, encryptionContext)
	return blob, k.arn, err
}

// Decrypt is the reverse of Encrypt: the caller needs kms:Decrypt on the key.
func (s *Service) Decrypt(ctx context.Context, caller api.Caller, region string, ciphertext []byte, encryptionContext map[string]string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, _, err := blobKey(ciphertext)
	if err != nil {
		return nil, err
	}
	k, err := s.openFor(ctx, caller, region, s.keyOfBlob(region, id), "Decrypt", encryptionContext)
	if err != nil {
		return nil, err
	}
	return k.unseal(ciphertext, encryptionContext)
}

// openFor is open for a call that another service makes in the caller's name.
// CloudTrail shows it as a call of its own, as on AWS. s.mu is held.
func (s *Service) openFor(ctx context.Context, caller api.Caller, region, keyID, action string, encryptionContext map[string]string) (*key, error) {
	k, err := s.find(place{caller.Account, region}, keyID)
	if err == nil {
		err = s.env.IAM.Authorize(ctx, caller, region, s.check(action, k, encryptionContext))
	}
	if err == nil {
		err = k.usable()
	}
	e := api.Event{
		ID: uuid.NewString(), RequestID: uuid.NewString(),
		Name: action, Source: "kms.amazonaws.com", Type: "AwsApiCall",
		Time: s.env.Clock.Now(), Region: region, Account: caller.Account, Caller: caller, ReadOnly: true,
		Request: map[string]any{"keyId": keyID, "encryptionContext": encryptionContext},
	}
	if k != nil {
		e.Resources = []string{k.arn}
	}
	if apiErr, ok := err.(*api.Error); ok { //nolint:errorlint // made a few lines above, never wrapped
		e.ErrorCode, e.ErrorMessage = apiErr.Code, apiErr.Message
	}
	s.env.Trail.Record(ctx, e)
	if err != nil {
		return nil, err
	}
	return k, nil
}
