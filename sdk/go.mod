module github.com/aistudio/secrets/sdk

go 1.26
