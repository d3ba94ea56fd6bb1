package cleanup

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/aistudio/secrets/migrator/apply/refusal"
	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/journal"
)

// exportFormat is the version of the export's format.
const exportFormat = 1

type keysAPI interface {
	GenerateDataKey(context.Context, *kms.GenerateDataKeyInput, ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error)
	Decrypt(context.Context, *kms.DecryptInput, ...func(*kms.Options)) (*kms.DecryptOutput, error)
}

// exportFile is the file with deleted parameters. KMS encrypts no more than 4 KB
// at once, so the parameters are encrypted by a data key (AES-256-GCM), and that
// by the KMS key (KMS developer guide, "Envelope encryption").
type exportFile struct {
	Format     int               `json:"format"`
	Stack      string            `json:"stack"`
	Account    string            `json:"account"`
	Region     string            `json:"region"`
	Created    time.Time         `json:"created"`
	Until      time.Time         `json:"until"` // the file is kept at least until then
	Context    map[string]string `json:"context"`
	DataKey    []byte            `json:"dataKey"` // encrypted
	Nonce      []byte            `json:"nonce"`
	Names      []string          `json:"names"` // of the parameters
	Parameters []byte            `json:"parameters"`
}

// exportedParameter is a parameter in an export, before it is encrypted. Versions
// before the last and their labels aren't in it.
type exportedParameter struct {
	Name           string                 `json:"name"`
	Type           ssmtypes.ParameterType `json:"type"`
	KeyID          string                 `json:"keyId,omitempty"`
	Tier           ssmtypes.ParameterTier `json:"tier,omitempty"`
	DataType       string                 `json:"dataType,omitempty"`
	Description    string                 `json:"description,omitempty"`
	AllowedPattern string                 `json:"allowedPattern,omitempty"`
	Policies       []string               `json:"policies,omitempty"`
	Tags           map[string]string      `json:"tags,omitempty"`
	Version        int64                  `json:"version"`
	Value          []byte                 `json:"value"`
}

