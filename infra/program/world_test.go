package program_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/localdb"
	"github.com/aistudio/secrets/localcloud/pulumi/handlers"
	"github.com/aistudio/secrets/localcloud/pulumi/mocks"
)

const (
	region        = "us-east-1"
	replicaRegion = "us-west-2"
)

// world is a stack that is deployed into an emulator of AWS, with a database
// server and the real rotation function.
type world struct {
	cloud    *localcloud.Cloud
	postgres *localdb.Postgres
	stack    string
	record   *recorder
	monitor  *mocks.Monitor
	auditAt  time.Time                      // when the audit begins; zero: as the stack says
	adapt    func(config map[string]string) // what a test changes of the configuration; nil: nothing
}

// newWorld starts the server and the emulator and puts what the stack finds
// there: databases and master secrets.
func newWorld(t *testing.T, databases, masters []string, options ...localcloud.Option) *world {
	t.Helper()
	w := &world{}
	var err error
	w.postgres, err = localdb.StartPostgres(t.Context(), localdb.Options{Progress: func(line string) { t.Log(line) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.postgres.Close()) })
	w.cloud, err = localcloud.New(options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.cloud.Close()) })

	w.createOnCall(t)
	for _, name := range databases {
		w.createDatabase(t, name)
	}
	value, err := json.Marshal(map[string]any{
		"engine": "postgres", "host": w.postgres.Host, "port": w.postgres.Port, "dbname": "postgres",
		"username": w.postgres.AdminUser, "password": w.postgres.AdminPassword,
	})
	require.NoError(t, err)
	for _, name := range masters {
		master := &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String(string(value))}
		if strings.HasPrefix(name, "aistudio/prod/") {
			master.AddReplicaRegions = []smtypes.ReplicaRegionType{{Region: aws.String(replicaRegion)}}
		}
		_, err := secretsmanager.NewFromConfig(w.cloud.Config(region)).CreateSecret(t.Context(), master)
		require.NoError(t, err)
	}
	return w
}

// onCallARN is a queue that stands for the people who are told of failures.
const onCallARN = "arn:aws:sqs:" + region + ":" + accountID + ":on-call"

func (w *world) createOnCall(t *testing.T) {
	t.Helper()
	_, err := sqs.NewFromConfig(w.cloud.Config(region)).CreateQueue(t.Context(), &sqs.CreateQueueInput{
		QueueName: aws.String("on-call"),
		Attributes: map[string]string{"Policy": `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
			"Action": "sqs:SendMessage", "Resource": "` + onCallARN + `"}]}`},
	})
	require.NoError(t, err)
}

// receive takes all messages out of a queue.
func (w *world) receive(t *testing.T, queue string) []string {
	t.Helper()
	client := sqs.NewFromConfig(w.cloud.Config(region))
	url, err := client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &queue})
	require.NoError(t, err)
	var bodies []string
	for {
		received, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url.QueueUrl, MaxNumberOfMessages: 10})
		require.NoError(t, err)
		if len(received.Messages) == 0 {
			return bodies
		}
		for _, message := range received.Messages {
			bodies = append(bodies, *message.Body)
			_, err := client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: url.QueueUrl, ReceiptHandle: message.ReceiptHandle})
			require.NoError(t, err)
		}
	}
}

func (w *world) createDatabase(t *testing.T, name string) {
	t.Helper()
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d dbname=postgres sslmode=verify-full sslrootcert=%s",
		w.postgres.Host, w.postgres.Port, w.postgres.CAFile))
	require.NoError(t, err)
	config.User, config.Password = w.postgres.AdminUser, w.postgres.AdminPassword
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	_, err = conn.Exec(t.Context(), "create database "+name)
	require.NoError(t, err)
}

// config returns a stack's configuration with its servers and its functions on
// this machine.
func (w *world) config(t *testing.T, stack string) map[string]string {
	t.Helper()
	w.stack = stack
	config := stackConfig(t, stack)
	override(t, config, catalogue.KeyDatabases, map[string]any{"host": w.postgres.Host, "port": w.postgres.Port})
	override(t, config, catalogue.KeyRotators, map[string]any{"architecture": lambdaArchitecture()})
	change(t, config, catalogue.KeyRotators, func(rotators map[string]any) {
		rotators["database"].(map[string]any)["caFile"] = w.postgres.CAFile
	})
	change(t, config, catalogue.KeyCache, func(cache map[string]any) { cache["architectures"] = []string{lambdaArchitecture()} })
	change(t, config, catalogue.KeyAudit, func(audit map[string]any) {
		audit["architecture"] = lambdaArchitecture()
		if !w.auditAt.IsZero() {
			audit["hour"] = w.auditAt.Hour()
		}
		delete(audit, "configRules") // the emulator has no AWS Config
	})
	change(t, config, catalogue.KeyEvents, func(events map[string]any) {
		events["architecture"] = lambdaArchitecture()
		events["subscriptions"] = []map[string]string{{"protocol": "sqs", "endpoint": onCallARN}}
	})
	if w.adapt != nil {
		w.adapt(config)
	}
	return config
}

