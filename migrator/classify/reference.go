package classify

import (
	"regexp"
	"strings"
)

// references are values that name the place of a secret, or of anything else.
var references = []struct {
	form   *regexp.Regexp
	reason string
}{
	{regexp.MustCompile(`^arn:aws[a-z-]*:secretsmanager:`), "the ARN of a secret in Secrets Manager"},
	{regexp.MustCompile(`^arn:aws[a-z-]*:ssm:`), "the ARN of a parameter"},
	{regexp.MustCompile(`^arn:aws[a-z-]*:[a-z0-9-]+:`), "an ARN"},
	{regexp.MustCompile(`^\{\{resolve:(secretsmanager|ssm|ssm-secure):[^}]+\}\}$`), "a dynamic reference of CloudFormation"},
	{regexp.MustCompile(`^/aws/reference/secretsmanager/`), "a reference from Parameter Store to Secrets Manager"},
	{regexp.MustCompile(`^(ssm|awsssm|secretsmanager|awssm|aws-sm|vault|op|doppler|sops|gcpsm|ref\+[a-z]+)(://|:/?)[^\s@]+$`), "a reference to a store of secrets"},
	{regexp.MustCompile(`^\$\{[^}]+\}$|^\$\([^)]+\)$|^\$[A-Z_][A-Z0-9_]*$|^%[A-Z_][A-Z0-9_]*%$`), "a reference to another variable"},
	{regexp.MustCompile(`^\{\{[^}]+\}\}$|^<%=.*%>$`), "a placeholder of a template"},
	{regexp.MustCompile(`(?i)^<[a-z0-9 _.-]+>$`), "a placeholder"},
	{regexp.MustCompile(`(?i)^(s3|gs|az|file)://`), "the address of a file"},
	{regexp.MustCompile(`^https://[0-9a-f]{32}@(?:o\d+\.)?[a-z0-9.-]*sentry\.io/\d+$`), "a DSN of Sentry, which clients publish"},
}

func referenceIn(value string) (reason string, ok bool) {
	value = strings.TrimSpace(value)
	for _, r := range references {
		if r.form.MatchString(value) {
			return r.reason, true
		}
	}
	return "", false
}
