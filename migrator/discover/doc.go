// Package discover reads a company's estate: the Lambda functions with their
// published versions and aliases, the services, task definitions and scheduled
// tasks of ECS, and the parameters of the Parameter Store, with all of their
// settings.
//
// Tasks that are started by hand or by other services can't be listed; what they
// start from is among the task definitions.
//
// It only reads. What it may not or can't read is in the result as [Unread],
// never left out: a setting that nobody could look at is not clean.
//
// Values stay in memory as [spec.Value], which prints as [redacted].
package discover