// deploy deploys a stack as the caller of a configuration.
func (w *world) deploy(t *testing.T, stack string, caller aws.Config) {
	t.Helper()
	credentials, err := caller.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	w.monitor, err = mocks.New(t.Context(), handlers.Config{
		Region: region, Endpoint: w.cloud.URL(),
		AccessKey: credentials.AccessKeyID, SecretKey: credentials.SecretAccessKey, SessionToken: credentials.SessionToken,
	})
	require.NoError(t, err)
	w.record = &recorder{next: w.monitor}
	require.NoError(t, deploy(w.record, w.config(t, stack), builtArchives(t)))
	require.NoError(t, w.cloud.Settle(t.Context()))
	require.Empty(t, w.cloud.Unsupported())
}

// override changes all entries of a key that holds a map of entries.
func override(t *testing.T, config map[string]string, key string, values map[string]any) {
	t.Helper()
	change(t, config, key, func(entries map[string]any) {
		for _, entry := range entries {
			maps.Copy(entry.(map[string]any), values)
		}
	})
}

// change changes the object at a key.
func change(t *testing.T, config map[string]string, key string, by func(map[string]any)) {
	t.Helper()
	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(config[key]), &object))
	by(object)
	text, err := json.Marshal(object)
	require.NoError(t, err)
	config[key] = string(text)
}

func lambdaArchitecture() string {
	if runtime.GOARCH == "amd64" {
		return "x86_64"
	}
	return runtime.GOARCH
}

// built is a folder for what the tests build once.
var built string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if built, err = os.MkdirTemp("", "infra-test-"); err != nil {
		fmt.Fprintln(os.Stderr, "make a folder for what the tests build:", err)
		return 1
	}
	defer os.RemoveAll(built)
	return m.Run()
}

// buildArchives builds the real functions and the layer into a folder.
var buildArchives = sync.OnceValues(func() (string, error) {
	folder := filepath.Join(built, "dist")
	for module, packages := range map[string][]string{
		"rotators": {"./cmd/rotate-database", "./cmd/rotate-api-key", "./cmd/rotate-custom", "./cmd/rotation-feed"},
		"auditor":  {"./cmd/auditor"},
		"migrator": {"./cmd/migration-scan"},
		"sdk":      {"./cmd/secrets-extension"},
	} {
		build := exec.Command("go", append([]string{"build", "-ldflags=-s -w", "-o", folder + "/"}, packages...)...)
		build.Dir = filepath.Join("..", "..", module)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build the functions of %s: %w: %s", module, err, output)
		}
	}
	for binary, archived := range map[string]struct{ archive, entry string }{
		"rotate-database":   {"rotate-database", "bootstrap"},
		"rotate-api-key":    {"rotate-api-key", "bootstrap"},
		"rotate-custom":     {"rotate-custom", "bootstrap"},
		"rotation-feed":     {"rotation-feed", "bootstrap"},
		"auditor":           {"auditor", "bootstrap"},
		"migration-scan":    {"migration-scan", "bootstrap"},
		"secrets-extension": {"secrets-extension-layer", "extensions/secrets-extension"},
	} {
		if err := zipProgram(filepath.Join(folder, binary), archived.entry, filepath.Join(folder, archived.archive+"_linux_"+runtime.GOARCH+".zip")); err != nil {
			return "", err
		}
	}
	return folder, nil
})

func zipProgram(binary, entry, archive string) error {
	code, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	var content bytes.Buffer
	zipped := zip.NewWriter(&content)
	header := &zip.FileHeader{Name: entry, Method: zip.Store}
	header.SetMode(0o755)
	file, err := zipped.CreateHeader(header)
	if err != nil {
		return err
	}
	if _, err := file.Write(code); err != nil {
		return err
	}
	if err := zipped.Close(); err != nil {
		return err
	}
	return os.WriteFile(archive, content.Bytes(), 0o600)
}

func builtArchives(t *testing.T) string {
	t.Helper()
	folder, err := buildArchives()
	require.NoError(t, err)
	return folder
}

// createRole makes a role whom IAM allows everything, and returns a session of
// it.
func (w *world) createRole(t *testing.T, name string) aws.Config {
	t.Helper()
	client := iam.NewFromConfig(w.cloud.Config(region))
	_, err := client.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trustAccount)})
	require.NoError(t, err)
	_, err = client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("all"), PolicyDocument: aws.String(allowAll)})
	require.NoError(t, err)
	return w.session(t, name)
}

const trustAccount = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "` + root + `"}, "Action": "sts:AssumeRole"}]}`

// session takes a role on as root, whom the emulator allows everything.
func (w *world) session(t *testing.T, role string) aws.Config {
	t.Helper()
	taken, err := assume(t.Context(), w.cloud.Config(region), role)
	require.NoError(t, err)
	return w.cloud.ConfigFor(region, *taken.AccessKeyId, *taken.SecretAccessKey, *taken.SessionToken)
}

func assume(ctx context.Context, config aws.Config, role string) (*types.Credentials, error) {
	taken, err := sts.NewFromConfig(config).AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn:         aws.String("arn:aws:iam::" + accountID + ":role/" + role),
		RoleSessionName: aws.String("test"),
	})
	if err != nil {
		return nil, err
	}
	return taken.Credentials, nil
}

// inReplica returns the configuration for the DR region.
func inReplica(config aws.Config) aws.Config {
	config.Region = replicaRegion
	return config
}
