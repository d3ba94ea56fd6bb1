package inventory

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	trailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/aistudio/secrets/auditor/facts"
)

func sortShared(e *facts.Estate) {
	slices.SortFunc(e.Keys, func(a, b facts.UsedKey) int { return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.ID, b.ID)) })
	slices.SortFunc(e.Functions, func(a, b facts.UsedFunction) int { return cmp.Compare(a.ARN, b.ARN) })
}

// mergeKeys makes one of what is one key: secrets name it by its id, its ARN or an
// alias.
func mergeKeys(keys []facts.UsedKey) []facts.UsedKey {
	var merged []facts.UsedKey
	at := map[regionKey]int{}
	for _, key := range keys {
		arn := key.Facts.Value.ARN
		i, seen := at[regionKey{key.Region, arn}]
		if arn == "" || !seen {
			at[regionKey{key.Region, arn}] = len(merged)
			merged = append(merged, key)
			continue
		}
		if strings.Contains(key.ID, ":key/") {
			merged[i].ID = key.ID // an alias may move to another key
		}
		users := &merged[i].Users
		users.Count += key.Users.Count
		users.Examples = slices.Concat(users.Examples, key.Users.Examples)
		users.Examples = users.Examples[:min(len(users.Examples), maxExamples)]
	}
	return merged
}

// readKeys describes each key that a secret of the region names.
func (r *Region) readKeys(ctx context.Context, region string) []facts.UsedKey {
	var keys []facts.UsedKey
	for _, id := range slices.Sorted(maps.Keys(r.index.keys)) {
		keys = append(keys, facts.UsedKey{ID: id, Region: region, Facts: r.readKey(ctx, id), Users: *r.index.keys[id]})
	}
	return keys
}

func (r *Region) readKey(ctx context.Context, id string) facts.Fact[facts.Key] {
	if err := wait(ctx, r.throttle.keys); err != nil {
		return facts.Unknown[facts.Key](reason(err))
	}
	out, err := r.clients.keys.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
	if err != nil {
		var gone *kmstypes.NotFoundException
		if errors.As(err, &gone) {
			return facts.Known(facts.Key{ARN: id, CustomerManaged: true, State: "does not exist", Rotates: facts.Unknown[bool]("the key does not exist")})
		}
		return facts.Unknown[facts.Key](reason(err))
	}
	m := out.KeyMetadata
	key := facts.Key{
		ARN:             aws.ToString(m.Arn),
		CustomerManaged: m.KeyManager == kmstypes.KeyManagerTypeCustomer,
		Usable:          m.KeyState == kmstypes.KeyStateEnabled || m.KeyState == kmstypes.KeyStateUpdating,
		State:           string(m.KeyState),
		Deletion:        utc(m.DeletionDate),
		Rotates:         facts.Known(true),
	}
	if c := m.MultiRegionConfiguration; c != nil && c.MultiRegionKeyType == kmstypes.MultiRegionKeyTypeReplica && c.PrimaryKey != nil {
		key.Primary = aws.ToString(c.PrimaryKey.Arn)
	}
	if key.CustomerManaged {
		key.Rotates = r.readKeyRotation(ctx, key.ARN)
	}
	return facts.Known(key)
}

func (r *Region) readKeyRotation(ctx context.Context, arn string) facts.Fact[bool] {
	if err := wait(ctx, r.throttle.keys); err != nil {
		return facts.Unknown[bool](reason(err))
	}
	out, err := r.clients.keys.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: &arn})
	if err != nil {
		return facts.Unknown[bool](reason(err))
	}
	return facts.Known(out.KeyRotationEnabled)
}

// readTrails describes the trails that see the region.
func (r *Region) readTrails(ctx context.Context) facts.Fact[[]facts.Trail] {
	if err := wait(ctx, r.throttle.trails); err != nil {
		return facts.Unknown[[]facts.Trail](reason(err))
	}
	out, err := r.clients.trail.DescribeTrails(ctx, &cloudtrail.DescribeTrailsInput{})
	if err != nil {
		return facts.Unknown[[]facts.Trail](reason(err))
	}
	trails := []facts.Trail{}
	for i := range out.TrailList {
		t := &out.TrailList[i]
		trail := facts.Trail{
			ARN: aws.ToString(t.TrailARN), MultiRegion: aws.ToBool(t.IsMultiRegionTrail), Validation: aws.ToBool(t.LogFileValidationEnabled),
		}
		if err := r.readTrail(ctx, &trail, t.HomeRegion); err != nil {
			trail.Unknown = reason(err) // another trail may do
		}
		trails = append(trails, trail)
	}
	return facts.Known(trails)
}

