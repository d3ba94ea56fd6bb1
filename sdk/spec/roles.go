package spec

// ReaderRole returns the name of the role that a stack makes for a service that
// reads secrets and brings no role of its own.
func ReaderRole(organization, environment, service string) string {
	return organization + "-" + environment + "-" + service + "-reader"
}

// RotationFunction returns the name of a stack's rotation function, and of its
// role. rotator is the function's key in the stack's configuration, which for most
// is their kind's name.
func RotationFunction(organization, environment, rotator string) string {
	return organization + "-" + environment + "-rotate-" + rotator
}
