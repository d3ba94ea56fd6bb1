package program_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/infra/policy"
)

// placed is a policy that the program makes, or what becomes a statement of one.
type placed struct {
	where    string
	document policy.Document
}

// collectPolicies returns every policy that a program registers: of identities,
// of who may take on a role, of resources, and the permissions of functions and
// layers, of which Lambda makes statements.
func collectPolicies(t *testing.T, record *recorder) []placed {
	t.Helper()
	var all []placed
	for _, args := range record.resources {
		where := args.TypeToken[strings.LastIndexByte(args.TypeToken, ':')+1:] + " " + args.Name
		for _, property := range []resource.PropertyKey{"policy", "assumeRolePolicy"} {
			text, there := args.Inputs[property]
			if !there {
				continue
			}
			var document struct {
				Version   string
				Statement []policy.Statement
			}
			require.NoError(t, json.Unmarshal([]byte(text.StringValue()), &document), where)
			require.Equal(t, "2012-10-17", document.Version, "%s: older versions know no policy variables", where)
			all = append(all, placed{where, document.Statement})
		}
		if !strings.HasPrefix(args.TypeToken, "aws:lambda/") || !strings.HasSuffix(args.TypeToken, "ermission") {
			continue
		}
		statement := policy.Statement{
			Sid: "Permission", Effect: policy.Allow, Action: []string{args.Inputs["action"].StringValue()}, Resource: []string{policy.This}, Condition: policy.Condition{"StringEquals": {}},
		}
		if who := args.Inputs["principal"].StringValue(); strings.HasSuffix(who, ".amazonaws.com") {
			statement.Principal = &policy.Principal{Service: []string{who}}
		} else {
			statement.Principal = &policy.Principal{AWS: []string{who}}
		}
		for property, key := range map[resource.PropertyKey]string{"sourceAccount": "aws:SourceAccount", "sourceArn": "aws:SourceArn", "organizationId": "aws:PrincipalOrgID"} {
			if value, there := args.Inputs[property]; there {
				statement.Condition["StringEquals"][key] = []string{value.StringValue()}
			}
		}
		all = append(all, placed{where, policy.Document{statement}})
	}
	return all
}

// knownAction is a line of testdata/actions.txt.
type knownAction struct {
	onResources bool     // it can be allowed for some resources only
	keys        []string // condition keys of its service that it knows
}

// readActions reads the actions that the program's policies may name, with what
// AWS's Service Authorization Reference says of them.
func readActions(t *testing.T) map[string]knownAction {
	t.Helper()
	file, err := os.Open("testdata/actions.txt")
	require.NoError(t, err)
	defer file.Close()
	known := map[string]knownAction{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		require.GreaterOrEqual(t, len(fields), 2, lines.Text())
		known[fields[0]] = knownAction{fields[1] == "resources", fields[2:]}
	}
	return known
}

// globalKeys are the condition keys in use that are no service's own (IAM user
// guide, "AWS global condition context keys").
var globalKeys = []string{
	"aws:PrincipalArn", "aws:PrincipalOrgID", "aws:ResourceTag/Environment", "aws:ResourceTag/Service", "aws:SecureTransport", "aws:SourceAccount", "aws:SourceArn",
}

// onAll are the statements that allow actions on all resources though AWS could
// restrict them, and why.
var onAll = map[string]string{
	"Audit":             "an audit is for what nobody declared",
	"Discover":          "a scan is for what nobody told of",
	"NetworkInterfaces": "Lambda refuses a role that has less (Lambda developer guide, \"Giving Lambda functions access to resources in an Amazon VPC\")",
}

// Every policy of every stack names actions and condition keys that there are,
// and allows nothing on all resources that AWS can restrict.
func TestLeastPrivilege(t *testing.T) {
	known := readActions(t)
	used := map[string]bool{}
	for _, stack := range []string{"dev", "staging", "prod", "everything"} {
		t.Run(stack, func(t *testing.T) {
			record := &recorder{next: paperFor("prod")}
			if stack == "everything" {
				require.NoError(t, deploy(record, everything(t), artifacts(t)))
			} else {
				record = deployOnPaper(t, stack)
			}
			policies := collectPolicies(t, record)
			require.NotEmpty(t, policies)
			for _, p := range policies {
				if strings.HasPrefix(p.where, "VpcEndpoint ") { // it lets through what others allow, of the account's own
					require.Len(t, p.document, 1)
					assert.Equal(t, []string{accountID}, p.document[0].Condition["StringEquals"]["aws:PrincipalAccount"], p.where)
					continue
				}
				for _, problem := range lint(p.document, known) {
					t.Errorf("%s: %s", p.where, problem)
				}
				for _, statement := range p.document {
					for _, action := range statement.Action {
						used[action] = true
					}
				}
			}
		})
	}
	for action := range known {
		assert.True(t, used[action], "no policy names %s: take it out of testdata/actions.txt", action)
	}
}

