// Package story plays the project's main job on one machine: a stack is
// deployed, a secret rotates on schedule, and a client that logs in all the
// while notices nothing.
package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// Options say where things are. Relative paths start at Root.
type Options struct {
	Root      string // folder of Pulumi.yaml
	Artifacts string // folder of the Lambda zips
	Pulumi    string // the pulumi program; empty: deploy without Pulumi's engine
	Plugins   string // folder of pulumi-resource-aws, for the engine
	Rotations int    // how often to rotate
	Out       io.Writer
}

// path returns where a path of the options is.
func (o Options) path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(o.Root, path)
}

// interval is the time in which a database secret is rotated once, whatever the
// day that its name picks.
const interval = 30 * 24 * time.Hour

// Tell plays the story and prints it. It returns an error if anything did not
// go as it should: a failed login, a rotation that did not happen.
func Tell(ctx context.Context, options Options) error {
	t := NewTeller(options.Out)
	world, err := Open(ctx, options, t)
	if err != nil {
		return err
	}
	summary, err := play(ctx, world, options.Rotations, t)
	if closeErr := world.Close(); err != nil || closeErr != nil {
		return errors.Join(err, closeErr)
	}
	t.Print(summary.String())
	return summary.Check(options.Rotations)
}

// play lets a client log in while the clock moves and the secret rotates.
func play(ctx context.Context, w *World, rotations int, t *Teller) (summary Summary, err error) {
	var client *Client
	if err := t.Step("Let a service log in, about a hundred times a second", func() (string, error) {
		client, err = w.StartClient(ctx)
		return "with the role " + ReaderRole + ", through the SDK's cache", err
	}); err != nil {
		return Summary{}, err
	}
	defer func() { err = errors.Join(err, client.Stop()) }()
	// Before days pass: functions are dated by the machine's clock, as the feed is.
	var key KeyRotation
	if err := t.Step("Rotate an API key between two services", func() (string, error) {
		key, err = w.rotateKey(ctx)
		return key.String(), err
	}); err != nil {
		return Summary{}, err
	}
	for i := range rotations {
		if err := t.Step(fmt.Sprintf("Let 30 days pass (%d of %d)", i+1, rotations), func() (string, error) {
			return w.nextRotation(ctx, client)
		}); err != nil {
			return Summary{}, err
		}
	}
	summary, err = w.summarise(ctx, client)
	summary.Key = key
	return summary, err
}

// nextRotation moves the clock to behind the next scheduled rotation and waits
// until the client has logged in with what it brought.
func (w *World) nextRotation(ctx context.Context, client *Client) (string, error) {
	before, err := w.current(ctx)
	if err != nil {
		return "", err
	}
	if err := w.Cloud.Advance(ctx, interval); err != nil {
		return "", err
	}
	after, err := w.current(ctx)
	if err != nil {
		return "", err
	}
	if after == before {
		lines, err := w.FunctionLog(ctx)
		return "", errors.Join(fmt.Errorf("version %s is still current: the rotation did not happen or failed; the end of the function's log:\n%s",
			before, strings.Join(lines[max(0, len(lines)-20):], "\n")), err)
	}
	logins := total(client.Logins())
	if err := client.await(ctx, logins+loginsPerSecond); err != nil {
		return "", err
	}
	return fmt.Sprintf("version %.8s… is current; %d logins, %d failures so far",
		after, total(client.Logins()), len(client.Failures())), nil
}

// current is the version of the secret that has AWSCURRENT.
func (w *World) current(ctx context.Context) (string, error) {
	out, err := secretsmanager.NewFromConfig(w.Cloud.Config(Region)).DescribeSecret(ctx,
		&secretsmanager.DescribeSecretInput{SecretId: aws.String(SecretName)})
	if err != nil {
		return "", fmt.Errorf("describe %s: %w", SecretName, err)
	}
	for version, stages := range out.VersionIdsToStages {
		for _, stage := range stages {
			if stage == "AWSCURRENT" {
				return version, nil
			}
		}
	}
	return "", fmt.Errorf("%s has no current version: was it seeded?", SecretName)
}

func total(logins map[string]int) (n int) {
	for _, count := range logins {
		n += count
	}
	return n
}
