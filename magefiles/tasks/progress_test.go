package tasks

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestProgressSaysWhatRunsAndForHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &printed{}
		progress := newProgress(out, 10*time.Second)

		time.Sleep(65 * time.Second) // of the test's own clock
		step := progress.begin("build %s", "x")
		time.Sleep(11 * time.Second)
		step.now("%d packages", 7)
		time.Sleep(10 * time.Second)
		assert.NoError(t, step.end(nil))

		failure := errors.New("no luck")
		assert.Equal(t, failure, progress.begin("test x").end(failure))

		assert.Equal(t, ""+
			"[  1m5s] build x\n"+
			"[ 1m15s]   … build x, 10s so far\n"+
			"[ 1m25s]   … build x, 20s so far: 7 packages\n"+
			"[ 1m26s] build x: done in 21s\n"+
			"[ 1m26s] test x\n"+
			"[ 1m26s] test x: FAILED in 0s\n", out.String())
	})
}
