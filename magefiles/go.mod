module github.com/aistudio/secrets/magefiles

go 1.26

require github.com/magefile/mage v1.17.2 // indirect

tool github.com/magefile/mage
