package discover

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/sdk/spec"
)

// ReadLabels fills in the labels of the parameters that want picks: a label is
// how a program asks for a version other than the newest. They cost a call a
// parameter, so Read leaves them out. Labels that can't be read are in Unread.
// It needs ssm:GetParameterHistory. report may be nil.
func ReadLabels(ctx context.Context, config aws.Config, estate *Estate, want func(Parameter) bool, report Progress) error {
	d := &discovery{report: report}
	client := ssm.NewFromConfig(config)
	var picked []*Parameter
	for i := range estate.Parameters {
		if want(estate.Parameters[i]) {
			picked = append(picked, &estate.Parameters[i])
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, p := range picked {
		group.Go(func() error {
			err := d.readLabels(ctx, client, p)
			d.progress("labels", i+1, len(picked))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	estate.Unread = append(estate.Unread, d.estate.Unread...)
	sortUnread(estate.Unread)
	return nil
}

func (d *discovery) readLabels(ctx context.Context, client ssm.GetParameterHistoryAPIClient, p *Parameter) error {
	labels := map[string]int64{}
	pages := ssm.NewGetParameterHistoryPaginator(client, &ssm.GetParameterHistoryInput{Name: &p.Name, MaxResults: aws.Int32(50)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		switch {
		case err == nil:
		case gone(err):
			return nil
		case refused(err):
			d.unread(spec.ScanSSM, p.ARN, "its labels can't be read: "+reason(err))
			return nil
		default:
			return fmt.Errorf("read the labels of parameter %s: %w", p.Name, err)
		}
		for _, version := range page.Parameters {
			for _, label := range version.Labels {
				labels[label] = version.Version
			}
		}
	}
	p.Labels = labels
	return nil
}
