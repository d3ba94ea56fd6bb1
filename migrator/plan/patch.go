package plan

import (
	"fmt"
	"strings"
)

// patch is what to change in the tool that owns a service. It names variables
// and secrets, and holds no value.
func (m *maker) patch(s Service) string {
	var out strings.Builder
	w := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	comment := "#"
	switch tool := strings.ToLower(s.ManagedBy); {
	case strings.HasPrefix(tool, "pulumi"):
		comment = "//"
		m.patchPulumi(s, w)
	case strings.HasPrefix(tool, "cloudformation"):
		m.patchCloudFormation(s, w)
	default:
		m.patchTerraform(s, w)
	}
	head := fmt.Sprintf("%s %s: %s", comment, s.ID, "let these variables follow their secrets.")
	if s.How == ByInjection {
		head = fmt.Sprintf("%s %s: take these variables out of the environment, and inject them.", comment, s.ID)
	}
	return head + "\n" + out.String()
}

type printer func(format string, args ...any)

func (m *maker) patchTerraform(s Service, w printer) {
	if s.How == ByReference {
		w("environment {")
		w("  variables = {")
		for _, v := range s.Variables {
			name, value := v.Reference()
			w("    %s = %q", name, value)
		}
		w("  }")
		w("}")
		return
	}
	secrets := secretsOf(s)
	for _, name := range secrets {
		w("data \"aws_secretsmanager_secret\" %q {", identifierIn(name))
		w("  name = %q", name)
		w("}")
	}
	for _, container := range containersOf(s) {
		w("# container %s", container)
		w("secrets = [")
		for _, v := range s.Variables {
			if v.Container == container {
				w("  { name = %q, valueFrom = %q },", v.Name, v.ValueFrom("${data.aws_secretsmanager_secret."+identifierIn(v.Secret)+".arn}"))
			}
		}
		w("]")
	}
}

// patchCloudFormation serves CloudFormation, SAM, the CDK's templates and the
// Serverless Framework alike: all have Environment.Variables and Secrets.
func (m *maker) patchCloudFormation(s Service, w printer) {
	if s.How == ByReference {
		w("Environment:")
		w("  Variables:")
		for _, v := range s.Variables {
			name, value := v.Reference()
			w("    %s: %s", name, value)
		}
		return
	}
	w("Parameters: # the secrets' ARNs: aws secretsmanager describe-secret --secret-id <name> --query ARN")
	for _, name := range secretsOf(s) {
		w("  %s: # %s", logicalID(name), name)
		w("    Type: String")
	}
	w("ContainerDefinitions:")
	for _, container := range containersOf(s) {
		w("  - Name: %s", container)
		w("    Secrets:")
		for _, v := range s.Variables {
			if v.Container == container {
				w("      - Name: %s", v.Name)
				w("        ValueFrom: !Sub %q", v.ValueFrom("${"+logicalID(v.Secret)+"}"))
			}
		}
	}
}

func (m *maker) patchPulumi(s Service, w printer) {
	if s.How == ByReference {
		w("Environment: &lambda.FunctionEnvironmentArgs{")
		w("\tVariables: pulumi.StringMap{")
		for _, v := range s.Variables {
			name, value := v.Reference()
			w("\t\t%q: pulumi.String(%q),", name, value)
		}
		w("\t},")
		w("},")
		return
	}
	for _, name := range secretsOf(s) {
		w("%s, err := secretsmanager.LookupSecret(ctx, &secretsmanager.LookupSecretArgs{Name: pulumi.StringRef(%q)})", variableID(name), name)
		w("if err != nil {")
		w("\treturn err")
		w("}")
	}
	for _, container := range containersOf(s) {
		w("// container %s", container)
		w("\"secrets\": []map[string]string{")
		for _, v := range s.Variables {
			if v.Container == container {
				from := variableID(v.Secret) + ".Arn"
				if rest := v.ValueFrom(""); rest != "" {
					from += fmt.Sprintf(" + %q", rest)
				}
				w("\t{\"name\": %q, \"valueFrom\": %s},", v.Name, from)
			}
		}
		w("},")
	}
}

func secretsOf(s Service) []string {
	var names []string
	for _, v := range s.Variables {
		names = append(names, v.Secret)
	}
	return sortedUnique(names)
}

func containersOf(s Service) []string {
	var names []string
	for _, v := range s.Variables {
		names = append(names, v.Container)
	}
	return sortedUnique(names)
}

// identifierIn is a secret's name as Terraform's identifiers are.
func identifierIn(name string) string {
	return strings.ReplaceAll(kebab(identifier(name)), "-", "_")
}

// logicalID is a secret's name as CloudFormation's logical IDs are.
func logicalID(name string) string {
	var out strings.Builder
	for word := range strings.SplitSeq(kebab(identifier(name)), "-") {
		out.WriteString(strings.ToUpper(word[:min(1, len(word))]) + word[min(1, len(word)):])
	}
	return out.String() + "Arn"
}

// variableID is a secret's name as Go's variables are.
func variableID(name string) string {
	id := strings.TrimSuffix(logicalID(name), "Arn")
	return strings.ToLower(id[:min(1, len(id))]) + id[min(1, len(id)):]
}
