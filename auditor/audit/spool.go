package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

// spool is a list on disk. The file is made with its first element.
type spool[T any] struct {
	dir, name string
	file      *os.File
	out       *bufio.Writer
}

func newSpool[T any](dir, name string) *spool[T] { return &spool[T]{dir: dir, name: name} }

func (s *spool[T]) add(item T) error {
	if s.file == nil {
		file, err := os.CreateTemp(s.dir, s.name+"-*.jsonl")
		if err != nil {
			return fmt.Errorf("make a file for the findings: %w", err)
		}
		s.file, s.out = file, bufio.NewWriter(file)
	}
	line, err := json.Marshal(item)
	if err == nil {
		_, err = s.out.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write findings to %s: %w", s.file.Name(), err)
	}
	return nil
}

// all walks through the list. It ends after an error.
func (s *spool[T]) all() iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if s.file == nil {
			return
		}
		var zero T
		err := s.out.Flush()
		decoder := json.NewDecoder(bufio.NewReader(io.NewSectionReader(s.file, 0, 1<<62)))
		for err == nil {
			var item T
			if err = decoder.Decode(&item); err == nil && !yield(item, nil) {
				return
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(zero, fmt.Errorf("read findings from %s: %w", s.file.Name(), err))
		}
	}
}

func (s *spool[T]) close() error {
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}
