// Package settings reads what a migration goes by: the stack's own file,
// Pulumi.<stack>.yaml, of which it uses the names and the region, and an optional
// migration.<stack>.yaml with what people have decided about the migration.
//
// All mistakes are reported at once, each with its place.
//
// # migration.<stack>.yaml
//
// The reference is docs/migration-settings.md. Everything is optional. Patterns are
// those of path.Match without regard to case: * stands for anything but a slash;
// /** at the end stands for all that is below. Services are written
// lambda/<function>, ecs/<cluster>/<service>, rule/<rule>/<target> (on another bus
// than the default one rule/<bus>/<rule>/<target>) and schedule/<group>/<name>;
// parameters begin with parameter: and have their name, as in
// parameter:/shop/db/password.
//
//	mode: dual-read           # the old value stays beside the reference until the cleanup (default), or final
//	dataClassification: confidential
//
//	classify:                 # variables and parameters by their names; /** has no meaning here
//	  secrets: ["*_SIGNING_SALT"]
//	  notSecrets: [PUBLIC_*]
//
//	services:                 # third segment of the secrets' names, and the tag Service
//	  lambda/orders-*: orders
//	  parameter:/shop/**: shop   # parameters that no service names move only if they are here
//	serviceTags: [Service]    # tags that name a resource's service; this is the default
//	owners:                   # the tag Owner
//	  lambda/orders-*: team-orders
//	ownerTags: [Owner, Team]  # tags that name a resource's team; this is the default
//
//	skip:                     # what stays as it is; a reason is needed
//	  - {service: lambda/legacy-*, reason: switched off in June}
//	  - {service: ecs/main/*, variable: TRACE_*, reason: not used}
//	  - {parameter: /old/**, reason: nobody reads it}
//	separate: ["*_PASSWORD"]  # never one secret for several services, even if their values are the same
//
//	waves: [1, 5, 20]         # services in the first wave, the second and each later one; 1, 2, 4, 8 … by default
//	how:                      # ECS alone: injection (default) or reference
//	  ecs/main/web: reference
//	aliases:                  # aliases of functions that move to a new version
//	  lambda/orders-api: [live]
//	policyLimit: 10240        # characters that a role's inline policies may have together; IAM's default
package settings
