// Package source finds credentials that are written into a tree of files:
// programs, configuration, scripts.
//
// Each line gives pairs of a name and a value, in the ways that languages and
// formats write them, and package classify judges them. What has the form of a
// known credential is found anywhere in a line. A program's source holds many
// names of secrets that stand beside words (a label, a key of a map), so there a
// plain word under such a name isn't enough; in configuration it is.
//
// What git ignores, binary files, dependencies and lock files are left out. A
// line with the comment migrate:allow is, too, and so are the files that a
// pattern allows.
//
// # Why this isn't gitleaks
//
// gitleaks can be used as a library. Of the 26 credentials in the tree that this
// package is tested with, version 8.30.0 finds 7 (TestGitleaksOnTheTree): the
// tokens of known issuers and random keys, but no password in a connection
// string, no short one and none made of words. On settings it finds 57 of 100
// secrets, where package classify finds 97 (see its testdata). For that it would
// add 371 packages and 12.8 MB to a program, and 72 ms to its start. So it isn't
// used; whoever wants a second opinion runs it beside.
//
// The tree was made with this package, so it says little about false alarms. Code
// that it wasn't made with says more: in 3,315 files of the AWS SDK for Go, the
// Pulumi SDK, cobra, viper and go-sql-driver/mysql, without their tests, it named
// 11 lines at first and 6 now, all of them constants of Pulumi's that look like
// keys.
package source
