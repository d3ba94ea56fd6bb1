package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
	executor "github.com/aistudio/secrets/localcloud/lambda"
)

// traceSink is where the segments of functions with active tracing go.
type traceSink interface {
	Put(ctx context.Context, caller api.Caller, region string, document []byte) error
}

// sampled makes the trace header of an invocation that X-Ray shall show. AWS
// samples; the emulator takes all.
// https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
func sampled(now time.Time) string {
	digits := strings.ReplaceAll(uuid.NewString()+uuid.NewString(), "-", "")
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=1", now.Unix(), digits[:24], digits[24:40])
}

// trace sends the segment of an invocation to X-Ray, as far as the function's
// role may: Lambda writes in the role's name.
func (s *Service) trace(ctx context.Context, f *function, v *version, header string, began time.Time, failed bool) {
	root, sampledIn := "", false
	for _, field := range strings.Split(header, ";") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(field), "="); name {
		case "Root":
			root = value
		case "Sampled":
			sampledIn = value == "1"
		}
	}
	if root == "" || !sampledIn {
		return
	}
	document, err := json.Marshal(map[string]any{
		"id": strings.ReplaceAll(uuid.NewString(), "-", "")[:16], "trace_id": root, "name": f.name,
		"start_time": seconds(began), "end_time": seconds(s.env.Clock.Now()),
		"origin": "AWS::Lambda::Function", "resource_arn": f.arn(), "fault": failed,
	})
	if err != nil {
		s.env.Log.ErrorContext(ctx, "segment not encoded", "function", f.name, "error", err)
		return
	}
	caller := roleCaller(executor.Function{Name: f.name, Account: f.account, Role: v.role})
	if err := s.traces.Put(context.WithoutCancel(ctx), caller, f.region, document); err != nil {
		s.env.Log.DebugContext(ctx, "an invocation is not traced", "function", f.name, "error", err)
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
