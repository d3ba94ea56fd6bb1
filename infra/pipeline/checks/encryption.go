package checks

import (
	"fmt"
	"regexp"
	"strings"
)

var secretEncrypted = Check{
	ID:      "secret-encrypted",
	Demands: "a secret and its replicas are encrypted with a key of ours",
	Why:     "The key that AWS manages for Secrets Manager can't be shut to others, replicated or audited by its policy (Secrets Manager user guide, \"Secret encryption and decryption\").",
	find: each([]string{typeSecret}, func(secret Resource) []string {
		var problems []string
		if !ours(secret.Inputs["kmsKeyId"]) {
			problems = append(problems, "kmsKeyId names no key of ours")
		}
		for i, replica := range secret.objects("replicas") {
			if !ours(replica["kmsKeyId"]) {
				problems = append(problems, fmt.Sprintf("replicas[%d].kmsKeyId names no key of ours", i))
			}
		}
		return problems
	}),
}

// ours tells whether a key isn't one that AWS manages.
func ours(key any) bool {
	text, isText := key.(string)
	return unknown(key) || (isText && text != "" && !strings.Contains(text, "alias/aws/"))
}

var noSecretValue = Check{
	ID:      "no-secret-value",
	Demands: "no resource gives a secret its value",
	Why:     "What a resource is given is in Pulumi's state, and in every backup of it. First values come from the rotation functions, or from people.",
	find: func(s stack) []Violation {
		var violations []Violation
		for _, resource := range s.resources {
			switch {
			case resource.Type == "aws:secretsmanager/secretVersion:SecretVersion":
				violations = append(violations, Violation{URN: resource.URN, Problem: "a SecretVersion holds a value"})
			case resource.Type == "aws:ssm/parameter:Parameter" && resource.text("type") == "SecureString":
				violations = append(violations, Violation{URN: resource.URN, Problem: "a SecureString parameter holds a value"})
			case strings.HasPrefix(resource.Type, "random:index/randomPassword:"):
				violations = append(violations, Violation{URN: resource.URN, Problem: "a generated password is kept in the state"})
			}
		}
		return violations
	},
}

var noPlaintext = Check{
	ID:      "no-plaintext",
	Demands: "neither the configuration nor an input looks like a credential",
	Why:     "Configuration is in git, and the variables of a Lambda function are read by whoever may look at it.",
	find: func(s stack) []Violation {
		var violations []Violation
		for key, value := range s.policy.Config {
			for _, leaf := range leaves(key, key, value) {
				if what := credential(leaf); what != "" {
					violations = append(violations, Violation{Problem: fmt.Sprintf("%s in the configuration looks like %s", leaf.path, what)})
				}
			}
		}
		for _, resource := range s.resources {
			for _, leaf := range leaves("inputs", "", resource.Inputs) {
				if what := credential(leaf); what != "" {
					violations = append(violations, Violation{URN: resource.URN, Problem: fmt.Sprintf("%s looks like %s", leaf.path, what)})
				}
			}
		}
		return violations
	},
}

// shapes are those of credentials that can be told by themselves.
var shapes = []struct {
	what  string
	shape *regexp.Regexp
}{
	{"an AWS access key", regexp.MustCompile(`\b(AKIA|ASIA)[A-Z2-7]{16}\b`)},
	{"a private key", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)},
	{"a token of GitHub", regexp.MustCompile(`\b(gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{50})`)},
	{"a token of Slack", regexp.MustCompile(`\bxox[abeoprs]-[A-Za-z0-9-]{10}`)},
	{"a key of Stripe", regexp.MustCompile(`\b[rs]k_(live|test)_[A-Za-z0-9]{16}`)},
	{"a JSON Web Token", regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.`)},
	{"a password in a URL", regexp.MustCompile(`[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s:@]+@`)},
}

var (
	// secretive is how the names of settings end that hold credentials.
	secretive = regexp.MustCompile(`(?i)(password|passwd|pwd|secret|token|api_?key|private_?key|access_?key|credentials?)$`)
	// reference is what points to a secret in place of being one: a name or path
	// with slashes, an ARN, a URL, an interval, a number, a word.
	reference = regexp.MustCompile(`^(arn:.*|[a-z]+://.*|[\w.@+=-]*/[\w/.@+=-]+|[0-9.]+[a-z]*|true|false|[A-Za-z][a-z]*([-_.][a-z]+)*)$`)
)

// credential says what kind of credential a text looks like, or "".
func credential(leaf leaf) string {
	for _, known := range shapes {
		if known.shape.MatchString(leaf.text) {
			return known.what
		}
	}
	if secretive.MatchString(leaf.key) && len(leaf.text) >= 8 && !strings.ContainsAny(leaf.text, " \n{}$") && !reference.MatchString(leaf.text) {
		return "a credential, by the name of the setting"
	}
	return ""
}

var keyRotates = Check{
	ID:      "key-rotates",
	Demands: "AWS rotates every key each year",
	Why:     "AWS Foundational Security Best Practices, KMS.4. A replica rotates with its primary.",
	find: each([]string{typeKey}, func(key Resource) []string {
		if spec := key.text("customerMasterKeySpec"); spec != "" && spec != "SYMMETRIC_DEFAULT" {
			return nil // AWS rotates symmetric keys only
		}
		if key.yes("enableKeyRotation") {
			return nil
		}
		return []string{"enableKeyRotation isn't true"}
	}),
}

var encryptedAtRest = Check{
	ID:      "encrypted-at-rest",
	Demands: "tables, topics and queues are encrypted with a KMS key, or a queue with SQS's own",
	Why:     "Without it DynamoDB's key belongs to AWS, which no trail tells of; topics of SNS aren't encrypted (AWS Foundational Security Best Practices, SNS.1, SQS.1).",
	find: each([]string{typeTable, typeTopic, typeQueue}, func(resource Resource) []string {
		switch resource.Type {
		case typeTable:
			encryption, _ := resource.Inputs["serverSideEncryption"].(map[string]any)
			if encryption["enabled"] == true || unknown(resource.Inputs["serverSideEncryption"]) || unknown(encryption["enabled"]) {
				return nil
			}
			return []string{"serverSideEncryption isn't enabled"}
		case typeQueue:
			if resource.set("kmsMasterKeyId") || resource.yes("sqsManagedSseEnabled") {
				return nil
			}
			return []string{"neither kmsMasterKeyId nor sqsManagedSseEnabled is set"}
		}
		if resource.set("kmsMasterKeyId") {
			return nil
		}
		return []string{"kmsMasterKeyId is missing"}
	}),
}
