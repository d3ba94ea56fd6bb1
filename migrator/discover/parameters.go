package discover

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/sdk/spec"
)

type parameterReader interface {
	ssm.DescribeParametersAPIClient
	GetParameters(context.Context, *ssm.GetParametersInput, ...func(*ssm.Options)) (*ssm.GetParametersOutput, error)
}

// batchSize is the most that GetParameters takes.
const batchSize = 10

// readParameters lists the parameters by DescribeParameters, since
// GetParametersByPath leaves out names without a slash, and reads them in
// batches while it still lists: the listing's quota is the smaller one.
func (d *discovery) readParameters(ctx context.Context) error {
	var found [][]Parameter
	var mu sync.Mutex
	var done, total int // total is 0 until all are listed
	group, readContext := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	listing := d.listParameters(readContext, func(page []Parameter) {
		found = append(found, page) // whose values come later
		for batch := range slices.Chunk(d.toRead(page), batchSize) {
			group.Go(func() error {
				if err := d.readBatch(readContext, batch); err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				done += len(batch)
				d.progress("Parameter Store", done, total)
				return nil
			})
		}
	})
	parameters := 0
	for _, page := range found {
		parameters += len(page)
	}
	mu.Lock()
	total = parameters
	mu.Unlock()
	if err := group.Wait(); err != nil {
		return err // it also ends the listing
	}
	if listing != nil {
		return listing
	}
	d.progress("Parameter Store", parameters, parameters)
	d.estate.Parameters = slices.Concat(found...)
	slices.SortFunc(d.estate.Parameters, func(a, b Parameter) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

// toRead are the parameters of a page whose values are wanted.
func (d *discovery) toRead(page []Parameter) []*Parameter {
	var wanted []*Parameter
	for i := range page {
		if !d.plaintext || page[i].Type != SecureString {
			wanted = append(wanted, &page[i])
		}
	}
	return wanted
}

func (d *discovery) listParameters(ctx context.Context, take func([]Parameter)) error {
	pages := ssm.NewDescribeParametersPaginator(d.parameters, &ssm.DescribeParametersInput{MaxResults: aws.Int32(50)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list the parameters: %w", err)
		}
		var parameters []Parameter
		for _, p := range page.Parameters {
			parameters = append(parameters, Parameter{
				ARN: aws.ToString(p.ARN), Name: aws.ToString(p.Name), Type: ParameterType(p.Type), KeyID: aws.ToString(p.KeyId), Version: p.Version,
			})
		}
		take(parameters)
	}
	return nil
}

// readBatch fills in the values. One parameter that can't be decrypted fails
// the call for all, so then they are read one by one.
func (d *discovery) readBatch(ctx context.Context, batch []*Parameter) error {
	names := make([]string, len(batch))
	for i, p := range batch {
		names[i] = p.Name
	}
	out, err := d.parameters.GetParameters(ctx, &ssm.GetParametersInput{Names: names, WithDecryption: aws.Bool(true)})
	switch {
	case err == nil:
		d.takeValues(batch, out.Parameters)
		return nil
	case !refused(err):
		return fmt.Errorf("read %d parameters from %s: %w", len(batch), batch[0].Name, err)
	case len(batch) == 1:
		d.unread(spec.ScanSSM, batch[0].ARN, "its value can't be read: "+reason(err))
		return nil
	}
	for i := range batch {
		if err := d.readBatch(ctx, batch[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// takeValues leaves parameters that were deleted since they were listed without
// a value.
func (d *discovery) takeValues(batch []*Parameter, values []ssmtypes.Parameter) {
	for _, v := range values {
		for i := range batch {
			if batch[i].Name == aws.ToString(v.Name) {
				batch[i].Value, batch[i].Version = spec.ValueString(aws.ToString(v.Value)), v.Version
			}
		}
	}
}
