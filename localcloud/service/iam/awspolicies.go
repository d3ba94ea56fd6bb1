package iam

import (
	"embed"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	policy "github.com/aistudio/secrets/localcloud/iam"
)

const awsPolicyPrefix = "arn:aws:iam::aws:policy/"

// awsPolicyFiles are those of AWS's managed policies that deployments of this
// kind attach, as the AWS Managed Policy Reference Guide lists their
// permissions. The path below the folder is the policy's.
//
//go:embed awspolicies
var awsPolicyFiles embed.FS

// awsPolicies are read once; nobody changes them.
var awsPolicies = sync.OnceValue(func() map[string]*managedPolicy {
	policies := map[string]*managedPolicy{}
	for _, dir := range []string{"", "service-role/"} {
		files, err := awsPolicyFiles.ReadDir(path.Join("awspolicies", dir))
		if err != nil {
			panic(fmt.Sprintf("AWS's managed policies are part of the program: %v", err))
		}
		for _, f := range files {
			name, isPolicy := strings.CutSuffix(f.Name(), ".json")
			if !isPolicy {
				continue
			}
			text, err := awsPolicyFiles.ReadFile(path.Join("awspolicies", dir, f.Name()))
			if err != nil {
				panic(fmt.Sprintf("AWS's managed policies are part of the program: %v", err))
			}
			parsed, err := policy.Parse(policy.Identity, string(text))
			if err != nil {
				panic(fmt.Sprintf("AWS's managed policy %s: %v", name, err))
			}
			m := &managedPolicy{
				name: name, path: "/" + dir, arn: awsPolicyPrefix + dir + name, next: 1,
				id:      "ANPA" + strings.ToUpper(fmt.Sprintf("%017.17s", name)),
				created: time.Date(2015, time.April, 9, 15, 0, 0, 0, time.UTC),
			}
			m.current = m.add(document{string(text), parsed}, m.created)
			policies[m.arn] = m
		}
	}
	return policies
})
