module github.com/aistudio/secrets/localcloud

go 1.26
