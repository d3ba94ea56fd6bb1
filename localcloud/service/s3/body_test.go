package s3

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

func FuzzUnchunk(f *testing.F) {
	f.Add([]byte("5;chunk-signature=0\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n"))
	f.Add([]byte("ffffffffff\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if out, ok := unchunk(body, http.Header{}); ok {
			assert.Less(t, len(out), len(body))
		}
	})
}

func TestRanges(t *testing.T) {
	for text, want := range map[string][2]int{
		"bytes=0-0": {0, 1}, "bytes=2-": {2, 10}, "bytes=2-99": {2, 10}, "bytes=-3": {7, 10}, "bytes=-99": {0, 10}, "bytes=9-9": {9, 10},
	} {
		from, to, ok := parseRange(text, 10)
		assert.True(t, ok, text)
		assert.Equal(t, want, [2]int{from, to}, text)
	}
	for _, text := range []string{"bytes=10-", "bytes=3-2", "bytes=-0", "bytes=a-b", "bytes", "bytes=--1", ""} {
		_, _, ok := parseRange(text, 10)
		assert.False(t, ok, text)
	}
}
