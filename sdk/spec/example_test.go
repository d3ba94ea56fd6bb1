package spec_test

import (
	"fmt"
	"log"

	"github.com/aistudio/secrets/sdk/spec"
)

func ExampleParseName() {
	name, err := spec.ParseName("acme/prod/shop/orders-db")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(name.Environment, name.Service)
	_, err = spec.ParseName("acme/prod/shop/db-backup")
	fmt.Println(err)
	// Output:
	// prod shop
	// secret name "acme/prod/shop/db-backup": it ends in a hyphen and six characters, which Secrets Manager mistakes for the end of an ARN: choose another ending than "-backup"
}

func ExampleValue() {
	password := spec.ValueString("correct horse")
	fmt.Printf("%v %+v %q %x\n", password, struct{ Password spec.Value }{password}, password, password)
	fmt.Println(len(password.Reveal()))
	// Output:
	// [redacted] {Password:[redacted]} [redacted] [redacted]
	// 13
}

func ExampleParseDatabase() {
	secret := spec.ValueString(`{"engine":"postgres","host":"db.internal","username":"shop","password":"one","team":"orders"}`)
	database, err := spec.ParseDatabase(secret)
	if err != nil {
		log.Fatal(err)
	}
	database.Password = spec.ValueString("two")
	changed, err := database.Encode()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(changed.RevealString())
	// Output: {"engine":"postgres","host":"db.internal","username":"shop","password":"two","team":"orders"}
}
