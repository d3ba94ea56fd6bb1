module github.com/aistudio/secrets/localcloud/pulumi

go 1.26
