package rules_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/policy"
	"github.com/aistudio/secrets/auditor/rules"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	day      = 24 * time.Hour
	arn      = "arn:aws:secretsmanager:us-east-1:123456789012:secret:acme/prod/orders/database-AbCdEf"
	reader   = "arn:aws:iam::123456789012:role/orders"
	admin    = "arn:aws:iam::123456789012:role/admin"
	stranger = "arn:aws:iam::123456789012:role/stranger"
)

var now = time.Date(2026, 11, 25, 6, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// good is a secret of which no rule complains.
func good() *facts.Subject {
	catalogue := &spec.AuditCatalogue{Organization: "acme", Environment: "prod", ReplicaRegion: "us-west-2"}
	return &facts.Subject{
		Secret: facts.Secret{
			ARN: arn, Name: "acme/prod/orders/database", Region: "us-east-1", PrimaryRegion: "us-east-1",
			Created: ago(400 * day), Changed: ago(10 * day), Accessed: ago(day).Truncate(day), KeyID: "key", Current: "v2",
			Tags: map[string]string{
				"Environment": "prod", "Service": "orders", "Owner": "team-orders", "SecretType": "database",
				"DataClassification": "confidential", "ManagedBy": "pulumi",
			},
			Rotation: facts.Rotation{Enabled: true, Function: "f", AfterDays: 30, Last: ago(10 * day), Next: now.Add(20 * day)},
		},
		Catalogue: catalogue,
		Declared: &facts.Declared{
			AuditSecret: spec.AuditSecret{
				Name: "acme/prod/orders/database", Kind: spec.KindDatabase, Owner: "team-orders", DataClassification: "confidential",
				Readers: []string{reader}, Rotator: "arn:aws:iam::123456789012:role/rotator", Schedule: "rate(30 days)",
			},
			Administrators: []string{admin},
		},
		Key:      facts.Known(facts.Key{ARN: "key", CustomerManaged: true, Usable: true, Rotates: facts.Known(true)}),
		Written:  facts.Known(ago(10 * day)),
		Failure:  facts.Known[*facts.RotationFailure](nil),
		Policy:   facts.Known(facts.ResourcePolicy{}),
		Replicas: facts.Known(map[string]facts.Replica{"us-west-2": {Region: "us-west-2", InSync: true}}),
		Reads:    facts.Known([]facts.Access{{Time: ago(time.Hour), Principal: reader}, {Time: ago(time.Hour), Principal: admin}}),
	}
}

func context() rules.Context {
	p := policy.Default()
	p.Tags["DataClassification"] = []string{"confidential", "restricted"}
	return rules.Context{Policy: &p, Now: now}
}

// judge returns the ids of the rules with a status, in alphabetical order.
func judge(s *facts.Subject, status finding.Status) []string {
	var ids []string
	for _, rule := range rules.All() {
		check := rule.Secret
		if !s.Deleted.IsZero() {
			check = rule.Deleted
		}
		if check != nil && check(context(), s).Status == status {
			ids = append(ids, rule.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func TestAGoodSecretPassesEverything(t *testing.T) {
	for _, status := range []finding.Status{finding.Fail, finding.Unknown, finding.NotApplicable} {
		require.Empty(t, judge(good(), status), "%s", status)
	}
}

// TestSecrets breaks one thing at a time: exactly the named rules fail. Beside
// each violation are its near misses, for which none does.
func TestSecrets(t *testing.T) {
	type change = func(*facts.Subject)
	for name, tt := range map[string]struct {
		change change
		fails  string
	}{
		"rotation off":              {func(s *facts.Subject) { s.Rotation.Enabled = false }, "rotation-disabled"},
		"off, created an hour ago":  {func(s *facts.Subject) { s.Rotation.Enabled, s.Created = false, ago(time.Hour) }, ""},
		"off, created two days ago": {func(s *facts.Subject) { s.Rotation.Enabled, s.Created = false, ago(2*day) }, "rotation-disabled"},

		"overdue":                 {func(s *facts.Subject) { s.Rotation.Last, s.Written = ago(33*day), facts.Known(ago(33*day)) }, "rotation-overdue"},
		"due today":               {func(s *facts.Subject) { s.Rotation.Last, s.Written = ago(30*day), facts.Known(ago(30*day)) }, ""},
		"due yesterday, in grace": {func(s *facts.Subject) { s.Rotation.Last, s.Written = ago(31*day), facts.Known(ago(31*day)) }, ""},
		"overdue by its cron":     {func(s *facts.Subject) { cron(s, "cron(0 3 ? * SUN *)", "3h", 12*day) }, "rotation-overdue"},
		"in time by its cron":     {func(s *facts.Subject) { cron(s, "cron(0 3 ? * SUN *)", "3h", 74*time.Hour) }, ""},
		"a monthly cron in time":  {func(s *facts.Subject) { cron(s, "cron(0 8 1 * ? *)", "", 23*day) }, ""},
		"a monthly cron, overdue": {func(s *facts.Subject) { cron(s, "cron(0 8 1 * ? *)", "", 40*day) }, "rotation-overdue"},
		"by the hour, overdue":    {func(s *facts.Subject) { cron(s, "rate(4 hours)", "", 2*day) }, "rotation-overdue"},
		"switched on lately":      {func(s *facts.Subject) { s.Rotation.Last, s.Written = time.Time{}, facts.Known(ago(day)) }, ""},
		"switched on, never done": {func(s *facts.Subject) {
			s.Rotation.Last, s.Rotation.Next = time.Time{}, ago(2*day)
			s.Written = facts.Known(ago(day))
		}, "rotation-overdue"},
		"failed":                                   {func(s *facts.Subject) { s.Failure = failure(2 * day) }, "rotation-failed"},
		"failed, then succeeded":                   {func(s *facts.Subject) { s.Failure = failure(11 * day) }, ""},
		"due by AWS's own date":                    {func(s *facts.Subject) { s.Rotation.Next = ago(25 * time.Hour) }, "rotation-overdue"},
		"AWS's date, in grace":                     {func(s *facts.Subject) { s.Rotation.Next = ago(23 * time.Hour) }, ""},
		"a schedule that nobody can read, overdue": {func(s *facts.Subject) { s.Rotation.Schedule, s.Rotation.Next = "when it rains", ago(2*day) }, "rotation-overdue"},
		"put by hand in time":                      {func(s *facts.Subject) { byHand(s, 40*day, 20*day) }, ""},
		"put by hand, overdue again":               {func(s *facts.Subject) { byHand(s, 70*day, 33*day) }, "rotation-overdue"},
		"put by hand, but by a rate":               {func(s *facts.Subject) { byHand(s, 40*day, 20*day); s.Rotation.Schedule = "rate(30 days)" }, "rotation-overdue"},
		"put by hand, but by cron":                 {func(s *facts.Subject) { cron(s, "cron(0 3 ? * SUN *)", "3h", 12*day); s.ByHand = facts.Known(ago(day)) }, "rotation-overdue"},
		"stuck":                                    {func(s *facts.Subject) { s.Pending, s.Stuck = "v3", facts.Known(ago(25*time.Hour)) }, "rotation-stuck"},
		"stuck, tagged since": {func(s *facts.Subject) {
			s.Pending, s.Stuck, s.Changed = "v3", facts.Known(ago(25*time.Hour)), ago(time.Hour)
		}, "rotation-stuck"},
		"under way":               {func(s *facts.Subject) { s.Pending, s.Stuck = "v3", facts.Known(ago(23*time.Hour)) }, ""},
		"pending left on current": {func(s *facts.Subject) { s.Pending = "v2" }, ""},

		"too old": {func(s *facts.Subject) {
			s.Written, s.Rotation.AfterDays, s.Rotation.Last = facts.Known(ago(46*day)), 60, ago(46*day)
		}, "value-too-old"},
		"as old as it may be": {func(s *facts.Subject) {
			s.Written, s.Rotation.AfterDays, s.Rotation.Last = facts.Known(ago(45*day)), 60, ago(45*day)
		}, ""},
		"old, no value":          {func(s *facts.Subject) { s.Written, s.Current = facts.Known(ago(400*day)), "" }, ""},
		"young secret, odd date": {func(s *facts.Subject) { s.Created, s.Written, s.Accessed = ago(10*day), facts.Known(ago(46*day)), now }, ""},
		"oauth after a week and 4d": {func(s *facts.Subject) {
			s.Declared.Kind, s.Tags["SecretType"], s.Written = spec.KindOAuth, "oauth", facts.Known(ago(11*day))
		}, "value-too-old"},

		"a tag missing":       {func(s *facts.Subject) { delete(s.Tags, "ManagedBy") }, "tags-missing"},
		"a tag empty":         {func(s *facts.Subject) { s.Tags["ManagedBy"] = " " }, "tags-missing"},
		"a tag more":          {func(s *facts.Subject) { s.Tags["CostCenter"] = "7" }, ""},
		"a value not allowed": {func(s *facts.Subject) { s.Tags["DataClassification"], s.Declared.DataClassification = "open", "" }, "tags-wrong"},
		"another allowed value": {func(s *facts.Subject) {
			s.Tags["DataClassification"], s.Declared.DataClassification = "restricted", "restricted"
		}, ""},
		"not as declared":      {func(s *facts.Subject) { s.Tags["Owner"] = "team-x" }, "tags-wrong"},
		"not as the name says": {func(s *facts.Subject) { s.Tags["Environment"] = "dev" }, "tags-wrong"},
		"no kind":              {func(s *facts.Subject) { s.Tags["SecretType"], s.Declared.Kind = "password", "" }, "tags-wrong"},

		"never used":       {func(s *facts.Subject) { s.Accessed = time.Time{} }, "unused"},
		"used 92 days ago": {func(s *facts.Subject) { s.Accessed = ago(92 * day).Truncate(day) }, "unused"},
		"used 90 days ago": {func(s *facts.Subject) { s.Accessed = ago(90 * day).Truncate(day) }, ""},
		"never used, new":  {func(s *facts.Subject) { s.Accessed, s.Created = time.Time{}, ago(89*day) }, ""},
		"read on the day of its rotation, by a reader": {func(s *facts.Subject) { s.Accessed = s.Rotation.Last.Truncate(day) }, ""},
		"read after its rotation":                      {func(s *facts.Subject) { s.Accessed, s.Reads.Value = s.Rotation.Last.Truncate(day).Add(day), nil }, ""},
		"used in the other region": {func(s *facts.Subject) {
			s.Accessed = time.Time{}
			s.Replicas.Value["us-west-2"] = facts.Replica{InSync: true, Accessed: ago(day)}
		}, ""},

		"another scheme":       {func(s *facts.Subject) { rename(s, "orders-db-password") }, "name-outside-scheme"},
		"another organization": {func(s *facts.Subject) { rename(s, "evil/prod/orders/database") }, "name-outside-scheme"},
		"not declared":         {func(s *facts.Subject) { s.Declared = nil }, "unmanaged"},
		"known, not declared":  {func(s *facts.Subject) { s.Declared, s.Catalogue.Known = nil, []string{s.Name} }, ""},
		"of another stack": {func(s *facts.Subject) {
			rename(s, "acme/dev/orders/database")
			s.Declared, s.Tags["Environment"] = nil, "dev"
		}, ""},
		"of RDS": {func(s *facts.Subject) {
			rename(s, "rds!db-1")
			s.Declared, s.OwningService, s.Tags, s.KeyID = nil, "rds", nil, ""
		}, ""},
		"of EventBridge, which doesn't rotate": {func(s *facts.Subject) {
			rename(s, "events!connection/partner/1")
			s.Declared, s.OwningService, s.Tags, s.KeyID = nil, "events", nil, ""
			s.Rotation, s.Accessed = facts.Rotation{}, time.Time{}
		}, ""},
		"no catalogue": {func(s *facts.Subject) { s.Declared, s.Catalogue = nil, nil }, ""},

		"AWS's key":                {func(s *facts.Subject) { s.KeyID = "" }, "key-default"},
		"a replica with AWS's key": {func(s *facts.Subject) { s.Replicas.Value["us-west-2"] = facts.Replica{InSync: true, AWSKey: true} }, "key-default"},
		"never replicated":         {func(s *facts.Subject) { s.PrimaryRegion = "" }, ""},
		"AWS's key by name":        {func(s *facts.Subject) { s.Key = facts.Known(facts.Key{Usable: true, Rotates: facts.Known(true)}) }, "key-default"},

		"public":              {func(s *facts.Subject) { s.Policy.Value.Public = []string{"S"} }, "policy-public"},
		"another account":     {func(s *facts.Subject) { s.Policy.Value.CrossAccount = []string{"210987654321"} }, "policy-cross-account"},
		"more than readers":   {func(s *facts.Subject) { s.Policy.Value.TooWide = []string{stranger} }, "policy-too-wide"},
		"read by a stranger":  {func(s *facts.Subject) { s.Reads.Value[0].Principal = stranger }, "access-unexpected"},
		"tried by a stranger": {func(s *facts.Subject) { s.Reads.Value[0] = facts.Access{Principal: stranger, Error: "AccessDenied"} }, "access-unexpected"},
		"read by the rotator": {func(s *facts.Subject) { s.Reads.Value[0].Principal = s.Declared.Rotator }, ""},
		"readers unknown":     {func(s *facts.Subject) { s.Declared.Readers, s.Reads.Value[0].Principal = nil, stranger }, ""},

		"no replica": {func(s *facts.Subject) { s.Replicas = facts.Known(map[string]facts.Replica{}) }, "replica-missing"},
		"none wanted": {func(s *facts.Subject) {
			s.Replicas = facts.Known(map[string]facts.Replica{})
			s.Catalogue.ReplicaRegion, s.PrimaryRegion = "", ""
		}, ""},
		"replica elsewhere": {func(s *facts.Subject) {
			s.Replicas = facts.Known(map[string]facts.Replica{"eu-west-1": {InSync: true}})
		}, "replica-missing"},
		"replica out of sync": {func(s *facts.Subject) { s.Replicas.Value["us-west-2"] = facts.Replica{Evidence: "Failed"} }, "replica-out-of-sync"},

		"deleted, still read":       {func(s *facts.Subject) { s.Deleted = ago(2 * time.Hour) }, "deleted-still-read"},
		"deleted, read before":      {func(s *facts.Subject) { s.Deleted = ago(time.Minute) }, ""},
		"deleted, read a day later": {func(s *facts.Subject) { s.Deleted, s.Reads.Value = ago(3*day), nil }, "deleted-still-read"},
		"deleted, not read":         {func(s *facts.Subject) { s.Deleted, s.Reads.Value, s.Accessed = ago(3*day), nil, ago(9*day) }, ""},
	} {
		s := good()
		tt.change(s)
		var want []string
		if tt.fails != "" {
			want = strings.Fields(tt.fails)
		}
		assert.Equal(t, want, judge(s, finding.Fail), name)
		assert.Empty(t, judge(s, finding.Unknown), name)
	}
}

func cron(s *facts.Subject, expression, window string, last time.Duration) {
	s.Rotation.AfterDays, s.Rotation.Schedule, s.Rotation.Window, s.Rotation.Last = 0, expression, window, ago(last)
	s.Written = facts.Known(ago(last))
}

// byHand makes a secret that was rotated some time before, and whose value
// somebody put later.
func byHand(s *facts.Subject, rotated, put time.Duration) {
	s.Rotation.Last, s.Changed, s.Written, s.ByHand = ago(rotated), ago(put), facts.Known(ago(put)), facts.Known(ago(put))
}

func failure(before time.Duration) facts.Fact[*facts.RotationFailure] {
	return facts.Known(&facts.RotationFailure{Time: ago(before), Event: "RotationFailed"})
}

func rename(s *facts.Subject, name string) { s.Name, s.Declared.Name = name, name }

// TestUnknownNeverPasses takes away one fact at a time: exactly the rules that
// need it are unknown, and nothing that passed before fails.
func TestUnknownNeverPasses(t *testing.T) {
	const why = "KMS DescribeKey failed: AccessDeniedException"
	for name, tt := range map[string]struct {
		change  func(*facts.Subject)
		unknown string
	}{
		"key":     {func(s *facts.Subject) { s.Key = facts.Unknown[facts.Key](why) }, "key-default"},
		"by hand": {func(s *facts.Subject) { byHand(s, 40*day, 20*day); s.ByHand = facts.Unknown[time.Time](why) }, "rotation-overdue"},
		"pending": {func(s *facts.Subject) { s.Pending, s.Stuck = "v3", facts.Unknown[time.Time](why) }, "rotation-stuck"},
		"replicas on their way": {func(s *facts.Subject) {
			s.Changed, s.Replicas.Value["us-west-2"] = ago(time.Minute), facts.Replica{Evidence: "InProgress"}
		}, "replica-out-of-sync"},
		"read on the day of its rotation": {func(s *facts.Subject) {
			s.Accessed, s.Reads.Value = s.Rotation.Last.Truncate(day), []facts.Access{{Time: ago(time.Hour), Principal: s.Declared.Rotator}}
		}, "unused"},
		"written":  {func(s *facts.Subject) { s.Written = facts.Unknown[time.Time](why) }, "value-too-old"},
		"failure":  {func(s *facts.Subject) { s.Failure = facts.Unknown[*facts.RotationFailure](why) }, "rotation-failed"},
		"policy":   {func(s *facts.Subject) { s.Policy = facts.Unknown[facts.ResourcePolicy](why) }, "policy-cross-account policy-public policy-too-wide"},
		"replicas": {func(s *facts.Subject) { s.Replicas = facts.Unknown[map[string]facts.Replica](why) }, "key-default replica-missing replica-out-of-sync"},
		"replicas of an unused one": {func(s *facts.Subject) {
			s.Replicas, s.Accessed = facts.Unknown[map[string]facts.Replica](why), time.Time{}
		}, "key-default replica-missing replica-out-of-sync unused"},
		"reads":            {func(s *facts.Subject) { s.Reads = facts.Unknown[[]facts.Access](why) }, "access-unexpected"},
		"reads of deleted": {func(s *facts.Subject) { s.Deleted, s.Reads = ago(day), facts.Unknown[[]facts.Access](why) }, "deleted-still-read"},
		"schedule":         {func(s *facts.Subject) { s.Rotation.Schedule = "when it rains" }, "rotation-overdue"},
		"no schedule":      {func(s *facts.Subject) { s.Rotation.AfterDays = 0 }, "rotation-overdue"},
	} {
		s := good()
		tt.change(s)
		assert.Equal(t, strings.Fields(tt.unknown), judge(s, finding.Unknown), name)
		assert.Empty(t, judge(s, finding.Fail), name)
	}
}

// TestEvidenceBeforeUnknown: what was seen counts, though not all could be read.
func TestEvidenceBeforeUnknown(t *testing.T) {
	s := good()
	s.Reads = facts.Fact[[]facts.Access]{Value: []facts.Access{{Principal: stranger}}, Unknown: "more than was read"}
	require.Equal(t, []string{"access-unexpected"}, judge(s, finding.Fail))
}

func estate() *facts.Estate {
	users := facts.Users{Count: 7, Examples: []string{"a", "b"}}
	trail := facts.Trail{ARN: "trail", Logging: true, MultiRegion: true, Validation: true, Management: true}
	return &facts.Estate{
		Account: "123456789012", Regions: []string{"us-east-1"},
		Trails:    map[string]facts.Fact[[]facts.Trail]{"us-east-1": facts.Known([]facts.Trail{{ARN: "stopped"}, trail})},
		Keys:      []facts.UsedKey{{ID: "key", Region: "us-east-1", Facts: good().Key, Users: users}},
		Functions: []facts.UsedFunction{{ARN: "a:b:f", Region: "us-east-1", Facts: facts.Known(facts.Function{ARN: "f", Runtime: "provided.al2023", State: "Active"}), Users: users}},
		Scan:      facts.Known(&spec.Scan{Version: 1, Finished: ago(4 * time.Hour), Regions: []string{"us-east-1"}}),
	}
}

func judgeEstate(c rules.Context, e *facts.Estate, status finding.Status) []string {
	ids := map[string]bool{}
	for _, rule := range rules.All() {
		if rule.Estate == nil {
			continue
		}
		for _, result := range rule.Estate(c, e) {
			if result.Verdict.Status == status {
				ids[rule.ID] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

func TestEstate(t *testing.T) {
	trail := func(e *facts.Estate) *facts.Trail { return &e.Trails["us-east-1"].Value[1] }
	key := func(e *facts.Estate) *facts.Key { return &e.Keys[0].Facts.Value }
	function := func(e *facts.Estate) *facts.Function { return &e.Functions[0].Facts.Value }
	plaintext := func(place spec.ScanPlace) func(*facts.Estate) {
		return func(e *facts.Estate) {
			e.Scan.Value.Findings = []spec.ScanFinding{{Place: place, ARN: "x", Confidence: spec.ScanLikely}, {Place: place, ARN: "x", Confidence: spec.ScanPossible}}
		}
	}
	const why = "AccessDenied"
	for name, tt := range map[string]struct {
		change         func(*facts.Estate)
		fails, unknown string
	}{
		"good":            {func(*facts.Estate) {}, "", ""},
		"key disabled":    {func(e *facts.Estate) { key(e).Usable = false }, "key-unusable", ""},
		"key not rotated": {func(e *facts.Estate) { key(e).Rotates = facts.Known(false) }, "key-rotation-off", ""},
		"a replica key": {func(e *facts.Estate) {
			key(e).Primary, key(e).Rotates = "primary", facts.Known(false)
			e.Keys = append(e.Keys, facts.UsedKey{ID: "primary", Facts: facts.Known(facts.Key{ARN: "primary", CustomerManaged: true, Usable: true, Rotates: facts.Known(true)})})
		}, "", ""},
		"a replica key, of another's": {func(e *facts.Estate) { key(e).Primary, key(e).Rotates = "primary", facts.Known(false) }, "key-rotation-off", ""},
		"AWS's key":                   {func(e *facts.Estate) { key(e).CustomerManaged, key(e).Rotates = false, facts.Known(false) }, "", ""},
		"key's rotation?":             {func(e *facts.Estate) { key(e).Rotates = facts.Unknown[bool](why) }, "", "key-rotation-off"},
		"key?":                        {func(e *facts.Estate) { e.Keys[0].Facts = facts.Unknown[facts.Key](why) }, "", "key-rotation-off key-unusable"},
		"function missing":            {func(e *facts.Estate) { function(e).Missing = true }, "function-missing", ""},
		"function failed":             {func(e *facts.Estate) { function(e).Failed = true }, "function-failing", ""},
		"function errs":               {func(e *facts.Estate) { function(e).Errors.Value.Count = 1 }, "function-failing", ""},
		"function errs?":              {func(e *facts.Estate) { function(e).Errors = facts.Unknown[facts.FunctionErrors](why) }, "", "function-failing"},
		"function broken, errs?": {func(e *facts.Estate) {
			function(e).Failed, function(e).Errors = true, facts.Unknown[facts.FunctionErrors](why)
		}, "function-failing", ""},
		"function old, not yet":             {func(e *facts.Estate) { function(e).Runtime = "nodejs22.x" }, "", ""}, // until April 2027
		"function of this year":             {func(e *facts.Estate) { function(e).Runtime = "provided.al2" }, "function-runtime-deprecated", ""},
		"function old":                      {func(e *facts.Estate) { function(e).Runtime = "python3.8" }, "function-runtime-deprecated", ""},
		"function an image":                 {func(e *facts.Estate) { function(e).Runtime = "" }, "", ""},
		"function?":                         {func(e *facts.Estate) { e.Functions[0].Facts = facts.Unknown[facts.Function](why) }, "", "function-failing function-missing function-runtime-deprecated"},
		"no trail":                          {func(e *facts.Estate) { e.Trails["us-east-1"] = facts.Known([]facts.Trail{}) }, "trail-off", ""},
		"trail stopped":                     {func(e *facts.Estate) { trail(e).Logging = false }, "trail-off", ""},
		"trail of data":                     {func(e *facts.Estate) { trail(e).Management = false }, "trail-off", ""},
		"trail can't deliver":               {func(e *facts.Estate) { trail(e).Delivery = "NoSuchBucket" }, "trail-off", ""},
		"a trail unread, the other records": {func(e *facts.Estate) { e.Trails["us-east-1"].Value[0].Unknown = why }, "", ""},
		"a trail unread, the other stopped": {func(e *facts.Estate) { e.Trails["us-east-1"].Value[0].Unknown, trail(e).Logging = why, false }, "",
			"trail-off trail-single-region trail-without-validation"},
		"a wider trail unread": {func(e *facts.Estate) {
			e.Trails["us-east-1"].Value[0] = facts.Trail{ARN: "organization", MultiRegion: true, Unknown: why}
			trail(e).MultiRegion = false
		}, "", "trail-single-region"},
		"trail of a region":       {func(e *facts.Estate) { trail(e).MultiRegion = false }, "trail-single-region", ""},
		"trail unvalidated":       {func(e *facts.Estate) { trail(e).Validation = false }, "trail-without-validation", ""},
		"trail?":                  {func(e *facts.Estate) { e.Trails["us-east-1"] = facts.Unknown[[]facts.Trail](why) }, "", "trail-off trail-single-region trail-without-validation"},
		"lambda":                  {plaintext(spec.ScanLambda), "plaintext-lambda", ""},
		"ecs":                     {plaintext(spec.ScanECS), "plaintext-ecs", ""},
		"ssm":                     {plaintext(spec.ScanSSM), "plaintext-ssm", ""},
		"no scan":                 {func(e *facts.Estate) { e.Scan = facts.Known[*spec.Scan](nil) }, "", "plaintext-ecs plaintext-lambda plaintext-ssm"},
		"scan?":                   {func(e *facts.Estate) { e.Scan = facts.Unknown[*spec.Scan](why) }, "", "plaintext-ecs plaintext-lambda plaintext-ssm"},
		"scan two days old":       {func(e *facts.Estate) { e.Scan.Value.Finished = ago(2 * day) }, "", ""},
		"scan older":              {func(e *facts.Estate) { e.Scan.Value.Finished = ago(2*day + time.Second) }, "", "plaintext-ecs plaintext-lambda plaintext-ssm"},
		"scan of another account": {func(e *facts.Estate) { e.Scan.Value.Account = "210987654321" }, "", "plaintext-ecs plaintext-lambda plaintext-ssm"},
		"scan of tomorrow":        {func(e *facts.Estate) { e.Scan.Value.Finished = now.Add(day) }, "", "plaintext-ecs plaintext-lambda plaintext-ssm"},
		"secrets unlisted": {func(e *facts.Estate) { e.Unlisted = map[string]string{"us-east-1": why} }, "",
			"function-failing function-missing function-runtime-deprecated key-rotation-off key-unusable"},
		"scan elsewhere": {func(e *facts.Estate) { e.Scan.Value.Regions = []string{"eu-west-1"} }, "", "plaintext-ecs plaintext-lambda plaintext-ssm"},
		"scan in part": {func(e *facts.Estate) {
			e.Scan.Value.Unread = []spec.ScanUnread{{Place: spec.ScanECS, Region: "us-east-1", Reason: why}}
		}, "", "plaintext-ecs"},
	} {
		e := estate()
		tt.change(e)
		assert.Equal(t, strings.Fields(tt.fails), strings.Fields(strings.Join(judgeEstate(context(), e, finding.Fail), " ")), name)
		assert.Equal(t, strings.Fields(tt.unknown), strings.Fields(strings.Join(judgeEstate(context(), e, finding.Unknown), " ")), name)
	}
}

// TestOneFindingForEachPlace: a function with two secrets is one finding with
// two pieces of evidence.
func TestOneFindingForEachPlace(t *testing.T) {
	e := estate()
	e.Scan.Value.Findings = []spec.ScanFinding{
		{Place: spec.ScanLambda, ARN: "arn:aws:lambda:us-east-1:1:function:f", Variable: "A", Confidence: spec.ScanLikely, Reason: "name"},
		{Place: spec.ScanLambda, ARN: "arn:aws:lambda:us-east-1:1:function:f", Variable: "B", Confidence: spec.ScanCertain, Reason: "form"},
	}
	for _, rule := range rules.All() {
		if rule.ID == "plaintext-lambda" {
			results := rule.Estate(context(), e)
			require.Len(t, results, 1)
			require.Equal(t, "f", results[0].Resource.Name)
			require.Equal(t, []finding.Evidence{{Name: "scanned", Value: "2026-11-25 02:00 UTC"}, {Name: "A", Value: "likely: name"}, {Name: "B", Value: "certain: form"}}, results[0].Verdict.Evidence)
		}
	}
}

func TestExpiredSuppressionIsAFinding(t *testing.T) {
	c := context()
	c.Policy.Suppressions = []policy.Suppression{{Rule: "unused", Secret: "a", Owner: "me", Expires: now}, {Rule: "unused", Secret: "b", Owner: "me", Expires: now.Add(1)}}
	for _, rule := range rules.All() {
		if rule.ID == "suppression-expired" {
			results := rule.Estate(c, estate())
			require.Equal(t, finding.Fail, results[0].Verdict.Status)
			require.Equal(t, finding.Pass, results[1].Verdict.Status)
		}
	}
}

// TestRules: every rule says what a reader needs, once.
func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for _, rule := range rules.All() {
		require.False(t, seen[rule.ID], rule.ID)
		seen[rule.ID] = true
		for _, text := range []string{rule.ID, rule.Title, rule.Rationale, rule.Remediation} {
			assert.NotEmpty(t, text, rule.ID)
		}
		assert.NotZero(t, rule.Severity.Rank(), rule.ID)
		assert.NotEmpty(t, rule.Controls[rules.SOC2], rule.ID)
		assert.NotEmpty(t, rule.Controls[rules.ISO27001], rule.ID)
		kinds := 0
		for _, set := range []bool{rule.Secret != nil, rule.Deleted != nil, rule.Estate != nil} {
			if set {
				kinds++
			}
		}
		assert.Equal(t, 1, kinds, rule.ID)
	}
}
