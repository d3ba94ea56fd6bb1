package spec

// The keys of the operations' reports in the audit's bucket.
const (
	RecoveryReports  = "recovery/"  // <this><environment>/<time>/<file>: of drills
	ScorecardReports = "scorecard/" // <this><environment>/<time>/<file>

	// ReportTime is the layout of <time>, in UTC. Such names sort by time.
	ReportTime = "2006-01-02T150405Z"

	RecoveryJSON  = "recovery.json"
	ScorecardJSON = "scorecard.json"
)
