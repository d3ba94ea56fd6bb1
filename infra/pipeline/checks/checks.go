package checks

// Resource is a resource as the program wants it.
type Resource struct {
	URN, Type, Name, ID string
	Inputs              map[string]any
	Protected           bool
}
type Policy struct{ Guarded bool }
type Violation struct{ Check, URN, Problem string }

func Run(policy Policy, resources []Resource) []Violation { return nil }
