module github.com/aistudio/secrets/magefiles

go 1.26.0

require (
	github.com/magefile/mage v1.17.2
	golang.org/x/mod v0.43.0
)

require (
	github.com/stretchr/testify v1.12.1
	go.yaml.in/yaml/v3 v3.0.6 // indirect
)

tool github.com/magefile/mage
