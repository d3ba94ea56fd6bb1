package discover

import (
	"errors"
	"slices"

	"github.com/aws/smithy-go"
)

func code(err error) string {
	if api := smithy.APIError(nil); errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func denied(err error) bool {
	return slices.Contains([]string{"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"}, code(err))
}

func gone(err error) bool {
	return slices.Contains([]string{"ResourceNotFoundException", "ParameterNotFound", "ClusterNotFoundException", "ServiceNotFoundException"}, code(err))
}

// refused tells of errors that say no for good and for one thing: those above,
// and what comes through from KMS about a key that can't be used.
func refused(err error) bool {
	return denied(err) || gone(err) || slices.Contains([]string{
		"InvalidKeyId", "KMSAccessDeniedException", "KMSDisabledException", "KMSInvalidStateException", "KMSNotFoundException", "ValidationException",
		"DisabledException", "NotFoundException", "KeyUnavailableException", "InvalidKeyUsageException", "IncorrectKeyException", "InvalidCiphertextException",
	}, code(err))
}

// reason is the error's code: AWS's messages may quote what was sent.
func reason(err error) string { return code(err) }
