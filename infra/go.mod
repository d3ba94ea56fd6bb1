module github.com/aistudio/secrets/infra

go 1.26
