// Package plan decides what a migration does, and writes it down for people to
// review and edit.
//
// A plan is made in two steps, since what AWS is asked depends on what is wanted:
//
//	draft, err := plan.Make(settings, estate, classifier, key, plan.Facts{})
//	facts, err := plan.ReadFacts(ctx, config, draft, estate, key, nil)
//	made, err := plan.Make(settings, estate, classifier, key, facts)
//
// [Write] writes it as YAML and [Load] reads it again after it was edited;
// [Check] tells in what the estate has changed since, and [Renew] makes a new plan
// that keeps what people changed. [Summary] is for the terminal, [Catalogue] for
// the stack's file.
//
// # What becomes a secret
//
//   - The settings that describe a login (package classify, Related) become one
//     secret with AWS's JSON keys. Of these only the user name and the password
//     move: they change when the login is rotated. Host, port and database are in
//     the secret too, and stay in their variables.
//   - Any other setting that is a secret becomes one of its own, byte for byte. So
//     does a parameter that a variable names or ECS injects; one that was encrypted
//     is a secret whatever it looks like.
//   - The same value in several services becomes one secret, of the service
//     "shared": if it has 20 bytes or more, or if its variables have one name.
//     Equal short values under different names may be chance.
//   - A parameter that no service names becomes a secret only if the settings say
//     whose it is: who reads it can't be seen.
//
// # Values
//
// No value is in a plan, a difference, a summary or a patch: values are compared by
// their digests (package digest). The catalogue's entries name the host and the
// user of a database login, unless the classifier takes them for secrets.
package plan
