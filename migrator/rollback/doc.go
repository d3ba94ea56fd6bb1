// Package rollback undoes an apply from its journal, at any time before the
// cleanup: services get back what they had, roles lose what they were given, and
// the secrets stay unless their deletion is asked for.
//
// What was in a service is still there in dual-read mode, in the old revision of
// a task definition, and in the old version of a function; in final mode it
// comes back from the secret, whose version is compared first. It refuses where a
// secret has been rotated since the migration wrote it: the old value is of no
// use then.
//
// Like an apply it can be killed at any point and run again, and overwrites
// nothing that somebody else changed.
package rollback
