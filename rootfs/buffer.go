// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/layerctl/layerctl/internal/scratch"
)

// buffer keeps bytes until they are verified: some in memory, more in a file
// that has no name any more. Its methods are for one goroutine.
type buffer struct {
	reserve int64 // as [unpack.Limits] has it
	memory  bytes.Buffer
	file    *os.File         // takes all, once it is there
	keeping *scratch.Keeping // writes to it
	err     error            // what a write has failed with
}

// bufferMemory is how much is kept in memory.
const bufferMemory = 4 << 20

func newBuffer(reserve int64) *buffer { return &buffer{reserve: reserve} }

// Write implements io.Writer.
func (b *buffer) Write(p []byte) (int, error) {
	if b.err == nil && b.file == nil && b.memory.Len()+len(p) > bufferMemory {
		b.err = b.openFile()
	}
	if b.err != nil {
		return 0, b.err
	}
	if b.file == nil {
		return b.memory.Write(p)
	}
	n, err := b.keeping.Write(p)
	b.err = err
	return n, err
}

// openFile moves what is in memory to a file.
func (b *buffer) openFile() error {
	f, err := scratch.Open(os.TempDir())
	if err != nil {
		return err
	}
	b.file, b.keeping = f, &scratch.Keeping{File: f, Reserve: b.reserve}
	_, err = b.memory.WriteTo(b.keeping)
	b.memory = bytes.Buffer{}
	return err
}

// reset forgets what was written.
func (b *buffer) reset() {
	b.memory.Reset()
	if b.file != nil {
		if _, err := b.file.Seek(0, io.SeekStart); err != nil {
			b.err = err
		} else if err := b.file.Truncate(0); err != nil {
			b.err = err
		}
	}
}

// rewind has what was written, size bytes, read from its start.
func (b *buffer) rewind(size int64) error {
	kept := int64(b.memory.Len())
	if b.file != nil && b.err == nil {
		kept, b.err = b.file.Seek(0, io.SeekCurrent)
	}
	if b.file != nil && b.err == nil {
		_, b.err = b.file.Seek(0, io.SeekStart)
	}
	if b.err == nil && kept != size {
		b.err = fmt.Errorf("kept %d bytes of a file of %d", kept, size)
	}
	return b.err
}

// Read implements io.Reader.
func (b *buffer) Read(p []byte) (int, error) {
	if b.file == nil {
		return b.memory.Read(p)
	}
	return b.file.Read(p)
}

// Close implements io.Closer.
func (b *buffer) Close() error {
	if b.file == nil {
		return nil
	}
	if err := b.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