// readTrail asks the region whether the trail logs there, and the trail's home,
// where it is configured, what it logs.
func (r *Region) readTrail(ctx context.Context, trail *facts.Trail, home *string) error {
	if err := wait(ctx, r.throttle.trails); err != nil {
		return err
	}
	status, err := r.clients.trail.GetTrailStatus(ctx, &cloudtrail.GetTrailStatusInput{Name: &trail.ARN})
	if err != nil {
		return err
	}
	trail.Logging, trail.Delivery = aws.ToBool(status.IsLogging), aws.ToString(status.LatestDeliveryError)
	if err := wait(ctx, r.throttle.trails); err != nil {
		return err
	}
	selectors, err := r.clients.trail.GetEventSelectors(ctx, &cloudtrail.GetEventSelectorsInput{TrailName: &trail.ARN},
		func(o *cloudtrail.Options) {
			if home != nil {
				o.Region = *home
			}
		})
	if err != nil {
		return err
	}
	trail.Management = logs(selectors, read) && logs(selectors, write)
	return nil
}

const secretsSource = "secretsmanager.amazonaws.com"

// call is a management event about a secret (CloudTrail user guide, "Logging
// management events"), by the fields of advanced selectors.
type call struct {
	unless trailtypes.ReadWriteType // that leaves it out
	fields map[string]string
}

var (
	read = call{trailtypes.ReadWriteTypeWriteOnly, map[string]string{
		"eventCategory": "Management", "eventSource": secretsSource, "readOnly": "true", "eventName": "GetSecretValue", "eventType": "AwsApiCall",
	}}
	write = call{trailtypes.ReadWriteTypeReadOnly, map[string]string{
		"eventCategory": "Management", "eventSource": secretsSource, "readOnly": "false", "eventName": "PutSecretValue", "eventType": "AwsApiCall",
	}}
)

// logs reports whether a trail logs a call.
func logs(out *cloudtrail.GetEventSelectorsOutput, c call) bool {
	for _, s := range out.EventSelectors {
		if (s.IncludeManagementEvents == nil || *s.IncludeManagementEvents) &&
			s.ReadWriteType != c.unless && !slices.Contains(s.ExcludeManagementEventSources, secretsSource) {
			return true
		}
	}
	for _, s := range out.AdvancedEventSelectors {
		if slices.ContainsFunc(s.FieldSelectors, func(f trailtypes.AdvancedFieldSelector) bool {
			return aws.ToString(f.Field) == "eventCategory" && slices.Contains(f.Equals, "Management")
		}) && !slices.ContainsFunc(s.FieldSelectors, c.excludedBy) {
			return true
		}
	}
	return false
}

// excludedBy reports whether a field of an advanced selector keeps the call out. A
// field that it can't judge keeps it out: a trail that may not log must not pass.
func (c call) excludedBy(f trailtypes.AdvancedFieldSelector) bool {
	value, known := c.fields[aws.ToString(f.Field)]
	if !known {
		return true
	}
	fits := func(values []string, compare func(value, with string) bool) bool {
		return slices.ContainsFunc(values, func(with string) bool { return compare(value, with) })
	}
	equal := func(a, b string) bool { return a == b }
	return len(f.Equals) > 0 && !fits(f.Equals, equal) || fits(f.NotEquals, equal) ||
		len(f.StartsWith) > 0 && !fits(f.StartsWith, strings.HasPrefix) || fits(f.NotStartsWith, strings.HasPrefix) ||
		len(f.EndsWith) > 0 && !fits(f.EndsWith, strings.HasSuffix) || fits(f.NotEndsWith, strings.HasSuffix)
}
