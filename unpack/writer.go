// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack/internal/writing"
)

// writer is the last stage: it writes the content and the attributes of files that
// exist already. The goroutine that reads the tar creates the files, in order, for
// each name may depend on all before it; no entry depends on a file's content.
//
// The writer takes files that lie in one piece of the tar. Files of several pieces
// are large; the goroutine that reads the tar writes them, for two would only take
// turns.
type writer = writing.Queue[newFile]

// newFile is a file that was just made and is still open.
type newFile struct {
	fd       int
	entry    layer.Entry
	aboveGID uint32 // of its directory
	content  []byte // for the writer, in its batch's buffer
}

func startWriter(u *unpacker) *writer { return writing.Start(u.write) }

// write writes and completes a file, or only closes it where err says that another
// file has failed. It runs in the writer's goroutine and changes nothing of u.
func (u *unpacker) write(f newFile, err error) error {
	if err == nil && len(f.content) > 0 {
		err = failed("write", f.entry.Path, u.disk.Write(f.fd, f.content))
	}
	return u.complete(f, err)
}

// writesLater says whether the writer may take a file: one without extended
// attributes, for these may need notes, which must come in order.
func (u *unpacker) writesLater(e layer.Entry) bool {
	return u.writer != nil && len(e.Xattrs) == 0 && e.Size <= u.stream.Buffered()
}
