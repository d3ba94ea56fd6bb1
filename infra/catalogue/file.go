package catalogue

import (
	"encoding/json"
	"fmt"
	"os"

	"gopkg.in/yaml.v3"
)

// ReadFile reads and checks the configuration in a Pulumi.<stack>.yaml, for
// programs that Pulumi doesn't run.
func ReadFile(path string) (Stack, error) {
	values, err := ReadValues(path)
	if err != nil {
		return Stack{}, err
	}
	stack, err := Parse(values)
	if err != nil {
		return Stack{}, fmt.Errorf("%s: %w", path, err)
	}
	return stack, nil
}

// ReadValues returns the configuration in a Pulumi.<stack>.yaml as Pulumi hands
// it to a program: texts as they are, everything else as JSON.
func ReadValues(path string) (map[string]string, error) {
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
