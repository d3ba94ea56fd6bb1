package postgres_test

import (
	"context"
	"log"

	"github.com/jackc/pgx/v5/pgxpool"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/dbconn/postgres"
)

func ExampleOpen() {
	db := postgres.Open(secrets.Default(), "acme/prod/shop/db", postgres.Options{})
	defer db.Close()
	var now string
	if err := db.QueryRowContext(context.Background(), "select now()").Scan(&now); err != nil {
		log.Fatal(err)
	}
}

func ExampleConfigurePool() {
	ctx := context.Background()
	config, err := pgxpool.ParseConfig("pool_max_conns=10")
	if err != nil {
		log.Fatal(err)
	}
	postgres.ConfigurePool(config, secrets.Default(), "acme/prod/shop/db", postgres.Options{})
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
}
