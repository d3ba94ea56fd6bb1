package program

import "github.com/aistudio/secrets/infra/catalogue"

// ReadStackFile returns the configuration in a Pulumi.<stack>.yaml as Pulumi
// hands it to a program. It is for those who run the program without the
// Pulumi CLI.
func ReadStackFile(path string) (map[string]string, error) { return catalogue.ReadValues(path) }
