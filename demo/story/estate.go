package story

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"golang.org/x/time/rate"

	"github.com/aistudio/secrets/sdk/spec"
)

// What the company has before the migration: a function, which is the program of
// demo/shop, and its role, by the same name.
const (
	shop          = "shop"
	keyVariable   = "WEBHOOK_SIGNING_KEY"
	tokenVariable = "PARTNER_TOKEN_PARAMETER"
	parameter     = "/shop/partner-token"
)

// invocationsPerSecond is how often the function is used.
const invocationsPerSecond = 20

// estate is what the company has, and what its users see of it.
type estate struct {
	*World
	functions  *lambda.Client
	key, token spec.Value // in the variable and in the parameter

	cancel context.CancelFunc
	done   sync.WaitGroup
	jump   sync.RWMutex // held while the clock jumps

	mu       sync.Mutex
	answers  int
	failures []string
}

// makeEstate makes the function and the parameter with values that nobody has
// seen.
func (w *World) makeEstate(ctx context.Context) (*estate, error) {
	config := w.Cloud.Config(Region)
	e := &estate{World: w, functions: lambda.NewFromConfig(config), key: spec.ValueString(rand.Text()), token: spec.ValueString(rand.Text())}
	program, err := w.options.program(shop)
	if err != nil {
		return nil, err
	}
	code, err := zipped(program)
	if err != nil {
		return nil, err
	}
	roles := iam.NewFromConfig(config)
	role, err := roles.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName:                 aws.String(shop),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
	})
	if err != nil {
		return nil, fmt.Errorf("create the role %s: %w", shop, err)
	}
	_, err = roles.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String(shop), PolicyName: aws.String("own"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"},
		{"Effect":"Allow","Action":"ssm:GetParameter","Resource":"arn:aws:ssm:*:*:parameter` + parameter + `"}]}`)})
	if err != nil {
		return nil, fmt.Errorf("give the role %s its rights: %w", shop, err)
	}
	_, err = ssm.NewFromConfig(config).PutParameter(ctx, &ssm.PutParameterInput{
		Name: aws.String(parameter), Value: aws.String(e.token.RevealString()), Type: ssmtypes.ParameterTypeString,
	})
	if err != nil {
		return nil, fmt.Errorf("put the parameter %s: %w", parameter, err)
	}
	_, err = e.functions.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String(shop), Role: role.Role.Arn, Handler: aws.String("bootstrap"), Timeout: aws.Int32(30),
		Runtime: lambdatypes.RuntimeProvidedal2023, Architectures: []lambdatypes.Architecture{lambdatypes.Architecture(architecture())},
		Code: &lambdatypes.FunctionCode{ZipFile: code},
		Environment: &lambdatypes.Environment{Variables: map[string]string{
			keyVariable: e.key.RevealString(), tokenVariable: parameter, "LOG_LEVEL": "info",
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("create the function %s: %w", shop, err)
	}
	return e, w.Cloud.Advance(ctx, time.Second) // until it is active
}

// zipped is a program as Lambda takes it.
func zipped(program string) ([]byte, error) {
	text, err := os.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("read the function's program: %w", err)
	}
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Store}
	header.SetMode(0o755)
	file, err := archive.CreateHeader(header)
	if err == nil {
		_, err = file.Write(text)
	}
	if err = errors.Join(err, archive.Close()); err != nil {
		return nil, fmt.Errorf("zip %s: %w", program, err)
	}
	return buffer.Bytes(), nil
}

// variables are those of the function, as they are now.
func (e *estate) variables(ctx context.Context) (map[string]string, error) {
	out, err := e.functions.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: aws.String(shop)})
	if err != nil {
		return nil, fmt.Errorf("look at the function %s: %w", shop, err)
	}
	return out.Environment.Variables, nil
}

// use invokes the function again and again, until stop.
func (e *estate) use(ctx context.Context) {
	ctx, e.cancel = context.WithCancel(ctx)
	e.done.Go(func() {
		pace := rate.NewLimiter(invocationsPerSecond, 1)
		for pace.Wait(ctx) == nil {
			e.jump.RLock()
			err := e.ask(ctx)
			e.jump.RUnlock()
			if ctx.Err() != nil {
				return
			}
			e.mu.Lock()
			if err != nil {
				e.failures = append(e.failures, err.Error())
			} else {
				e.answers++
			}
			e.mu.Unlock()
		}
	})
}

func (e *estate) stop() {
	if e.cancel != nil {
		e.cancel()
	}
	e.done.Wait()
}

// ask invokes the function once. It fails unless the answer is signed with both
// credentials.
func (e *estate) ask(ctx context.Context) error {
	message := rand.Text()
	payload, err := json.Marshal(map[string]string{"message": message})
	if err != nil {
		return err
	}
	out, err := e.functions.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(shop), Payload: payload})
	if err != nil {
		return fmt.Errorf("invoke %s: %w", shop, err)
	}
	if out.FunctionError != nil {
		return fmt.Errorf("%s failed: %s", shop, out.Payload)
	}
	var answer struct{ Key, Token string }
	if err := json.Unmarshal(out.Payload, &answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", shop, err)
	}
	if answer.Key != signature(e.key, message) || answer.Token != signature(e.token, message) {
		return fmt.Errorf("%s has signed with another credential", shop)
	}
	return nil
}

func signature(credential spec.Value, message string) string {
	mac := hmac.New(sha256.New, credential.Reveal())
	mac.Write([]byte(message))
	return hex.EncodeToString(mac.Sum(nil))
}

// advance moves the clock between two invocations: an hour within one would end
// the session of the function's role.
func (e *estate) advance(ctx context.Context, d time.Duration) error {
	e.jump.Lock()
	defer e.jump.Unlock()
	return e.Cloud.Advance(ctx, d)
}

// service tells how the function has done so far.
func (e *estate) service() (answers int, failures []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.answers, append([]string(nil), e.failures...)
}

// String is service in words.
func (e *estate) String() string {
	answers, failures := e.service()
	return fmt.Sprintf("%d answers of %s, %d failures", answers, shop, len(failures))
}

// await waits until the function has answered that often more, and fails if it
// hasn't once.
func (e *estate) await(ctx context.Context, more int) error {
	begun, _ := e.service()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		answers, failures := e.service()
		if len(failures) > 0 {
			return fmt.Errorf("%d invocations of %s failed, the first with: %s", len(failures), shop, strings.TrimSpace(failures[0]))
		}
		if answers >= begun+more {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for answers of %s: %w", shop, context.Cause(ctx))
		}
	}
}
