package spec

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBytesAreOverwrittenWhenTheLastCopyIsCollected(t *testing.T) {
	secret := []byte("hunter2-canary")
	kept := ValueString("kept")
	drop(secret)
	require.Eventually(t, func() bool {
		runtime.GC()
		return bytes.Equal(secret, make([]byte, len(secret)))
	}, time.Minute, time.Millisecond)
	require.Equal(t, "kept", kept.RevealString())
}

// drop makes a Value of b and a copy of it, and forgets both.
//
//go:noinline
func drop(b []byte) {
	v := own(b)
	copied := v
	_, _ = v.Len(), copied.Len()
}
