// Package apply carries a plan out: it makes the secrets, gives the services'
// roles the right to read them, and switches the services over, wave by wave and
// one at a time.
//
// Before the first write it reads all that the plan was made from again, and
// stops with a [ChangedError] if that is no longer the same. Values are read from
// where they are at the moment they are written, compared with the plan by their
// digests, written byte for byte, and read back.
//
// Every write is in the journal (package journal) before and after. Each step
// looks at how things are and does what is missing, so an apply that was killed
// at any point goes on when it is run again, and one that is complete changes
// nothing. Nothing is overwritten that somebody else changed: Lambda's RevisionId,
// Secrets Manager's request tokens and staging labels see to it, and ECS, which
// has nothing of the kind, is read before and after.
package apply
