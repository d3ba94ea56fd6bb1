package phase

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// confirmations is the file of people's words in a migration's folder.
const confirmations = "confirmations.json"

// Confirmation is a person's word that a check of a phase passes.
type Confirmation struct {
	Phase Name      `json:"phase"`
	Check string    `json:"check"`
	By    string    `json:"by"`
	At    time.Time `json:"at"` // UTC
	Note  string    `json:"note,omitempty"`
	// Plan is the SHA-256 of the plan that the word is about, in hexadecimal: a
	// changed plan must be looked at again. Empty: it is about no plan.
	Plan string `json:"plan,omitempty"`
}

// Confirm records a person's word in a migration's folder, in place of an older
// one about the same. The check must be one that a person confirms.
func Confirm(folder string, at At, c Confirmation) error {
	p, at, err := Find(at.Phase, at.Stack)
	if err != nil {
		return err
	}
	var manual []string
	found := false
	for _, check := range p.Checks {
		if check.Manual {
			manual = append(manual, check.ID)
			found = found || check.ID == c.Check
		}
	}
	switch {
	case !found && len(manual) == 0:
		return fmt.Errorf("no check of phase %s needs a person's word", at)
	case !found:
		return fmt.Errorf("%q is no check of phase %s that a person confirms: it has %s", c.Check, at, strings.Join(manual, ", "))
	case strings.TrimSpace(c.By) == "":
		return errors.New("nobody is named who confirms it")
	}
	c.Phase = at.Phase
	if c.Check == planReviewed {
		if c.Plan, err = planSum(folder); err != nil {
			return fmt.Errorf("confirm the review of a plan: %w", err)
		}
	}
	all, err := readConfirmations(folder)
	if err != nil {
		return err
	}
	kept := []Confirmation{}
	for _, old := range all {
		if old.Phase != c.Phase || old.Check != c.Check {
			kept = append(kept, old)
		}
	}
	return writeJSON(folder, confirmations, append(kept, c))
}

func readConfirmations(folder string) ([]Confirmation, error) {
	var all []Confirmation
	err := readJSON(folder, confirmations, &all)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return all, err
}

// planSum is the checksum of the plan's file.
func planSum(folder string) (string, error) {
	text, err := os.ReadFile(filepath.Join(folder, planFile))
	if err != nil {
		return "", fmt.Errorf("read the plan: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

func readJSON(folder, name string, into any) error {
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("read %s of the migration's folder: %w", name, err)
	}
	return nil
}

// writeJSON replaces a file of the folder at once.
func writeJSON(folder, name string, what any) error {
	text, err := json.MarshalIndent(what, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make the migration's folder: %w", err)
	}
	temporary, err := os.CreateTemp(folder, name+".*") // with 0600
	if err != nil {
		return fmt.Errorf("write %s of the migration's folder: %w", name, err)
	}
	defer os.Remove(temporary.Name()) // gone if all went well
	_, err = temporary.Write(append(text, '\n'))
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), filepath.Join(folder, name))
	}
	if err != nil {
		return fmt.Errorf("write %s of the migration's folder: %w", name, err)
	}
	return nil
}
