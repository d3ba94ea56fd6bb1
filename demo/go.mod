module github.com/aistudio/secrets/demo

go 1.26
