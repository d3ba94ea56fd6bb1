package inventory

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/stretchr/testify/assert"
)

func fieldIs(name string, equals ...string) types.AdvancedFieldSelector {
	return types.AdvancedFieldSelector{Field: &name, Equals: equals}
}

// TestWhatATrailLogs: whoever reads a secret and whoever changes it must be in the
// trail (Security Hub user guide, CloudTrail.1: "read and write management
// events").
func TestWhatATrailLogs(t *testing.T) {
	basic := func(selectors ...types.EventSelector) *cloudtrail.GetEventSelectorsOutput {
		return &cloudtrail.GetEventSelectorsOutput{EventSelectors: selectors}
	}
	advanced := func(fields ...types.AdvancedFieldSelector) *cloudtrail.GetEventSelectorsOutput {
		return &cloudtrail.GetEventSelectorsOutput{AdvancedEventSelectors: []types.AdvancedEventSelector{{FieldSelectors: fields}}}
	}
	management := fieldIs("eventCategory", "Management")
	for name, tt := range map[string]struct {
		out           *cloudtrail.GetEventSelectorsOutput
		reads, writes bool
	}{
		"nothing":           {basic(), false, false},
		"all":               {basic(types.EventSelector{ReadWriteType: types.ReadWriteTypeAll}), true, true},
		"no management":     {basic(types.EventSelector{IncludeManagementEvents: aws.Bool(false)}), false, false},
		"reads":             {basic(types.EventSelector{ReadWriteType: types.ReadWriteTypeReadOnly}), true, false},
		"writes":            {basic(types.EventSelector{ReadWriteType: types.ReadWriteTypeWriteOnly}), false, true},
		"reads and writes":  {basic(types.EventSelector{ReadWriteType: types.ReadWriteTypeReadOnly}, types.EventSelector{ReadWriteType: types.ReadWriteTypeWriteOnly}), true, true},
		"not these":         {basic(types.EventSelector{ExcludeManagementEventSources: []string{"secretsmanager.amazonaws.com"}}), false, false},
		"not KMS":           {basic(types.EventSelector{ExcludeManagementEventSources: []string{"kms.amazonaws.com"}}), true, true},
		"advanced":          {advanced(management), true, true},
		"advanced reads":    {advanced(management, fieldIs("readOnly", "true")), true, false},
		"advanced writes":   {advanced(management, fieldIs("readOnly", "false")), false, true},
		"of another source": {advanced(management, fieldIs("eventSource", "kms.amazonaws.com")), false, false},
		"but some source":   {advanced(management, types.AdvancedFieldSelector{Field: aws.String("eventSource"), NotEquals: []string{"kms.amazonaws.com"}}), true, true},
		"but its reads":     {advanced(management, types.AdvancedFieldSelector{Field: aws.String("eventName"), NotEquals: []string{"GetSecretValue"}}), false, true},
		"of a session":      {advanced(management, fieldIs("userIdentity.arn", "arn:aws:iam::123456789012:role/a")), false, false},
		"data":              {advanced(fieldIs("eventCategory", "Data")), false, false},
	} {
		assert.Equal(t, tt.reads, logs(tt.out, read), "%s: reads", name)
		assert.Equal(t, tt.writes, logs(tt.out, write), "%s: writes", name)
	}
}
