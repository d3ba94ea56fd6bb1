package dualread_test

import (
	"context"
	"log"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/dualread"
)

func Example() {
	ctx := context.Background()
	// Before: password := os.Getenv("DB_PASSWORD")
	reader := dualread.New(secrets.Default(), "acme/prod/shop/db", dualread.Env("DB_PASSWORD"), dualread.Options{
		Field: "password",
		Observe: func(ctx context.Context, r dualread.Result) {
			if r.Place == dualread.PlaceOld || r.Differ {
				log.Printf("dual read of %s: from the %s place, differ=%t: %v", r.SecretID, r.Place, r.Differ, r.Err)
			}
		},
	})
	password, err := reader.Value(ctx)
	if err != nil {
		log.Fatal(err)
	}
	log.Print(password) // [redacted]
}

func ExampleFromEnv() {
	ctx := context.Background()
	// Before: password := os.Getenv("DB_PASSWORD")
	reader, err := dualread.FromEnv(secrets.Default(), "DB_PASSWORD", dualread.Options{})
	if err != nil {
		log.Fatal(err)
	}
	password, err := reader.Value(ctx)
	if err != nil {
		log.Fatal(err)
	}
	log.Print(password) // [redacted]
}
