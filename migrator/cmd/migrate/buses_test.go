package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/validate"
)

// secondBus stands before the local cloud, which has only the default event bus,
// and gives it one called orders: its rules are the default bus's whose names begin
// with "orders.".
func (w *world) secondBus() {
	w.Helper()
	cloud, err := url.Parse(w.cloud.URL())
	require.NoError(w, err)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(cloud) },
		ModifyResponse: func(out *http.Response) error {
			asked, _ := out.Request.Context().Value(busKey{}).(string)
			var answer map[string]any
			text, err := io.ReadAll(out.Body)
			if err == nil && asked != "" {
				err = json.Unmarshal(text, &answer)
			}
			if err != nil {
				return err
			}
			switch target := out.Request.Header.Get("X-Amz-Target"); {
			case asked == "" || out.StatusCode != http.StatusOK:
			case strings.HasSuffix(target, ".ListEventBuses"):
				answer["EventBuses"] = append(answer["EventBuses"].([]any), map[string]string{"Name": "orders", "Arn": "arn:aws:events:us-east-1:" + w.cloud.Account() + ":event-bus/orders"})
			case strings.HasSuffix(target, ".ListRuleNamesByTarget"):
				names := []string{}
				for _, name := range answer["RuleNames"].([]any) {
					if short, of := strings.CutPrefix(name.(string), "orders."); of == (asked == "orders") {
						names = append(names, short)
					}
				}
				answer["RuleNames"] = names
			}
			if asked != "" {
				if text, err = json.Marshal(answer); err != nil {
					return err
				}
				out.Header.Set("Content-Length", strconv.Itoa(len(text)))
			}
			out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
			return nil
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("X-Amz-Target"), "AWSEvents.") {
			var in map[string]any
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
				http.Error(out, err.Error(), http.StatusBadRequest)
				return
			}
			bus, _ := in["EventBusName"].(string)
			if bus == "orders" {
				delete(in, "EventBusName")
				if rule, ok := in["Rule"].(string); ok {
					in["Rule"] = "orders." + rule
				}
			}
			if arn, ok := in["ResourceARN"].(string); ok {
				in["ResourceARN"] = strings.Replace(arn, ":rule/orders/", ":rule/orders.", 1)
			}
			text, err := json.Marshal(in)
			if err != nil {
				http.Error(out, err.Error(), http.StatusBadRequest)
				return
			}
			if bus == "" {
				bus = "default"
			}
			r = r.WithContext(context.WithValue(r.Context(), busKey{}, bus))
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		}
		proxy.ServeHTTP(out, r)
	}))
	w.Cleanup(server.Close)
	w.Setenv("AWS_ENDPOINT_URL", server.URL)
}

type busKey struct{}

// A rule's name is its own only within its bus: two of a name on two buses are two
// services, from the plan to the rollback and its script.
func TestRulesOfOneNameOnTwoBuses(t *testing.T) {
	if testing.Short() {
		t.Skip("the aws CLI takes its time")
	}
	w := newWorld(t)
	w.secondBus()
	rules := eventbridge.NewFromConfig(w.cloud.Config(region))
	job := w.definition(task{name: "job", environment: map[string]string{"EXPORT_PASSWORD": w.canary()}})
	starter := w.role("starter", `{"Effect":"Allow","Action":["ecs:RunTask","iam:PassRole"],"Resource":"*"}`, nil)
	names := []string{"nightly", "orders.nightly"}
	for _, name := range names {
		_, err := rules.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: &name, ScheduleExpression: aws.String("rate(1 day)")})
		require.NoError(t, err)
		_, err = rules.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: &name, Targets: []eventtypes.Target{{
			Id: aws.String("task"), Arn: aws.String("arn:aws:ecs:us-east-1:" + w.cloud.Account() + ":cluster/" + cluster), RoleArn: &starter,
			EcsParameters: &eventtypes.EcsParameters{TaskDefinitionArn: &job},
		}}})
		require.NoError(t, err)
	}
	starts := func(name string) string {
		out, err := rules.ListTargetsByRule(t.Context(), &eventbridge.ListTargetsByRuleInput{Rule: &name})
		require.NoError(t, err)
		return *out.Targets[0].EcsParameters.TaskDefinitionArn
	}
	check := func(switched ...bool) {
		t.Helper()
		for i, name := range names {
			assert.Equal(t, switched[i], starts(name) != job, name)
		}
	}

	var p plan.Plan
	w.want(exitDone, &p, "plan", stack)
	require.Len(t, p.Services, 2)
	assert.Equal(t, "rule/nightly/task", p.Services[0].ID)
	assert.Equal(t, "rule/orders/nightly/task", p.Services[1].ID)
	assert.Len(t, p.Secrets, 1, "the same value of the same job")
	w.want(exitDone, nil, "apply", stack, "--yes", "--only", "rule/orders/nightly/task")
	check(false, true)
	w.want(exitDone, nil, "apply", stack, "--yes")
	check(true, true)
	var report validate.Report
	w.want(exitDone, &report, "validate", stack, "--soak", "0")
	switched := 0
	for _, c := range report.Checks {
		if c.Question == validate.Switched {
			switched++
			assert.Equal(t, validate.Pass, c.Result, c)
		}
	}
	assert.Equal(t, 2, switched)
	w.want(exitDone, nil, "rollback", stack, "--yes", "--only", "rule/nightly/task")
	check(false, true)

	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("no aws on this machine: the script was not run")
	}
	script := exec.CommandContext(t.Context(), "bash", filepath.Join(w.folder(), "rollback.sh"))
	script.Env = append(os.Environ(), "AWS_EC2_METADATA_DISABLED=true")
	said, err := script.CombinedOutput()
	require.NoError(t, err, string(said))
	check(false, false)
	w.want(exitDone, nil, "rollback", stack, "--yes")
	w.want(exitDone, nil, "apply", stack, "--yes")
	check(true, true)
	w.noCanaries()
}
