package handlers

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// dashboard is a CloudWatch dashboard; its ID is its name.
type dashboard struct {
	DashboardARN  string `json:"dashboardArn" prop:"out"`
	DashboardBody string `json:"dashboardBody" prop:"in,required,json"`
	DashboardName string `json:"dashboardName" prop:"in,required,replace"`
}

func dashboardKind() resourceType {
	put := func(ctx context.Context, c *clients, d *dashboard) error {
		_, err := c.cloudwatch.PutDashboard(ctx, &cloudwatch.PutDashboardInput{DashboardName: &d.DashboardName, DashboardBody: &d.DashboardBody})
		return err
	}
	return kind[dashboard]{
		token: "aws:cloudwatch/dashboard:Dashboard",
		create: func(ctx context.Context, c *clients, d *dashboard) (string, error) {
			if err := put(ctx, c, d); err != nil {
				return "", err
			}
			return d.DashboardName, nil
		},
		read: func(ctx context.Context, c *clients, id string, d *dashboard) error {
			got, err := c.cloudwatch.GetDashboard(ctx, &cloudwatch.GetDashboardInput{DashboardName: &id})
			if err != nil {
				return gone[*cwtypes.DashboardNotFoundError](err)
			}
			d.DashboardARN, d.DashboardName = aws.ToString(got.DashboardArn), id
			d.DashboardBody = keepSpelling(d.DashboardBody, aws.ToString(got.DashboardBody), sameJSON)
			return nil
		},
		update: func(ctx context.Context, c *clients, _ string, _, d *dashboard) error { return put(ctx, c, d) },
		remove: func(ctx context.Context, c *clients, id string, _ *dashboard) error {
			_, err := c.cloudwatch.DeleteDashboards(ctx, &cloudwatch.DeleteDashboardsInput{DashboardNames: []string{id}})
			return unlessGone[*cwtypes.DashboardNotFoundError](err)
		},
	}
}
