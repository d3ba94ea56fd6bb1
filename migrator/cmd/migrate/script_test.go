package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// programFolder is where the programs of functions are built.
var programFolder string

func TestMain(m *testing.M) {
	testscript.Main(run{m}, map[string]func(){"migrate": main})
}

// run makes a folder for the tests' programs, and removes it.
type run struct{ *testing.M }

func (r run) Run() int {
	var err error
	if programFolder, err = os.MkdirTemp("", "migrate-test-"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(programFolder)
	return r.M.Run()
}

// The program runs as a process, against the local cloud over HTTP.
func TestScripts(t *testing.T) {
	w := newWorld(t)
	w.function(function{name: "orders", environment: map[string]string{"DB_HOST": "db.dev.acme.internal", "DB_PORT": "5432", "DB_NAME": "orders", "DB_USER": "orders", "DB_PASSWORD": w.plant("canary-orders-9d2e51c7")}})
	w.advance(minute)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
				e.Setenv(name, os.Getenv(name))
			}
			w.root = e.WorkDir
			return os.WriteFile(e.WorkDir+"/Pulumi.dev.yaml", []byte(stackFile), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"migrate": func(ts *testscript.TestScript, negated bool, args []string) {
				want := exitDone
				if negated {
					want = exitCouldNot
				}
				w.process(ts, want, args)
			},
			"code": func(ts *testscript.TestScript, _ bool, args []string) {
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				w.process(ts, want, args[2:])
			},
			"json": isJSON,
			"edit": func(ts *testscript.TestScript, _ bool, args []string) {
				w.edit(args[0], args[1], args[2])
			},
		},
	})
	w.noCanaries()
}

// process runs the program, which must end with a code.
func (w *world) process(ts *testscript.TestScript, want int, args []string) {
	err := ts.Exec("migrate", args...)
	w.printed.WriteString(ts.ReadFile("stdout") + ts.ReadFile("stderr"))
	got := 0
	if err != nil {
		_, text, found := strings.Cut(err.Error(), "exit status ")
		if !found {
			ts.Fatalf("migrate %s: %v", strings.Join(args, " "), err)
		}
		got, err = strconv.Atoi(text)
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("migrate %s ended with %d and not %d", strings.Join(args, " "), got, want)
	}
}

// isJSON compares a member of the JSON on standard output: json a.0.b value.
func isJSON(ts *testscript.TestScript, _ bool, args []string) {
	var at any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &at))
	for _, step := range strings.Split(args[0], ".") {
		switch here := at.(type) {
		case map[string]any:
			at = here[step]
		case []any:
			i, err := strconv.Atoi(step)
			ts.Check(err)
			if i >= len(here) {
				ts.Fatalf("%s: there are %d", args[0], len(here))
			}
			at = here[i]
		}
	}
	if got := fmt.Sprint(at); got != args[1] {
		ts.Fatalf("%s is %s and not %s", args[0], got, args[1])
	}
}

// edit is somebody else's change of a function's variable.
func (w *world) edit(name, variable, value string) {
	environment := w.environment(name)
	environment[variable] = value
	_, err := w.lambda.UpdateFunctionConfiguration(w.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: &name, Environment: &lambdatypes.Environment{Variables: environment}})
	require.NoError(w, err)
	w.advance(time.Minute)
}
