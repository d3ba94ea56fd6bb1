package lambda

import (
	"fmt"
	"net/http"

	"github.com/aistudio/secrets/localcloud/api"
)

// userError is a client error in Lambda's form, which has a Type.
func userError(status int, code, format string, args ...any) *api.Error {
	e := api.StatusErrorf(status, code, format, args...)
	e.Fields = map[string]any{"Type": "User"}
	return e
}

func invalid(format string, args ...any) *api.Error {
	return userError(http.StatusBadRequest, "InvalidParameterValueException", format, args...)
}

// constraint is the error of a parameter that breaks its model's constraint.
func constraint(value any, member, rule string) *api.Error {
	return api.Errorf("ValidationException",
		"1 validation error detected: Value '%v' at '%s' failed to satisfy constraint: %s", value, member, rule)
}

func conflict(format string, args ...any) *api.Error {
	return userError(http.StatusConflict, "ResourceConflictException", format, args...)
}

func notFound(format string, args ...any) *api.Error {
	return userError(http.StatusNotFound, "ResourceNotFoundException", format, args...)
}

func functionNotFound(arn string) *api.Error { return notFound("Function not found: %s", arn) }

func preconditionFailed() *api.Error {
	return userError(http.StatusPreconditionFailed, "PreconditionFailedException",
		"The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
}

// unsupported is for what Lambda has and the emulator doesn't.
func unsupported(what string) *api.Error {
	return api.StatusErrorf(http.StatusNotImplemented, api.ErrUnsupportedMember, "The emulator does not support %s.", what)
}

// FunctionError is an invocation that ended in the function's error.
type FunctionError struct {
	FunctionARN string
	// Type and Message are the function's own words.
	Type    string
	Message string
}

func (e *FunctionError) Error() string {
	return fmt.Sprintf("the function %s failed: %s: %s", e.FunctionARN, e.Type, e.Message)
}
