package s3

import (
	"bytes"
	"crypto/md5"  //nolint:gosec // S3's ETag, no protection
	"crypto/sha1" //nolint:gosec // a checksum that S3 offers
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strconv"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

// checksum is one of S3's additional checksums of an object, in base64.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
type checksum struct{ algorithm, value string }

func (c checksum) header() string { return "X-Amz-Checksum-" + c.algorithm }

// nvme is the polynomial of CRC-64/NVME, reversed as hash/crc64 has it.
var nvme = crc64.MakeTable(0x9a6c9329ac4bc9b5)

var algorithms = map[string]func([]byte) []byte{
	"CRC32": func(b []byte) []byte { return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)) },
	"CRC32C": func(b []byte) []byte {
		return binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	},
	"CRC64NVME": func(b []byte) []byte { return binary.BigEndian.AppendUint64(nil, crc64.Checksum(b, nvme)) },
	"SHA1":      func(b []byte) []byte { sum := sha1.Sum(b); return sum[:] }, //nolint:gosec // as above
	"SHA256":    func(b []byte) []byte { sum := sha256.Sum256(b); return sum[:] },
}

func checksumOf(algorithm string, body []byte) checksum {
	return checksum{algorithm, base64.StdEncoding.EncodeToString(algorithms[algorithm](body))}
}

// readBody returns the body of a request, without the framing of streamed ones,
// after it compared it with all checksums that came along; and the additional
// one, which is CRC64NVME when the client chose none.
func readBody(r *api.Request) ([]byte, checksum, error) {
	body, header := r.Body, r.HTTP.Header
	declared := header.Get("X-Amz-Content-Sha256")
	if strings.HasPrefix(declared, "STREAMING-") {
		trailer := http.Header{}
		var ok bool
		if body, ok = unchunk(body, trailer); !ok || header.Get("X-Amz-Decoded-Content-Length") != strconv.Itoa(len(body)) {
			return nil, checksum{}, badRequest("IncompleteBody", "The request body terminated unexpectedly")
		}
		header = header.Clone()
		for name := range trailer {
			header.Set(name, trailer.Get(name))
		}
	} else if sum := sha256.Sum256(body); len(declared) == 64 && declared != hex.EncodeToString(sum[:]) {
		return nil, checksum{}, badRequest("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	if want := header.Get("Content-Md5"); want != "" {
		if sum := md5.Sum(body); want != base64.StdEncoding.EncodeToString(sum[:]) { //nolint:gosec // as above
			return nil, checksum{}, badRequest("BadDigest", "The Content-MD5 you specified did not match what we received.")
		}
	}
	chosen := checksum{}
	for name, values := range header {
		algorithm, ok := strings.CutPrefix(strings.ToUpper(name), "X-AMZ-CHECKSUM-")
		switch {
		case !ok || algorithm == "TYPE" || algorithm == "MODE" || algorithm == "ALGORITHM":
			continue
		case algorithms[algorithm] == nil:
			return nil, checksum{}, unsupported("the checksum " + algorithm)
		}
		if chosen = checksumOf(algorithm, body); chosen.value != values[0] {
			return nil, checksum{}, badRequest("BadDigest", "The %s you specified did not match the calculated checksum.", algorithm)
		}
	}
	if chosen.algorithm == "" {
		chosen = checksumOf("CRC64NVME", body)
	}
	return body, chosen, nil
}

// unchunk undoes the encoding aws-chunked. Signatures of chunks are not checked,
// like all signatures here.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
func unchunk(body []byte, trailer http.Header) ([]byte, bool) {
	var out []byte
	for {
		line, rest, ok := bytes.Cut(body, []byte("\r\n"))
		if !ok {
			return nil, false
		}
		size, _, _ := strings.Cut(string(line), ";")
		n, err := strconv.ParseUint(size, 16, 31)
		if err != nil {
			return nil, false
		}
		if n == 0 {
			for _, line := range strings.Split(string(rest), "\r\n") {
				if name, value, ok := strings.Cut(line, ":"); ok {
					trailer.Set(strings.TrimSpace(name), strings.TrimSpace(value))
				}
			}
			return out, true
		}
		if uint64(len(rest)) < n+2 || string(rest[n:n+2]) != "\r\n" {
			return nil, false
		}
		out, body = append(out, rest[:n]...), rest[n+2:]
	}
}
