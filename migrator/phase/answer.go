package phase

import (
	"context"
	"fmt"
	"strings"
)

// Result is the answer to a check.
type Result string

// The results. Only Pass is good.
const (
	Pass    Result = "pass"
	Fail    Result = "fail"
	Unknown Result = "unknown" // it couldn't be found out
)

// Answer is what a check found.
type Answer struct {
	Result Result `json:"result"`
	Detail string `json:"detail"`
}

// question finds an answer out.
type question func(context.Context, *facts) Answer

func passes(format string, args ...any) Answer { return Answer{Pass, fmt.Sprintf(format, args...)} }

func fails(format string, args ...any) Answer { return Answer{Fail, fmt.Sprintf(format, args...)} }

func unknown(format string, args ...any) Answer { return Answer{Unknown, fmt.Sprintf(format, args...)} }

// failed is the answer where AWS gave an error: what isn't there fails, and
// everything else is unknown.
func failed(what string, err error) Answer {
	if notThere(err) {
		return fails("%s isn't there", what)
	}
	return unknown("%s can't be read: %s", what, reason(err))
}

// all judges a list of what is wrong and of what can't be told.
func all(good string, wrong, untold []string) Answer {
	switch {
	case len(wrong) > 0:
		return fails("%s", some(wrong))
	case len(untold) > 0:
		return unknown("%s", some(untold))
	default:
		return passes("%s", good)
	}
}

// some names a few of many.
func some(what []string) string {
	const few = 5
	if len(what) <= few {
		return strings.Join(what, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(what[:few], "; "), len(what)-few)
}
