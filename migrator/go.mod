module github.com/aistudio/secrets/migrator

go 1.26.0

require (
	github.com/aistudio/secrets/sdk v0.0.0
	github.com/stretchr/testify v1.12.1
	pgregory.net/rapid v1.3.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/aistudio/secrets/sdk => ../sdk
