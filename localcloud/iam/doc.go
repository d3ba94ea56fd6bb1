// Package iam reads AWS policy documents and decides by them.
package iam
