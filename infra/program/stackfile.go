package program

import (
	"encoding/json"
	"fmt"
	"os"

	"gopkg.in/yaml.v3"
)

// ReadStackFile returns the configuration in a Pulumi.<stack>.yaml as Pulumi
// hands it to a program: texts as they are, everything else as JSON. It is for
// those who run the program without the Pulumi CLI.
func ReadStackFile(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the stack's configuration: %w", err)
	}
	var file struct {
		Config map[string]yaml.Node `yaml:"config"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read the stack's configuration %s: %w", path, err)
	}
	config := make(map[string]string, len(file.Config))
	for key, node := range file.Config {
		if node.Kind == yaml.ScalarNode {
			config[key] = node.Value
			continue
		}
		var value any
		if err := node.Decode(&value); err != nil {
			return nil, fmt.Errorf("read %s in %s: %w", key, path, err)
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("read %s in %s: %w", key, path, err)
		}
		config[key] = string(encoded)
	}
	return config, nil
}
