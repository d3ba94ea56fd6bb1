package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/jackc/pgx/v5"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/localdb"
	"github.com/aistudio/secrets/sdk/spec"
)

// What the development stack calls things; see Pulumi.dev.yaml.
const (
	Region     = "us-east-1"
	SecretName = "aistudio/dev/orders/database"
	MasterName = "aistudio/dev/platform/postgres-admin"
	ReaderRole = "aistudio-dev-orders-reader"
	Rotator    = "aistudio-dev-rotate-database"

	databaseName = "orders"
	ownerRole    = "orders_owner"

	keyName      = "aistudio/dev/inference/gateway-key"
	keyOwnerRole = "aistudio-dev-inference-reader" // of the service that accepts the key
	keyUserRole  = "aistudio-dev-studio-reader"    // of the service that presents it
	feedTable    = "aistudio-dev-rotation-feed"
)

// Standby is the region of the replicas. The development stack of the file has
// none; the story gives it prod's.
const Standby = "us-west-2"

// World is what the story plays in: a PostgreSQL server, the emulator, and a
// folder with the stack's file.
type World struct {
	Cloud    *localcloud.Cloud
	Postgres *localdb.Postgres
	// Engine says what deployed the stack.
	Engine string
	// Dir is the folder of what is gone with the World: the stack's file, the
	// migration's folder, Pulumi's state.
	Dir string

	options Options
	config  map[string]string // the stack's
}

// Open makes a World and deploys the stack. Tell of each step goes to t. Close
// ends it all.
func Open(ctx context.Context, options Options, t *Teller) (*World, error) {
	w, err := begin(ctx, options, t)
	if err != nil {
		return nil, err
	}
	if err := t.Steps(ctx, w.deployment()...); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// begin makes a World in which nothing is deployed yet: it starts the database
// server and the emulator, and puts the administrator's credentials into Secrets
// Manager as an operator would.
func begin(ctx context.Context, options Options, t *Teller) (*World, error) {
	w := &World{options: options}
	var err error
	if w.Dir, err = os.MkdirTemp("", "demo-"); err != nil {
		return nil, fmt.Errorf("make a folder for the stack's file and the state: %w", err)
	}
	if err := t.Steps(ctx,
		Step{"Start a private PostgreSQL server", func(ctx context.Context) (string, error) { return w.startPostgres(ctx, t) }},
		Step{"Start the emulator of AWS", w.startCloud},
		Step{"Put the administrator's credentials into Secrets Manager", w.putMaster},
	); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	if err := w.configure(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// deployment are the steps that bring the stack.
func (w *World) deployment() []Step {
	return []Step{
		{"Deploy the development stack", w.deploy},
		{"Grant the service its rights in the database", w.grant},
	}
}

// startCloud starts the emulator. The trail, without which EventBridge hears
// nothing of Secrets Manager, is the stack's.
func (w *World) startCloud(context.Context) (string, error) {
	var err error
	if w.Cloud, err = localcloud.New(); err != nil {
		return "", err
	}
	return w.Cloud.URL(), nil
}

// Close stops everything that runs in the World, and removes its folder.
func (w *World) Close() error {
	var errs []error
	if w.Cloud != nil {
		errs = append(errs, w.Cloud.Close())
	}
	if w.Postgres != nil {
		errs = append(errs, w.Postgres.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(w.Dir))...)
}

func (w *World) startPostgres(ctx context.Context, t *Teller) (string, error) {
	var err error
	w.Postgres, err = localdb.StartPostgres(ctx, localdb.Options{Progress: t.Detail})
	if err != nil {
		return "", err
	}
	conn, err := w.connectAdmin(ctx, "postgres")
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+databaseName); err != nil {
		return "", fmt.Errorf("create the database %s: %w", databaseName, err)
	}
	return fmt.Sprintf("%s:%d, TLS with its own authority", w.Postgres.Host, w.Postgres.Port), nil
}

// grant is what a database administrator does for the application: rights go to
// the role that both of its users act as, and so outlive every rotation.
func (w *World) grant(ctx context.Context) (string, error) {
	conn, err := w.connectAdmin(ctx, databaseName)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "GRANT CREATE ON SCHEMA public TO "+ownerRole); err != nil {
		return "", fmt.Errorf("grant rights to %s: %w", ownerRole, err)
	}
	return "CREATE ON SCHEMA public TO " + ownerRole, nil
}

// putMaster is what an operator does once for a database server: its
// administrator's credentials go into a secret, from which the rotation
// function makes users, in both regions. On AWS, RDS does it.
func (w *World) putMaster(ctx context.Context) (string, error) {
	value, err := json.Marshal(map[string]any{
		"engine":   "postgres",
		"host":     w.Postgres.Host,
		"port":     w.Postgres.Port,
		"dbname":   "postgres",
		"username": w.Postgres.AdminUser,
		"password": w.Postgres.AdminPassword,
	})
	if err != nil {
		return "", fmt.Errorf("encode the administrator's credentials: %w", err)
	}
	tags := map[string]string{
		spec.TagEnvironment: "dev", spec.TagService: "platform", spec.TagOwner: "platform-team",
		spec.TagSecretType: spec.KindDatabase.String(), spec.TagDataClassification: "restricted", spec.TagManagedBy: "operator",
	}
	in := &secretsmanager.CreateSecretInput{
		Name: aws.String(MasterName), SecretString: aws.String(string(value)),
		AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(Standby)}},
	}
	for key, v := range tags {
		in.Tags = append(in.Tags, types.Tag{Key: &key, Value: &v})
	}
	if _, err := secretsmanager.NewFromConfig(w.Cloud.Config(Region)).CreateSecret(ctx, in); err != nil {
		return "", fmt.Errorf("create the secret %s: %w", MasterName, err)
	}
	return MasterName, nil
}

// connectAdmin logs in as the server's administrator.
func (w *World) connectAdmin(ctx context.Context, database string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d dbname=%s sslmode=verify-full sslrootcert=%s",
		w.Postgres.Host, w.Postgres.Port, database, w.Postgres.CAFile))
	if err != nil {
		return nil, fmt.Errorf("configure the administrator's connection: %w", err)
	}
	config.User, config.Password = w.Postgres.AdminUser, w.Postgres.AdminPassword
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("log in as the administrator: %w", err)
	}
	return conn, nil
}
