// Package story plays the project's main jobs on one machine: a company's secrets
// move out of a variable and a parameter, a stack's secret rotates on schedule while
// a client logs in, an audit looks before and after, and a region goes dark.
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
	Programs  string // folder of migrate, recovery and shop
	Reports   string // folder for the reports that stay
	Pulumi    string // the pulumi program; empty: deploy without Pulumi's engine
	Plugins   string // folder of pulumi-resource-aws, for the engine
	Rotations int    // how often to rotate
	Out       io.Writer

	// Look is called at the end, while everything is still there. Nil: it isn't.
	Look func(context.Context, *World) error
}

// program returns where one of the programs is.
func (o Options) program(name string) (string, error) {
	path, err := filepath.Abs(filepath.Join(o.path(o.Programs), name))
	if err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	return path, nil
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
// go as it should: a failed login or answer, a rotation that did not happen, a
// secret that is left in plaintext.
func Tell(ctx context.Context, options Options) error {
	t := NewTeller(options.Out)
	world, err := begin(ctx, options, t)
	if err != nil {
		return err
	}
	summary, err := play(ctx, world, t)
	if err == nil && options.Look != nil {
		err = options.Look(ctx, world)
	}
	if closeErr := world.Close(); err != nil || closeErr != nil {
		return errors.Join(err, closeErr)
	}
	t.Print(summary.String())
	return summary.Check(options.Rotations)
}

// play tells the chapters.
func play(ctx context.Context, w *World, t *Teller) (summary Summary, err error) {
	if err := w.tellMigration(ctx, t, &summary); err != nil {
		return Summary{}, err
	}
	var client *Client
	t.Chapter("Rotation", "A service logs in to its database all the while. Its password changes every month, and it notices nothing.\nMonths pass in seconds; the daily scan and audit rest but for the last day of each.")
	if err := t.Steps(ctx, Step{"Let a service log in, about a hundred times a second", func(ctx context.Context) (string, error) {
		client, err = w.StartClient(ctx)
		return "with the role " + ReaderRole + ", through the SDK's cache", err
	}}); err != nil {
		return Summary{}, err
	}
	defer func() { err = errors.Join(err, client.Stop()) }()
	if err := w.tellRotation(ctx, t, client, &summary); err != nil {
		return Summary{}, err
	}
	if err := w.tellLoss(ctx, t, client, &summary); err != nil {
		return Summary{}, err
	}
	summary.Logins, summary.Failures, summary.Cache = client.Logins(), client.Failures(), client.Stats()
	return summary, nil
}

// tellMigration moves the estate's secrets to a new stack, between two audits.
func (w *World) tellMigration(ctx context.Context, t *Teller, s *Summary) error {
	t.Chapter("Before: secrets in plaintext", "A company's function signs with a key from its variables, and with a token from the Parameter Store.\nWhoever may look at the configuration reads both, and nobody rotates them.")
	m := &migration{}
	if err := t.Steps(ctx,
		Step{"Make the function " + shop + ", a real Go program, and its parameter", func(ctx context.Context) (_ string, err error) {
			if m.estate, err = w.makeEstate(ctx); err == nil {
				err = m.ask(ctx)
			}
			return keyVariable + " holds the key, " + tokenVariable + " names " + parameter, err
		}},
		Step{"migrate discover dev", m.discover},
		Step{"migrate plan dev", m.plan},
	); err != nil {
		return err
	}

	t.Chapter("The stack", "The entries that the plan wrote are merged into the stack's file; then it is deployed, and audits the account.")
	steps := append([]Step{{"Merge the migration's entries into " + stackFile, m.merge}}, w.deployment()...)
	steps = append(steps, Step{"Scan and audit", func(ctx context.Context) (_ string, err error) {
		s.Before, err = w.audit(ctx, "audit-before.html")
		return s.Before.String(), err
	}})
	if err := t.Steps(ctx, steps...); err != nil {
		return err
	}

	t.Chapter("The migration", "The function is in use all the while, and every answer is checked. Nobody deploys its code.")
	m.use(ctx)
	defer m.stop()
	return t.Steps(ctx,
		Step{"migrate plan dev, now that the stack's key is there", m.plan},
		Step{"migrate apply dev", m.apply},
		Step{"migrate rollback dev, because one can", m.rollback},
		Step{"migrate apply dev, again", m.apply},
		Step{"Let an hour pass, and migrate validate dev", m.validate},
		Step{"migrate cleanup dev", m.cleanup},
		Step{"migrate discover dev", m.discover},
		Step{"Scan and audit", func(ctx context.Context) (_ string, err error) {
			if s.After, err = w.audit(ctx, "audit-after.html"); err == nil {
				s.Migration, err = m.end(ctx)
			}
			return s.After.String(), err
		}},
	)
}

// tellRotation rotates an API key, and lets the clock move while the database's
// secret rotates.
func (w *World) tellRotation(ctx context.Context, t *Teller, client *Client, s *Summary) error {
	// Before days pass: functions are dated by the machine's clock, as the feed is.
	steps := []Step{{"Rotate an API key between two services", func(ctx context.Context) (_ string, err error) {
		s.Key, err = w.rotateKey(ctx)
		return s.Key.String(), err
	}}}
	for i := range w.options.Rotations {
		steps = append(steps, Step{fmt.Sprintf("Let 30 days pass (%d of %d)", i+1, w.options.Rotations), func(ctx context.Context) (string, error) {
			return w.nextRotation(ctx, client)
		}})
	}
	if err := t.Steps(ctx, steps...); err != nil {
		return err
	}
	return w.summarise(ctx, s)
}

// tellLoss takes the primary region away.
func (w *World) tellLoss(ctx context.Context, t *Teller, client *Client, s *Summary) error {
	t.Chapter("A region goes dark", "Nothing in "+Region+" answers any more. What is cached goes on, the rest is read in "+Standby+";\nto be changed, the secrets fail over there, and come back.")
	return t.Steps(ctx,
		Step{"Take " + Region + " away from the services", func(ctx context.Context) (_ string, err error) {
			s.Loss.FirstRead, err = w.goDark(ctx, client)
			return fmt.Sprintf("the service logs in from its cache, %d failures so far; a new one read the replica after %d ms",
				len(client.Failures()), s.Loss.FirstRead.Milliseconds()), err
		}},
		Step{"recovery drill: lose the region, fail over, rotate there, fail back", func(ctx context.Context) (_ string, err error) {
			if s.Loss.Drill, err = w.drill(ctx); err == nil {
				err = client.await(ctx, total(client.Logins())+loginsPerSecond)
			}
			return s.Loss.String(), err
		}},
	)
}

// nextRotation moves the clock to behind the next scheduled rotation and waits
// until the client has logged in with what it brought.
func (w *World) nextRotation(ctx context.Context, client *Client) (string, error) {
	before, err := w.current(ctx)
	if err != nil {
		return "", err
	}
	if err := w.month(ctx); err != nil {
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
