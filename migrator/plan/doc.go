// Package plan decides what a migration does, and writes it down for people to
// review and edit.
package plan
