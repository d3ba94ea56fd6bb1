package inventory

import (
	"context"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// keepQuickReplies returns a configuration whose clients don't lose a reply that
// comes while net/http still looks whether the request's body has an end.
//
// By then smithy-go has closed the body, whose WriteTo says io.EOF; net/http
// takes that for a broken request and closes the connection that the reply comes
// from, and the call is made again. AWS is too far away for that, but an endpoint
// on the same machine isn't, and its calls couldn't be counted. Without a WriteTo
// the body is read as any other, and its end is no error.
func keepQuickReplies(cfg aws.Config) aws.Config {
	cfg = cfg.Copy()
	cfg.APIOptions = append(cfg.APIOptions, func(stack *middleware.Stack) error {
		return stack.Build.Add(middleware.BuildMiddlewareFunc("KeepQuickReplies",
			func(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (middleware.BuildOutput, middleware.Metadata, error) {
				request, ok := in.Request.(*smithyhttp.Request)
				if !ok {
					return next.HandleBuild(ctx, in)
				}
				if body, ok := request.GetStream().(io.ReadSeeker); ok {
					plain, err := request.SetStream(struct{ io.ReadSeeker }{body})
					if err != nil {
						return middleware.BuildOutput{}, middleware.Metadata{}, err
					}
					in.Request = plain
				}
				return next.HandleBuild(ctx, in)
			}), middleware.After)
	})
	return cfg
}
