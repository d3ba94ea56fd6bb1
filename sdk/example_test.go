package secrets_test

import (
	"context"
	"fmt"
	"log"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/secretstest"
	"github.com/aistudio/secrets/sdk/spec"
)

// exampleClient is what secrets.New(ctx) is in a service.
func exampleClient() (*secrets.Client, *secretstest.Store) {
	store := secretstest.New()
	store.Put("acme/prod/shop/api-token", "t0ken")
	store.Put("acme/prod/shop/mail", `{"host":"mail.internal","user":"shop","password":"one"}`)
	client, err := secrets.New(context.Background(), secrets.WithRegion("eu-west-1"), secrets.WithAPI(store.API))
	if err != nil {
		log.Fatal(err)
	}
	return client, store
}

func Example() {
	ctx := context.Background()
	client, _ := exampleClient() // secrets.New(ctx)
	defer client.Close()

	secret, err := client.Get(ctx, "acme/prod/shop/api-token")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(secret.Name, secret.Value) // the value doesn't print
	fmt.Println(len(secret.Value.RevealString()))
	// Output:
	// acme/prod/shop/api-token [redacted]
	// 5
}

func ExampleGetJSON() {
	ctx := context.Background()
	client, _ := exampleClient()
	defer client.Close()

	type mailbox struct {
		Host     string
		User     string
		Password spec.Value
	}
	mail, err := secrets.GetJSON[mailbox](ctx, client, "acme/prod/shop/mail")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%+v\n", mail)
	// Output: {Host:mail.internal User:shop Password:[redacted]}
}

func ExampleClient_Do() {
	ctx := context.Background()
	client, store := exampleClient()
	defer client.Close()

	accepted := "t0ken"
	call := func(_ context.Context, token secrets.Secret) error {
		if token.Value.RevealString() != accepted {
			fmt.Println("refused")
			return secrets.Refused(fmt.Errorf("HTTP status 401"))
		}
		fmt.Println("accepted")
		return nil
	}
	if err := client.Do(ctx, "acme/prod/shop/api-token", call); err != nil {
		log.Fatal(err)
	}

	accepted = "another" // a rotation
	store.Put("acme/prod/shop/api-token", accepted)
	if err := client.Do(ctx, "acme/prod/shop/api-token", call); err != nil {
		log.Fatal(err)
	}
	// Output:
	// accepted
	// refused
	// accepted
}

func ExampleStage() {
	ctx := context.Background()
	client, store := exampleClient()
	defer client.Close()
	store.Put("acme/prod/shop/api-token", "new")

	for _, stage := range []string{secrets.StageCurrent, secrets.StagePrevious} {
		token, err := client.GetString(ctx, "acme/prod/shop/api-token", secrets.Stage(stage))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(stage, token)
	}
	// Output:
	// AWSCURRENT new
	// AWSPREVIOUS t0ken
}

func ExampleClient_Prefetch() {
	ctx := context.Background()
	client, _ := exampleClient()
	defer client.Close()

	if err := client.Prefetch(ctx, "acme/prod/shop/api-token", "acme/prod/shop/mail"); err != nil {
		log.Print(err) // what could be read is cached
	}
	fmt.Println(client.Stats().Entries)
	// Output: 2
}
