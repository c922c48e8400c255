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

// buffer keeps bytes until they are verified: up to bufferMemory in memory, more in a
// temporary file without a name. Its methods are for one goroutine.
type buffer struct {
	reserve int64 // how many bytes of the filesystem stay free, as in [unpack.Limits]
	memory  bytes.Buffer
	file    *os.File         // has all bytes once there is a file
	keeping *scratch.Keeping // writes to file
	err     error            // the first error of a write
}

// bufferMemory is how many bytes are kept in memory at most.
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

// openFile moves the bytes from memory to a new file.
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

// reset removes what was written.
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

// rewind ends the writing: Read begins with the first byte. It fails if not exactly
// size bytes were written.
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
