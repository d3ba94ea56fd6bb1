package policy

// Trust returns the policy of a role that AWS services and principals of IAM
// may take on.
func Trust(services, principals []string) Document {
	return Document{{
		Sid:       "TakeOn",
		Effect:    Allow,
		Principal: &Principal{AWS: principals, Service: services},
		Action:    []string{"sts:AssumeRole"},
	}}
}
