// SPDX-License-Identifier: Apache-2.0

package flatten

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/layer"
)

const capability = "security.capability"

// describe gives f, which may be opened with O_PATH, what its entry says. The
// time of access is the one of modification, so that the tree is the same each
// time. What may not be set here is counted.
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

// xattrs are those of an entry that its file gets. Symbolic links and nodes
// get none. A capability is only for the file of the owner whom the image
// gives it to: it would give another one more than the image does.
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
