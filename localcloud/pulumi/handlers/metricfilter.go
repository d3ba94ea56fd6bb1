package handlers

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// metricFilter makes a metric of the events of a log group; its ID is its name.
type metricFilter struct {
	LogGroupName         string                `json:"logGroupName" prop:"in,required,replace"`
	MetricTransformation *metricTransformation `json:"metricTransformation" prop:"in,required"`
	Name                 string                `json:"name" prop:"in,replace,auto=512"`
	Pattern              string                `json:"pattern" prop:"in,required"`
}

type metricTransformation struct {
	DefaultValue string            `json:"defaultValue,omitempty" prop:"in"`
	Dimensions   map[string]string `json:"dimensions,omitempty" prop:"in"`
	Name         string            `json:"name" prop:"in,required"`
	Namespace    string            `json:"namespace" prop:"in,required"`
	Unit         string            `json:"unit" prop:"in,default=\"None\""`
	Value        string            `json:"value" prop:"in,required"`
}

func metricFilterKind() resourceType {
	put := func(ctx context.Context, c *clients, f *metricFilter) error {
		t := f.MetricTransformation
		sent := logstypes.MetricTransformation{
			Dimensions: t.Dimensions, MetricName: &t.Name, MetricNamespace: &t.Namespace, MetricValue: &t.Value, Unit: logstypes.StandardUnit(t.Unit),
		}
		if t.DefaultValue != "" {
			number, err := strconv.ParseFloat(t.DefaultValue, 64)
			if err != nil {
				return fmt.Errorf("defaultValue: %w", err)
			}
			sent.DefaultValue = &number
		}
		_, err := c.logs.PutMetricFilter(ctx, &cloudwatchlogs.PutMetricFilterInput{
			FilterName: &f.Name, FilterPattern: aws.String(strings.TrimSpace(f.Pattern)), LogGroupName: &f.LogGroupName,
			MetricTransformations: []logstypes.MetricTransformation{sent},
		})
		return err
	}
	return kind[metricFilter]{
		token: "aws:cloudwatch/logMetricFilter:LogMetricFilter",
		create: func(ctx context.Context, c *clients, f *metricFilter) (string, error) {
			return f.Name, put(ctx, c, f)
		},
		read:   readMetricFilter,
		update: func(ctx context.Context, c *clients, _ string, _, f *metricFilter) error { return put(ctx, c, f) },
		remove: func(ctx context.Context, c *clients, id string, f *metricFilter) error {
			_, err := c.logs.DeleteMetricFilter(ctx, &cloudwatchlogs.DeleteMetricFilterInput{FilterName: &id, LogGroupName: &f.LogGroupName})
			return unlessGone[*logstypes.ResourceNotFoundException](err)
		},
	}
}

func readMetricFilter(ctx context.Context, c *clients, id string, f *metricFilter) error {
	pages := cloudwatchlogs.NewDescribeMetricFiltersPaginator(c.logs, &cloudwatchlogs.DescribeMetricFiltersInput{LogGroupName: &f.LogGroupName, FilterNamePrefix: &id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return gone[*logstypes.ResourceNotFoundException](err)
		}
		for _, filter := range page.MetricFilters {
			if aws.ToString(filter.FilterName) != id || len(filter.MetricTransformations) == 0 {
				continue
			}
			t := filter.MetricTransformations[0]
			f.Name, f.Pattern = id, keepSpelling(f.Pattern, aws.ToString(filter.FilterPattern), func(a, b string) bool { return strings.TrimSpace(a) == b })
			f.MetricTransformation = &metricTransformation{
				Dimensions: t.Dimensions, Name: aws.ToString(t.MetricName), Namespace: aws.ToString(t.MetricNamespace), Unit: string(t.Unit), Value: aws.ToString(t.MetricValue),
			}
			if t.DefaultValue != nil {
				f.MetricTransformation.DefaultValue = strconv.FormatFloat(*t.DefaultValue, 'f', -1, 64)
			}
			return nil
		}
	}
	return errNotFound
}
