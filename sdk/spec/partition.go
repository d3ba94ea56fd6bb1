package spec

import "strings"

// Partition returns the partition in the ARNs of a region: China's and GovCloud's
// are their own. Source: IAM user guide, "Identify AWS resources with Amazon
// Resource Names (ARNs)".
func Partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}
