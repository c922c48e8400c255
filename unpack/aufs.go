// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/layertar"
	"github.com/layerctl/layerctl/layer"
)

// linkStore is the directory in which AUFS kept files with several names, each
// under its inode number. Docker packed it with the layer: hard links lead to its
// files, but it is no part of the image.
const linkStore = ".wh..wh.plnk"

// aufs skips AUFS's own metadata, except the files of the link store, which it
// makes for dropStore to remove.
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

// dropStore removes the link store. Its files keep the names that hard links of the
// layer have given them.
func (u *unpacker) dropStore() error {
	if !u.stored {
		return nil
	}
	return u.removeTree(u.dirs.Root, linkStore, linkStore)
}
