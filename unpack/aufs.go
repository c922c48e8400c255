// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/layertar"
	"github.com/layerctl/layerctl/layer"
)

// linkStore is where AUFS kept a file that had several names, under the numbers
// of its inode. Docker packed it with the layer: its files are there for the hard
// links to them, and are no part of the image.
const linkStore = ".wh..wh.plnk"

// aufs passes over what AUFS kept for itself, and keeps the files of the link
// store until the layer has been read.
func (u *unpacker) aufs(path string) error {
	if err := u.note(layer.NoteAUFS); err != nil {
		return err
	}
	if above, _ := entryname.Split(path); above != linkStore || u.h.Type != layertar.Regular {
		return nil
	}
	if !u.stored {
		d, v, err := u.makeDirectory(u.dirs.Root, linkStore, linkStore)
		if err != nil {
			return err
		}
		u.stored, v.Implied = true, true
		if err := u.imply(d, v); err != nil {
			return err
		}
	}
	return u.make(path)
}

// dropStore removes the link store: its files are left with the names that the
// layer gave them.
func (u *unpacker) dropStore() error {
	if !u.stored {
		return nil
	}
	return u.removeTree(u.dirs.Root, linkStore, linkStore)
}
