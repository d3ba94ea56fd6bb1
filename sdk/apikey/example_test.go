package apikey_test

import (
	"fmt"
	"log"
	"net/http"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/apikey"
)

func Example() {
	keys := apikey.New(secrets.Default(), "acme/prod/shop/partner-key")
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		match, _ := apikey.FromContext(r.Context())
		fmt.Fprintln(w, "hello,", match.ID)
	})
	http.Handle("/orders", keys.Middleware(orders, nil))
	log.Fatal(http.ListenAndServe("localhost:8080", nil))
}