// IAM takes inline policies of 10,240 characters a role, managed ones of 6,144, and
// 10 of these a role (user guide, "IAM and AWS STS quotas"). A function that reaches
// as much as the catalogue lets it stays within.
func TestPoliciesFit(t *testing.T) {
	config := everything(t)
	databases, entries, cloud := map[string]any{}, map[string]any{}, paperFor("prod")
	stack := func() error {
		for key, object := range map[string]any{catalogue.KeyDatabases: databases, catalogue.KeyCatalogue: entries} {
			text, err := json.Marshal(object)
			require.NoError(t, err)
			config[key] = string(text)
		}
		_, err := catalogue.Parse(config)
		return err
	}
	for i := range 100 { // as many as there can be
		server := fmt.Sprintf("server-%d", i/3)
		secret := fmt.Sprintf("orders/%s-%d", strings.Repeat("x", 60), i)
		databases[server] = map[string]any{"engine": "postgres", "host": server, "master": "rds!cluster-" + server + "-0000-0000-0000-000000000000"}
		cloud.masters["rds!cluster-"+server+"-0000-0000-0000-000000000000"] = "arn:aws:kms:us-east-1:" + accountID + ":key/mrk-00000000000000000000000000000000"
		entries[secret] = map[string]any{"kind": "database", "owner": "o", "dataClassification": "c", "database": map[string]any{"server": server, "username": "u"}}
		if stack() != nil {
			delete(entries, secret)
			break
		}
	}
	require.NoError(t, stack())
	require.Greater(t, len(entries), 20)
	record := &recorder{next: cloud}
	require.NoError(t, deploy(record, config, artifacts(t)))
	attached := map[string]int{}
	for _, attachment := range record.named("aws:iam/rolePolicyAttachment:RolePolicyAttachment") {
		attached[attachment.Inputs["role"].StringValue()]++
	}
	for role, n := range attached {
		assert.LessOrEqual(t, n, 10, "policies of %s", role)
	}
	for token, most := range map[string]int{"aws:iam/rolePolicy:RolePolicy": 10_240, "aws:iam/policy:Policy": 6_144} {
		for name, args := range record.named(token) {
			text := args.Inputs["policy"].StringValue()
			// On paper the ARN of a secret is short.
			length := len(text) + strings.Count(text, "Secret/")*len("secretsmanager:us-gov-west-1:aistudio/prod/-abcdef")
			assert.LessOrEqual(t, length, most, "%s", name)
			if name == "rotate-database" {
				t.Logf("%s: %d characters for %d secrets and servers", name, length, len(entries))
			}
		}
	}
}

// everything is prod with what it leaves out.
func everything(t *testing.T) map[string]string {
	t.Helper()
	config := stackConfig(t, "prod")
	change(t, config, catalogue.KeyRotators, func(rotators map[string]any) {
		rotators["database"].(map[string]any)["vpc"] = map[string]any{"id": "vpc-1", "subnetIds": []string{"subnet-1"}, "endpoints": []string{"secretsmanager", "s3"}, "routeTableIds": []string{"rtb-1"}}
		rotators["database"].(map[string]any)["standby"] = map[string]any{"vpc": map[string]any{"id": "vpc-2", "subnetIds": []string{"subnet-2"}}}
		rotators["custom"].(map[string]any)["applier"] = "arn:aws:lambda:us-east-1:" + accountID + ":function:applier"
	})
	change(t, config, catalogue.KeyServices, func(services map[string]any) {
		services["orders"].(map[string]any)["access"] = "byTag"
		accounts := services["accounts"].(map[string]any)
		accounts["injected"], accounts["repositories"], accounts["logGroups"] = true, []string{"accounts"}, []string{"/ecs/accounts"}
	})
	change(t, config, catalogue.KeyCache, func(cache map[string]any) {
		cache["sharedWith"] = map[string]any{"accounts": []string{"210987654321"}, "organization": "o-a1b2c3d4e5"}
	})
	change(t, config, catalogue.KeyAudit, func(audit map[string]any) {
		audit["scan"] = map[string]any{"keys": []string{"arn:aws:kms:us-east-1:" + accountID + ":key/of-functions"}}
	})
	return config
}

