// The external extension that the tests put into a layer: it writes the events
// that it gets to the file named in EXTENSION_LOG.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func main() {
	log.SetFlags(0)
	if os.Getenv("EXTENSION_CRASH") != "" {
		os.Exit(9)
	}
	if path := os.Getenv("EXTENSION_PID"); path != "" {
		if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
			log.Fatal(err)
		}
	}
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2020-01-01/extension"
	req, err := http.NewRequest(http.MethodPost, api+"/register", strings.NewReader(`{"events":["INVOKE","SHUTDOWN"]}`))
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Lambda-Extension-Name", filepath.Base(os.Args[0]))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()
	id := resp.Header.Get("Lambda-Extension-Identifier")
	note("registered for " + os.Getenv("AWS_LAMBDA_FUNCTION_NAME") + ", task root " + os.Getenv("LAMBDA_TASK_ROOT"))
	for {
		req, err := http.NewRequest(http.MethodGet, api+"/event/next", nil)
		if err != nil {
			log.Fatal(err)
		}
		req.Header.Set("Lambda-Extension-Identifier", id)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			log.Fatal(err)
		}
		var event struct{ EventType, RequestID, ShutdownReason string }
		err = json.NewDecoder(resp.Body).Decode(&event)
		resp.Body.Close()
		if err != nil {
			log.Fatal(err)
		}
		note(strings.TrimSpace(fmt.Sprintln(event.EventType, event.RequestID, event.ShutdownReason)))
		if event.EventType == "SHUTDOWN" {
			return
		}
	}
}

func note(line string) {
	fmt.Println("extension:", line)
	f, err := os.OpenFile(os.Getenv("EXTENSION_LOG"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, line); err != nil {
		log.Fatal(err)
	}
}
