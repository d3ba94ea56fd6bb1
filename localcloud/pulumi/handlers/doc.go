// Package handlers deploys pulumi-aws resources into a local cloud.
//
// It maps a resource token such as "aws:kms/key:Key" to the calls of the AWS
// SDK that create, read, update and delete that resource. The properties, their
// defaults and what forces a replacement are those of the pulumi-aws schema,
// version 6.83.4, for the part of it that the handlers support; whatever they
// don't support is refused by name, never dropped in silence.
//
// A resource type is one struct: its fields are the properties, and the "prop"
// tag of a field says how Pulumi treats it (see property). Beside it stand four
// functions that make the calls. Nothing here knows whether Pulumi's engine or
// its mock monitor is asking; packages provider and mocks are the adapters.
package handlers