// lint returns what is wrong with a policy.
func lint(document policy.Document, known map[string]knownAction) []string {
	var problems []string
	report := func(s policy.Statement, format string, args ...any) {
		problems = append(problems, "statement "+s.Sid+": "+fmt.Sprintf(format, args...))
	}
	sids := map[string]bool{}
	for _, s := range document {
		if s.Sid == "" || sids[s.Sid] {
			report(s, "its Sid is missing, or there twice")
		}
		sids[s.Sid] = true
		if len(s.Action) == 0 {
			report(s, "names no action")
		}
		for _, action := range s.Action {
			if strings.Contains(action, "*") {
				if s.Effect == policy.Allow || s.Sid != "WithoutTLS" {
					report(s, "%s is a pattern of actions", action)
				}
				continue
			}
			about, there := known[action]
			if !there {
				report(s, "%s isn't in testdata/actions.txt", action)
				continue
			}
			for _, values := range s.Condition {
				for key := range values {
					if !slices.Contains(globalKeys, key) && !slices.ContainsFunc(about.keys, func(known string) bool { return matchesKey(known, key) }) {
						report(s, "%s doesn't know the condition key %s: the statement would never match", action, key)
					}
				}
			}
			if s.Effect == policy.Allow && s.Principal == nil && slices.Contains(s.Resource, "*") && about.onResources && onAll[s.Sid] == "" {
				report(s, "%s is allowed on all resources, and AWS can restrict it", action)
			}
		}
		if s.Principal == nil && len(s.Resource) == 0 {
			report(s, "names no resource")
		}
		if s.Effect != policy.Allow || s.Principal == nil {
			continue
		}
		if slices.Contains(s.Principal.AWS, policy.Everyone) && len(s.Condition["StringEquals"]["aws:PrincipalOrgID"]) == 0 {
			report(s, "allows everyone")
		}
		// The confused deputy: a service acts for whom it says (IAM user guide).
		for _, service := range s.Principal.Service {
			if !bound(s, service) {
				report(s, "%s may come on behalf of any account", service)
			}
		}
	}
	return problems
}

// bound reports whether a statement ties a service to the stack's account.
func bound(s policy.Statement, service string) bool {
	for _, values := range s.Condition {
		for key := range values {
			switch {
			case key == "aws:SourceAccount", key == "aws:SourceArn", strings.HasPrefix(key, "kms:EncryptionContext:"), key == "kms:ViaService":
				return true
			}
		}
	}
	// EventBridge supports no condition in the policy of a topic (EventBridge user
	// guide, "Amazon SNS permissions").
	if service == "events.amazonaws.com" && slices.Equal(s.Action, []string{"sns:Publish"}) {
		return true
	}
	// These take on only a role that somebody of the role's own account has passed
	// them (IAM user guide, "Grant a user permissions to pass a role to an AWS
	// service"), and CloudTrail's guide shows its trust policy without a source.
	return slices.Equal(s.Action, []string{"sts:AssumeRole"}) && slices.Contains([]string{"lambda.amazonaws.com", "ecs-tasks.amazonaws.com", "cloudtrail.amazonaws.com"}, service)
}

// matchesKey compares a key with one of AWS's, of which some end in a name that
// the policy chooses: kms:EncryptionContext:${EncryptionContextKey}.
func matchesKey(known, key string) bool {
	before, _, open := strings.Cut(known, "${")
	return known == key || open && strings.HasPrefix(key, before)
}

// What lint is for: each mistake is found.
func TestLintFinds(t *testing.T) {
	known := map[string]knownAction{"kms:Decrypt": {true, []string{"kms:ViaService", "kms:EncryptionContext:${EncryptionContextKey}"}}, "xray:PutTraceSegments": {}}
	good := policy.Statement{Sid: "S", Effect: policy.Allow, Action: []string{"kms:Decrypt"}, Resource: []string{"arn"}, Condition: policy.Condition{"StringEquals": {"kms:EncryptionContext:SecretARN": {"a"}}}}
	require.Empty(t, lint(policy.Document{good, {Sid: "T", Effect: policy.Allow, Action: []string{"xray:PutTraceSegments"}, Resource: []string{"*"}}}, known))
	for want, spoil := range map[string]func(*policy.Statement){
		"isn't in testdata":              func(s *policy.Statement) { s.Action = []string{"kms:Decrpt"} },
		"is a pattern of actions":        func(s *policy.Statement) { s.Action = []string{"kms:*"} },
		"doesn't know the condition key": func(s *policy.Statement) { s.Condition = policy.Condition{"StringEquals": {"kms:ViaServices": {"a"}}} },
		"is allowed on all resources":    func(s *policy.Statement) { s.Resource = []string{"*"} },
		"names no resource":              func(s *policy.Statement) { s.Resource = nil },
		"Sid is missing":                 func(s *policy.Statement) { s.Sid = "" },
		"names no action":                func(s *policy.Statement) { s.Action = nil },
		"allows everyone":                func(s *policy.Statement) { s.Principal = &policy.Principal{AWS: []string{"*"}} },
		"on behalf of any account": func(s *policy.Statement) {
			s.Principal, s.Condition = &policy.Principal{Service: []string{"cloudwatch.amazonaws.com"}}, nil
		},
	} {
		bad := good
		spoil(&bad)
		assert.Contains(t, strings.Join(lint(policy.Document{bad}, known), "\n"), want)
	}
}
