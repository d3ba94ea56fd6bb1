package mysql_test

import (
	"context"
	"log"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/dbconn/mysql"
)

func ExampleOpen() {
	db := mysql.Open(secrets.Default(), "acme/prod/shop/db", mysql.Options{})
	defer db.Close()
	if err := db.PingContext(context.Background()); err != nil {
		log.Fatal(err)
	}
}
