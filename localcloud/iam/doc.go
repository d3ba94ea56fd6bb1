// Package iam reads AWS policy documents and decides by them, as the IAM user
// guide's "Policy evaluation logic" and "IAM JSON policy reference" say. It
// knows nothing of the cloud's state: the caller brings the policies that apply
// (see Policies) and the facts of the call (see Query).
package iam