// exportAll sees to it that all parameters are in an export, and returns what the
// journal says of each.
func (r *run) exportAll(ctx context.Context, list []candidate) (map[string]journal.Parameter, error) {
	exported := map[string]journal.Parameter{}
	var missing []candidate
	for _, c := range list {
		known := r.known.Parameters[c.name]
		switch {
		case c.there == nil:
		case known.Version == c.there.Version && (known.Status == journal.Exported || known.Status == journal.Deleting) && r.readable(ctx, known.Export, c):
			exported[c.name] = known
			r.export = known.Export
		default:
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 || r.DryRun {
		return exported, nil
	}
	var file exportFile
	err := r.steps.Do(ctx, steps.Step{Action: "export", Subject: fmt.Sprintf("%d parameters", len(missing))}, func() (_ steps.Outcome, _ string, err error) {
		if file, err = r.write(ctx, missing); err != nil {
			return "", "", err
		}
		for _, c := range missing {
			p := journal.Parameter{Name: c.name, Status: journal.Exported, Version: c.there.Version, Export: r.export, Until: file.Until}
			if err := r.record(journal.Entry{Parameter: &p}); err != nil {
				return "", "", err
			}
			exported[c.name] = p
		}
		return steps.Done, "encrypted in " + r.export + ", kept until " + file.Until.Format("2006-01-02"), nil
	})
	return exported, err
}

// readable tells whether the export can be decrypted and holds the parameter as it
// is now.
func (r *run) readable(ctx context.Context, name string, c candidate) bool {
	file, err := readExport(filepath.Join(r.Folder, name))
	if err != nil {
		return false
	}
	return decrypted(ctx, r.keys, file, func(list []exportedParameter) error { return r.holds(list, c) }) == nil
}

func (r *run) holds(list []exportedParameter, c candidate) error {
	for _, p := range list {
		if p.Name == c.name && p.Version == c.there.Version && r.Key.OfBytes(p.Value) == r.Key.Of(c.there.Value) {
			return nil
		}
	}
	return fmt.Errorf("the export doesn't hold parameter %s as it is", c.name)
}

// write writes an export and reads it back.
func (r *run) write(ctx context.Context, list []candidate) (exportFile, error) {
	now := r.Now().UTC().Truncate(time.Second)
	file := exportFile{
		Format: exportFormat, Stack: filepath.Base(r.Folder), Account: r.estate.Account, Region: r.estate.Region, Created: now, Until: now.Add(r.Keep),
		Context: map[string]string{"purpose": "migration-export", "stack": filepath.Base(r.Folder), "account": r.estate.Account, "region": r.estate.Region},
	}
	var all []exportedParameter
	for _, c := range list {
		p, err := r.one(ctx, c)
		if err != nil {
			return exportFile{}, err
		}
		defer clear(p.Value)
		all = append(all, p)
		file.Names = append(file.Names, c.name)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return exportFile{}, errors.New("encode the parameters") // whose error could quote
	}
	defer clear(text)
	if err := r.seal(ctx, &file, text); err != nil {
		return exportFile{}, err
	}
	r.export = "export-" + now.Format("20060102T150405Z") + ".json"
	path := filepath.Join(r.Folder, r.export)
	if err := writeExport(path, file); err != nil {
		return exportFile{}, err
	}
	back, err := readExport(path)
	if err != nil {
		return exportFile{}, err
	}
	return file, decrypted(ctx, r.keys, back, func(held []exportedParameter) error {
		for _, c := range list {
			if err := r.holds(held, c); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *run) one(ctx context.Context, c candidate) (exportedParameter, error) {
	about, tags, err := r.describe(ctx, c.name)
	if err != nil {
		return exportedParameter{}, err
	}
	p := exportedParameter{
		Name: c.name, Type: about.Type, KeyID: aws.ToString(about.KeyId), Tier: about.Tier, DataType: aws.ToString(about.DataType),
		Description: aws.ToString(about.Description), AllowedPattern: aws.ToString(about.AllowedPattern), Version: c.there.Version, Value: c.there.Value.Reveal(),
	}
	for _, policy := range about.Policies {
		p.Policies = append(p.Policies, aws.ToString(policy.PolicyText))
	}
	for _, tag := range tags {
		if key := aws.ToString(tag.Key); !strings.HasPrefix(key, "aws:") {
			if p.Tags == nil {
				p.Tags = map[string]string{}
			}
			p.Tags[key] = aws.ToString(tag.Value)
		}
	}
	return p, nil
}

func (r *run) seal(ctx context.Context, file *exportFile, text []byte) error {
	key, err := r.keys.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &r.Plan.KMSKey, KeySpec: kmstypes.DataKeySpecAes256, EncryptionContext: file.Context})
	if err != nil {
		return fmt.Errorf("make a data key under %s: %w", r.Plan.KMSKey, refusal.Of(err))
	}
	defer clear(key.Plaintext)
	gcm, err := newGCM(key.Plaintext)
	if err != nil {
		return err
	}
	file.DataKey, file.Nonce = key.CiphertextBlob, make([]byte, gcm.NonceSize())
	_, _ = rand.Read(file.Nonce) // never fails, crypto/rand says
	file.Parameters = gcm.Seal(nil, file.Nonce, text, bound(*file))
	return nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// bound is what is in the clear and can't be changed without notice.
func bound(file exportFile) []byte {
	return []byte(strings.Join(append([]string{file.Stack, file.Account, file.Region, file.Created.Format(time.RFC3339)}, file.Names...), "\n"))
}

// decrypted calls use with the parameters of an export, which are overwritten
// afterwards.
func decrypted(ctx context.Context, keys keysAPI, file exportFile, use func([]exportedParameter) error) error {
	key, err := keys.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: file.DataKey, EncryptionContext: file.Context})
	if err != nil {
		return fmt.Errorf("decrypt the export's data key: %w", refusal.Of(err))
	}
	defer clear(key.Plaintext)
	gcm, err := newGCM(key.Plaintext)
	if err != nil {
		return err
	}
	text, err := gcm.Open(nil, file.Nonce, file.Parameters, bound(file))
	if err != nil {
		return errors.New("the export is damaged: take it from a copy")
	}
	defer clear(text)
	var list []exportedParameter
	if json.Unmarshal(text, &list) != nil {
		return errors.New("the export is damaged: take it from a copy")
	}
	defer func() {
		for _, p := range list {
			clear(p.Value)
		}
	}()
	return use(list)
}

func writeExport(path string, file exportFile) error {
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "export.*") // with 0600
	if err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		// Unlike a rename, a link never replaces a file.
		err = os.Link(f.Name(), path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	return nil
}

// syncFolder makes the file's name as durable as its contents.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func readExport(path string) (exportFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return exportFile{}, fmt.Errorf("read the export: %w", err)
	}
	var file exportFile
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&file); err != nil {
		return exportFile{}, fmt.Errorf("read the export %s: %w", path, err)
	}
	if file.Format != exportFormat {
		return exportFile{}, fmt.Errorf("the export %s has the format %d, and this program reads %d", path, file.Format, exportFormat)
	}
	return file, nil
}

// prune removes the exports that needn't be kept any more.
func (r *run) prune() error {
	paths, err := filepath.Glob(filepath.Join(r.Folder, "export-*.json"))
	if err != nil {
		return err
	}
	slices.Sort(paths)
	for _, path := range paths {
		file, err := readExport(path)
		if err != nil || !r.Now().After(file.Until) {
			continue // what can't be read isn't ours to remove
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove an export that is past its time: %w", err)
		}
		r.steps.List = append(r.steps.List, steps.Step{Action: "export", Subject: filepath.Base(path), Outcome: steps.Done, Detail: "removed, since it was to be kept until " + file.Until.Format("2006-01-02")})
	}
	return nil
}
