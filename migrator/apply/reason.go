package apply

import (
	"errors"
	"fmt"

	"github.com/aws/smithy-go"
)

// reason keeps of AWS's errors the code: their messages may quote what was sent.
// The error itself can still be looked for.
func reason(err error) error {
	if failed := smithy.APIError(nil); errors.As(err, &failed) {
		return &refused{failed}
	}
	return err
}

type refused struct{ smithy.APIError }

func (r *refused) Error() string { return fmt.Sprintf("AWS answered %s", r.ErrorCode()) }

func (r *refused) Unwrap() error { return r.APIError }
