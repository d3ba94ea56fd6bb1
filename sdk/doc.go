// Package secrets reads secrets from AWS Secrets Manager through a cache in
// the process.
package secrets
