package policy

import "time"

// runtimes are Lambda's runtimes with their deprecation dates, those to come too,
// so that the list stays true when a date passes (Lambda developer guide, "Lambda
// runtimes", as of November 2026).
func runtimes() map[string]time.Time {
	date := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}
	dates := map[string]time.Time{
		"nodejs18.x":   date(2025, time.September, 1),
		"python3.9":    date(2025, time.December, 15),
		"ruby3.2":      date(2026, time.March, 31),
		"nodejs20.x":   date(2026, time.April, 30),
		"provided.al2": date(2026, time.July, 31),
		"python3.10":   date(2026, time.October, 31),
		"dotnet8":      date(2026, time.November, 10),
		"ruby3.3":      date(2027, time.March, 31),
		"nodejs22.x":   date(2027, time.April, 30),
		"java8.al2":    date(2027, time.June, 30),
		"java11":       date(2027, time.June, 30),
		"java17":       date(2027, time.June, 30),
		"python3.11":   date(2027, time.June, 30),
		"ruby3.4":      date(2028, time.March, 31),
		"nodejs24.x":   date(2028, time.April, 30),
		"python3.12":   date(2028, time.October, 31),
		"dotnet10":     date(2028, time.November, 14),
	}
	for _, long := range []string{
		"dotnet5.0", "dotnet6", "dotnet7", "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1", "go1.x", "java8",
		"nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x", "nodejs16.x",
		"provided", "python2.7", "python3.6", "python3.7", "python3.8", "ruby2.5", "ruby2.7",
	} {
		dates[long] = time.Time{} // before 2025
	}
	for _, last := range []string{
		"java8.al2023", "java11.al2023", "java17.al2023", "java21", "java25", "provided.al2023", "python3.13", "python3.14",
	} {
		dates[last] = date(2029, time.June, 30)
	}
	return dates
}
