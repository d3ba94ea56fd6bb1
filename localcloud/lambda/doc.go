// Package lambda runs Lambda functions: the real binaries, under the Runtime
// API and the Extensions API.
package lambda
