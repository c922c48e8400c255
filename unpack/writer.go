// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack/internal/writing"
)

// writer is the last stage: it gives files that have their names already
// their content and their attributes. The names are made by the goroutine that
// reads the tar, one after the other, for each may depend on all before it;
// what is in a file nobody asks until the layer is complete.
//
// It takes files that lie whole in one piece of the tar.
// Files over several pieces are large, and written by who reads the tar: two
// goroutines would only take turns.
type writer = writing.Queue[newFile]

// newFile is a file that was just made and is still open.
type newFile struct {
	fd       int
	entry    layer.Entry
	aboveGID uint32 // of its directory
	content  []byte // for the writer, in the buffer of its batch
}

func startWriter(u *unpacker) *writer { return writing.Start(u.write) }

// write completes one file for the writer, which reads of u only, or closes it
// where another one has failed.
func (u *unpacker) write(f newFile, err error) error {
	if err == nil && len(f.content) > 0 {
		err = failed("write", f.entry.Path, u.disk.Write(f.fd, f.content))
	}
	return u.complete(f, err)
}

// writesLater says whether a file is one for the writer. Extended attributes may
// have to be noted, and notes come in order.
func (u *unpacker) writesLater(e layer.Entry) bool {
	return u.writer != nil && len(e.Xattrs) == 0 && e.Size <= u.stream.Buffered()
}
