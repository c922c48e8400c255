// SPDX-License-Identifier: Apache-2.0

package flatten

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/layer"
)

const capability = "security.capability"

// describe gives the file f, which may be opened with O_PATH, the attributes of its
// entry. The time of access is set to the time of modification, so that each run
// makes the same tree. A capability or an attribute that this process or this
// filesystem cannot set is counted in the notes.
func (m *maker) describe(f *os.File, e layer.Entry) error {
	modified, err := unix.TimeToTimespec(e.ModTime)
	if err != nil {
		return &os.PathError{Op: "set times of", Path: e.Path, Err: err}
	}
	a := fsat.Attributes{
		UID: e.UID, GID: e.GID, KeepOwner: !m.o.sameOwner,
		Mode: m.mode(e), Xattrs: m.xattrs(e), Access: modified, Modified: modified,
	}
	return fsat.SetAttributes(f, a, func(name string, err error) error {
		switch {
		case err == unix.EOPNOTSUPP:
			m.o.leftOut(layer.NoteXattrSupport)
		case err == unix.EPERM && name == capability:
			m.o.leftOut(layer.NoteCapability)
		default:
			return err
		}
		return nil
	})
}

// xattrs returns the extended attributes of an entry that its file gets. Symbolic
// links and nodes get none. A capability is set only where the file has its owner
// of the image: with another owner it would permit more than the image does.
func (m *maker) xattrs(e layer.Entry) map[string]string {
	if e.Type != layer.Regular && e.Type != layer.Directory {
		return nil
	}
	if _, has := e.Xattrs[capability]; !has || m.o.sameOwner {
		return e.Xattrs
	}
	m.o.leftOut(layer.NoteCapability)
	kept := map[string]string{}
	for name, value := range e.Xattrs {
		if name != capability {
			kept[name] = value
		}
	}
	return kept
}
