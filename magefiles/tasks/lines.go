package tasks

import (
	"bytes"
	"strings"
)

// lines is an io.Writer that hands on what is written to it line by line,
// without the line ends. flush hands on a last line that had none.
type lines struct {
	each    func(line string)
	partial []byte
}

func (l *lines) Write(data []byte) (int, error) {
	written := len(data)
	for {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			l.partial = append(l.partial, data...)
			return written, nil
		}
		l.each(strings.TrimSuffix(string(l.partial)+string(data[:end]), "\r"))
		l.partial = l.partial[:0]
		data = data[end+1:]
	}
}

func (l *lines) flush() {
	if len(l.partial) > 0 {
		l.each(string(l.partial))
		l.partial = nil
	}
}
