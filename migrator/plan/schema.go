package plan

import _ "embed" // of schema.json

//go:embed schema.json
var schema string

// Schema returns the JSON Schema of a plan (draft 2020-12), for editors that
// check YAML while it is written. Validate knows more.
func Schema() string { return schema }
