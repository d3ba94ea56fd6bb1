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
// # What it finds
//
// On leaky-repo, a public tree of made-up leaks that counts its own (github.com/
// Plazmaz/leaky-repo, 96 lines in 42 files), it found 39 lines in 21 files at
// first contact and finds 62 in 31 now; the default rules of gitleaks 8.30.0 find
// 21 in 13. It leaves out hashes of passwords, dumps of databases, values that
// only their position tells of, and words that stand for a password in a program.
//
// False alarms: in 3,315 files of the AWS SDK for Go, the Pulumi SDK, cobra, viper
// and go-sql-driver/mysql, without their tests, it named 11 lines at first and 6
// later, all of them constants of Pulumi's that look like keys.
//
// # Why this isn't gitleaks
//
// gitleaks can be used as a library. Of the 30 credentials in the tree that this
// package is tested with it finds 7 (TestGitleaksOnTheTree), on settings 57 of 100
// where package classify finds 97 (see its testdata): the tokens of known issuers
// and random keys, but no password in a connection string, no short one and none
// made of words. For that it would add 371 packages and 12.8 MB to a program, and
// 72 ms to its start. So it isn't used; whoever wants a second opinion runs it
// beside.
package source
