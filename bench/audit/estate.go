package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/bench/sandbox"
	"github.com/aistudio/secrets/localcloud"
)

const region = "us-east-1"

// measured is what a run took.
type measured struct {
	calls     int
	took, cpu time.Duration // cpu: of its own process
	memory    int64         // bytes resident at its peak; 0: nobody tells
}

// measure makes an estate of n secrets and audits it twice. dir is for the
// audit's files.
func measure(ctx context.Context, program, dir string, n int, progress func(string)) (first, second measured, err error) {
	// The command's clock is the real one.
	cloud, err := localcloud.New(localcloud.WithStart(time.Now().Add(-time.Hour)))
	if err != nil {
		return first, second, err
	}
	defer func() { err = errors.Join(err, cloud.Close()) }()
	progress("make " + grouped(n) + " secrets")
	if err := fill(ctx, cloud, n); err != nil {
		return first, second, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return first, second, err
	}
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte("policyReads: 1000000\n"), 0o600); err != nil {
		return first, second, err
	}
	progress("audit " + grouped(n) + " secrets, first run")
	if first, err = run(ctx, cloud.URL(), program, dir, n); err != nil {
		return first, second, err
	}
	progress("audit " + grouped(n) + " secrets, second run")
	second, err = run(ctx, cloud.URL(), program, dir, n)
	return first, second, err
}

// fill makes n secrets of 50 services and 10 teams.
func fill(ctx context.Context, cloud *localcloud.Cloud, n int) error {
	key, err := kms.NewFromConfig(cloud.Config(region)).CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil {
		return err
	}
	client := secretsmanager.NewFromConfig(cloud.Config(region))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range n {
		service := fmt.Sprintf("service%d", i%50)
		group.Go(func() error {
			in := &secretsmanager.CreateSecretInput{
				Name: aws.String(fmt.Sprintf("acme/prod/%s/secret%d", service, i)), SecretString: aws.String("value"), KmsKeyId: key.KeyMetadata.KeyId,
			}
			for _, tag := range [][2]string{
				{"Environment", "prod"}, {"Service", service}, {"Owner", fmt.Sprintf("team%d", i%10)},
				{"SecretType", "custom"}, {"DataClassification", "confidential"}, {"ManagedBy", "pulumi"},
			} {
				in.Tags = append(in.Tags, types.Tag{Key: &tag[0], Value: &tag[1]})
			}
			_, err := client.CreateSecret(ctx, in)
			return err
		})
	}
	return group.Wait()
}

// summary is the line in which the command says what it read.
var summary = regexp.MustCompile(`(?m)^(\d+) secrets, .* (\d+) calls to AWS$`)

// run audits once. The state of the run before is in dir.
func run(ctx context.Context, url, program, dir string, n int) (measured, error) {
	c := exec.CommandContext(ctx, program, "run", "--quiet", "--environment", "prod", "--quota-share", "1000",
		"--out", filepath.Join(dir, "out"), "--policy", filepath.Join(dir, "policy.yaml"))
	c.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+url, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION="+region)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	began := time.Now()
	if err := c.Start(); err != nil {
		return measured{}, err
	}
	ended, peak := make(chan struct{}), make(chan int64)
	go func() { peak <- sandbox.WatchMemory(c.Process.Pid, ended) }()
	err := c.Wait()
	m := measured{took: time.Since(began)}
	close(ended)
	m.memory, m.cpu = <-peak, c.ProcessState.UserTime()+c.ProcessState.SystemTime()
	// 1 is an audit with findings: the estate has no trail.
	found := summary.FindStringSubmatch(out.String())
	if c.ProcessState.ExitCode() != 1 || found == nil || found[1] != strconv.Itoa(n) {
		return m, fmt.Errorf("the audit wasn't one of %d secrets: %w\n%s", n, err, out.String())
	}
	m.calls, err = strconv.Atoi(found[2])
	return m, err
}
