module github.com/aistudio/secrets/rotators

go 1.26
