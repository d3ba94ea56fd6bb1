package recovery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	secrets "github.com/aistudio/secrets/sdk"
)

// caller is somebody who reads secrets: a service, by its role, or the operator.
type caller struct {
	role    string // ARN; "": the operator
	reason  string // why the operator reads in place of a service
	config  aws.Config
	secrets []*Secret
}

// Readers counts who read the secrets in the DR region.
type Readers struct {
	ByService  int      `json:"byService"`  // secrets that were read with the role of a service
	ByOperator int      `json:"byOperator"` // those that were read with the operator's own rights
	Simulated  int      `json:"simulated"`  // those that services whose roles can't be taken on may read, as IAM says
	Why        []string `json:"why"`        // the operator's own; never null
}

// callers takes on the role of a service for each secret, as far as that is
// allowed: the first of its readers whose role can be taken on. Those that can't
// are returned too, by secret. STS is asked in the DR region, since the primary's is dark in a
// disaster.
func (e *Estate) callers(ctx context.Context, list []*Secret) ([]*caller, map[*Secret][]string, Readers, error) {
	identity, err := e.standby.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, nil, Readers{}, fmt.Errorf("ask STS in %s who you are: %w", e.standby.region, short(err))
	}
	arn := strings.SplitN(aws.ToString(identity.Arn), ":", 3)
	partition := "aws"
	if len(arn) > 1 {
		partition = arn[1]
	}
	roles := map[string]*caller{}
	operator := &caller{config: e.standby.config}
	readers := Readers{Why: []string{}}
	others := map[*Secret][]string{} // roles that can't be taken on
	why := map[string][]string{}     // roles by reason
	for _, s := range list {
		reads := operator
		if len(s.readers) == 0 {
			why["some are read by no service of the catalogue"] = nil
		}
		for _, role := range s.readers {
			name := "arn:" + partition + ":iam::" + aws.ToString(identity.Account) + ":" + role
			if roles[name] == nil {
				roles[name] = e.takeOn(ctx, name)
				if reason := roles[name].reason; reason != "" {
					why[reason] = append(why[reason], name)
				}
			}
			if roles[name].reason == "" {
				reads = roles[name]
				break
			}
			others[s] = append(others[s], name)
		}
		reads.secrets = append(reads.secrets, s)
		if reads == operator {
			readers.ByOperator++
		} else {
			readers.ByService++
		}
	}
	if ctx.Err() != nil {
		return nil, nil, Readers{}, context.Cause(ctx)
	}
	if readers.ByOperator > 0 {
		for _, reason := range slices.Sorted(maps.Keys(why)) {
			readers.Why = append(readers.Why, strings.TrimSuffix(reason+": "+few(why[reason]), ": "))
		}
	}
	all := []*caller{operator}
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		all = append(all, roles[name])
	}
	return slices.DeleteFunc(all, func(c *caller) bool { return len(c.secrets) == 0 }), others, readers, nil
}

func (e *Estate) takeOn(ctx context.Context, role string) *caller {
	c := &caller{role: role, config: e.standby.config.Copy()}
	provider := aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(e.standby.sts, role, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = "disaster-recovery"
	}))
	if _, err := provider.Retrieve(ctx); err != nil {
		c.reason = "roles that can't be taken on, " + strings.SplitN(short(err).Error(), ":", 2)[0]
		return c
	}
	c.config.Credentials = provider
	return c
}

// Reads are the times that reads through the SDK took.
type Reads struct {
	Count    int     `json:"count"`
	Failed   int     `json:"failed"`
	Failover int     `json:"failover"` // answered by another region than the first
	FirstMS  float64 `json:"firstMs"`  // the slowest of the clients' first reads, which learn that the region is dark
	MedianMS float64 `json:"medianMs"` // of all
	P99MS    float64 `json:"p99Ms"`
	MaxMS    float64 `json:"maxMs"`
}

// read reads all secrets through the SDK as services do: a client for each
// service, with an empty cache. first names the regions to read from, in order,
// with the configuration of each.
func (e *Estate) read(ctx context.Context, callers []*caller, regions []string, configure func(config aws.Config, region string) aws.Config) (Reads, []Failure) {
	var (
		mu       sync.Mutex
		took     []time.Duration
		reads    Reads
		first    time.Duration
		failures []Failure
		group    sync.WaitGroup
	)
	for _, c := range callers {
		group.Go(func() {
			client, err := secrets.New(ctx, secrets.WithRegion(regions[0]), secrets.WithFailover(regions[1:]...),
				secrets.WithMaxEntries(len(c.secrets)+1),
				secrets.WithAPI(func(region string) secrets.API {
					config := configure(c.config, region)
					config.Region = region
					config.Retryer = nil // the SDK's own attempts are part of what is measured
					return secretsmanager.NewFromConfig(config, func(o *secretsmanager.Options) { o.RetryMaxAttempts = 2 })
				}))
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failures = append(failures, Failure{c.secrets[0].Name, "read", err.Error()})
				return
			}
			defer client.Close()
			for i, s := range c.secrets {
				began := time.Now()
				got, err := client.Get(ctx, s.Name)
				d := time.Since(began)
				got.Value.Zero()
				mu.Lock()
				reads.Count++
				took = append(took, d)
				if i == 0 {
					first = max(first, d)
				}
				if err != nil {
					reads.Failed++
					failures = append(failures, Failure{s.Name, "read", short(err).Error()})
				} else if got.Region != regions[0] {
					reads.Failover++
				}
				mu.Unlock()
				if ctx.Err() != nil {
					return
				}
			}
		})
	}
	group.Wait()
	slices.Sort(took)
	reads.FirstMS = milliseconds(first)
	if n := len(took); n > 0 {
		reads.MedianMS, reads.P99MS, reads.MaxMS = milliseconds(took[n/2]), milliseconds(took[min(n-1, n*99/100)]), milliseconds(took[n-1])
	}
	slices.SortFunc(failures, func(a, b Failure) int { return strings.Compare(a.Secret, b.Secret) })
	return reads, failures
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
