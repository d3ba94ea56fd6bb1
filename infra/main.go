// Command infra is the Pulumi program of Pulumi.yaml: it deploys the managed
// secrets of a stack.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/program"
)

func main() {
	pulumi.Run(program.New(program.Options{Artifacts: "dist"}))
}
