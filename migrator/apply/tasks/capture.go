package tasks

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// captured keeps a copy of the reply's body. The SDK drops members that it
// doesn't know, and a definition that is registered again must keep them.
func captured(body *[]byte) func(*ecs.Options) {
	keep := func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		response, ok := out.RawResponse.(*smithyhttp.Response)
		if err != nil || !ok {
			return out, metadata, err
		}
		all, err := io.ReadAll(response.Body)
		if err != nil {
			return out, metadata, fmt.Errorf("read ECS's reply: %w", err)
		}
		_ = response.Body.Close()
		*body = all
		response.Body = io.NopCloser(bytes.NewReader(all))
		return out, metadata, nil
	}
	return ecs.WithAPIOptions(func(stack *middleware.Stack) error {
		// After all others of the step, so that it is the first to see the response.
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("CaptureBody", keep), middleware.After)
	})
}
