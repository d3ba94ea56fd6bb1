package lambda

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/google/uuid"
)

// maxTail is how much of an invocation's log AWS returns in X-Amz-Log-Result.
const maxTail = 4096

// maxLine is how long a line gets before it is cut: CloudWatch Logs' limit of
// an event.
const maxLine = 256 << 10

// output collects what the processes of an environment print, line by line.
type output struct {
	emit func(lines []string)
	r, w *os.File

	mu      sync.Mutex // for emit's order and all below
	rest    []byte     // the line that has no end yet
	tailBuf []byte
	marks   map[string]chan struct{}
	done    chan struct{}
}

func newOutput(emit func([]string)) (*output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for a function's output: %w", err)
	}
	o := &output{emit: emit, r: r, w: w, marks: map[string]chan struct{}{}, done: make(chan struct{})}
	go o.read()
	return o, nil
}

func (o *output) read() {
	defer close(o.done)
	buf := make([]byte, 32<<10)
	for {
		n, err := o.r.Read(buf)
		o.mu.Lock()
		o.rest = append(o.rest, buf[:n]...)
		o.takeLines()
		if err != nil || (len(o.rest) > maxLine && bytes.IndexByte(o.rest, 0) < 0) {
			o.flush()
		}
		o.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// takeLines emits all complete lines and answers marks. The lock is held.
func (o *output) takeLines() {
	var lines []string
	for {
		i := bytes.IndexAny(o.rest, "\n\x00")
		if i < 0 {
			break
		}
		if o.rest[i] == '\n' {
			lines = append(lines, string(bytes.TrimSuffix(o.rest[:i], []byte("\r"))))
			o.rest = o.rest[i+1:]
			continue
		}
		mark, ok := o.markAt(i)
		if !ok {
			break // the mark isn't complete
		}
		if i > 0 {
			lines = append(lines, string(o.rest[:i]))
		}
		if mark == "" { // a NUL of the function's own
			o.rest = o.rest[i+1:]
			continue
		}
		o.rest = o.rest[i+len(mark)+2:]
		o.put(lines)
		lines = nil
		close(o.marks[mark])
		delete(o.marks, mark)
	}
	o.put(lines)
}

// markAt reads the mark that may begin at the NUL at i: "" for a NUL that is
// none, false when more has to be read to know.
func (o *output) markAt(i int) (mark string, ok bool) {
	for m := range o.marks {
		want := "\x00" + m + "\x00"
		got := string(o.rest[i:min(len(o.rest), i+len(want))])
		if got == want {
			return m, true
		}
		if strings.HasPrefix(want, got) {
			return "", false
		}
	}
	return "", true
}

func (o *output) flush() {
	if len(o.rest) > 0 {
		o.put([]string{string(o.rest)})
		o.rest = nil
	}
}

// put emits lines. The lock is held.
func (o *output) put(lines []string) {
	if len(lines) == 0 {
		return
	}
	for _, l := range lines {
		o.tailBuf = append(append(o.tailBuf, l...), '\n')
	}
	if extra := len(o.tailBuf) - maxTail; extra > 0 {
		o.tailBuf = append([]byte(nil), o.tailBuf[extra:]...)
	}
	o.emit(lines)
}

// write adds a line of the platform's own.
func (o *output) write(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.put([]string{line})
}

// drain returns when everything that the processes have written so far has
// been emitted. It sends a mark through the pipe, behind their output.
func (o *output) drain() {
	mark, done := uuid.NewString(), make(chan struct{})
	o.mu.Lock()
	o.marks[mark] = done
	o.mu.Unlock()
	if _, err := o.w.WriteString("\x00" + mark + "\x00"); err != nil {
		return // closed: all is out
	}
	select {
	case <-done:
	case <-o.done:
	}
}

func (o *output) startTail() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tailBuf = nil
}

func (o *output) tail() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.tailBuf)
}

// close ends the reading once the processes are gone.
func (o *output) close() {
	o.drain()
	_ = o.w.Close()
	_ = o.r.Close() // a grandchild may still hold the other end
	<-o.done
}
