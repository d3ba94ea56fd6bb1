// Package journal keeps what a migration did, so that one that was killed at any
// point can go on where it was, be undone, or be cleaned up.
//
// The folder of a migration, migration/<stack>/, is its owner's alone (0700) and
// holds journal.jsonl: one entry a line, appended and synced to the disk before
// the next thing happens. Around every write to AWS there are two entries, one
// that says what is about to be done and one that says it is done. An entry
// repeats all that is known of its subject, so the last one of each subject is
// the state. A line that a crash cut short is at the end and is dropped: what it
// was to tell hadn't begun.
//
// The journal holds no values: names, version ids, and digests by the
// migration's key (package digest).
package journal
