package cloudtrail

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHistoryIsBounded(t *testing.T) {
	h := &history{}
	for i := range 3 * maxEvents {
		h.add(entry{username: strconv.Itoa(i)})
		require.LessOrEqual(t, len(h.events), maxEvents+maxEvents/10)
	}
	require.Equal(t, 3*maxEvents, h.dropped+len(h.events), "positions stay what they are")
	require.Equal(t, strconv.Itoa(h.dropped), h.events[0].username)
}
