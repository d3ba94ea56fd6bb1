// Package cleanup ends a migration after its soak: it takes the old values out of
// the services, deletes the SSM parameters, deregisters the revisions of task
// definitions that hold plaintext, and tells what still holds any. There is no
// rollback after it.
//
// It goes by the journal and by what the account has now, and refuses where it
// can't be sure: where the migration isn't validated, where a value isn't what was
// migrated, where something still names a parameter, or where CloudTrail knows of
// somebody who reads it.
//
// Before the first parameter is deleted, all of them are in a file in the
// migration's folder, encrypted under the stack's KMS key and read back from
// there; [Restore] puts them back for as long as the file is kept.
//
// Like an apply it can be killed at any point and run again.
package cleanup
