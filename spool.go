// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// spool keeps bytes until they are verified: some in memory, more in a file
// that has no name any more. Its methods are for one goroutine.
type spool struct {
	memory bytes.Buffer
	file   *os.File // takes all, once it is there
	err    error    // what a write has failed with
}

// spoolMemory is how much is kept in memory.
const spoolMemory = 4 << 20

func newSpool() *spool { return &spool{} }

// Write implements io.Writer.
func (s *spool) Write(b []byte) (int, error) {
	if s.err == nil && s.file == nil && s.memory.Len()+len(b) > spoolMemory {
		s.err = s.openFile()
	}
	if s.err != nil {
		return 0, s.err
	}
	if s.file == nil {
		return s.memory.Write(b)
	}
	n, err := s.file.Write(b)
	s.err = err
	return n, err
}

// openFile moves what is in memory to a file.
func (s *spool) openFile() error {
	f, err := os.CreateTemp("", "layerctl-")
	if err != nil {
		return err
	}
	s.file = f
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	_, err = s.memory.WriteTo(f)
	s.memory = bytes.Buffer{}
	return err
}

// reset forgets what was written.
func (s *spool) reset() {
	s.memory.Reset()
	if s.file != nil {
		if _, err := s.file.Seek(0, io.SeekStart); err != nil {
			s.err = err
		} else if err := s.file.Truncate(0); err != nil {
			s.err = err
		}
	}
}

// rewind has what was written, size bytes, read from its start.
func (s *spool) rewind(size int64) error {
	kept := int64(s.memory.Len())
	if s.file != nil && s.err == nil {
		kept, s.err = s.file.Seek(0, io.SeekCurrent)
	}
	if s.file != nil && s.err == nil {
		_, s.err = s.file.Seek(0, io.SeekStart)
	}
	if s.err == nil && kept != size {
		s.err = fmt.Errorf("kept %d bytes of a file of %d", kept, size)
	}
	return s.err
}

// Read implements io.Reader.
func (s *spool) Read(b []byte) (int, error) {
	if s.file == nil {
		return s.memory.Read(b)
	}
	return s.file.Read(b)
}

// Close implements io.Closer.
func (s *spool) Close() error {
	if s.file == nil {
		return nil
	}
	if err := s.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
