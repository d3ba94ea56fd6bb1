// Package validate proves that a migration has worked, or tells what is missing
// for the proof.
//
// Each secret and each service of a plan is checked for what a person would look
// for: is the secret there, does it hold what its old places held, does the
// service use it, may the service's role read it, has somebody read it as that
// role, is the service healthy, and has it done for a soak time without its old
// value. A check passes, fails, or is unknown: what nobody could find out is
// never taken for good.
//
// Values are compared by digests and are in no report.
package validate
