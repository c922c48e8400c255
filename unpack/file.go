// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"io"

	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/layerctl/layerctl/internal/filesum"
	"github.com/layerctl/layerctl/internal/layerdisk"
	"github.com/layerctl/layerctl/layer"
	"golang.org/x/sys/unix"
)

// writeBehindFrom is the size from which [Options.WriteBehind] applies to a file. Of
// the powers of four from 4 KiB to 1 MiB this one made a pull wait the least: for
// smaller files the calls take longer than the sync gains.
const writeBehindFrom = 64 << 10

// file makes a regular file with its content.
func (u *unpacker) file(path string, e layer.Entry) error {
	above, base := entryname.Split(path)
	parent, err := u.parent(above, forEntry)
	if err != nil {
		return err
	}
	e.Path, e.Type, e.Size = entryname.Join(parent.Path, base), layer.Regular, u.h.Size
	if u.skips(e.Path) {
		return u.placeholder(parent, base, e)
	}
	if err := u.meter.fits(u.h.Name, u.h.Size, u.h.Data, u.stream.Size()); err != nil {
		return err
	}
	if u.copy != nil && u.h.Data > 0 {
		e.At = u.tar.Offset()
		for _, f := range u.tar.Fragments() {
			e.Fragments = append(e.Fragments, layer.Fragment(f))
		}
	}
	fd, err := u.create(parent, base, e.Path)
	if err != nil {
		return err
	}
	f := newFile{fd: fd, entry: e, aboveGID: parent.GID}
	if !u.h.Sparse && u.writesLater(e) {
		e.Sum, err = u.writeLater(f)
	} else {
		return u.fillOn(f, 0)
	}
	if err != nil {
		return err
	}
	return u.made(e)
}

// fillOn writes the rest of a file's content; sum is the checksum of what is there.
func (u *unpacker) fillOn(f newFile, sum uint32) (err error) {
	f.entry.Sum, err = u.fill(f, sum)
	if err := u.complete(f, err); err != nil {
		return err
	}
	return u.made(f.entry)
}

// made counts and records a file.
func (u *unpacker) made(e layer.Entry) error {
	u.result.Files++
	u.result.Content += e.Size
	return u.record(e)
}

func (u *unpacker) skips(path string) bool { return u.o.Skip != nil && u.o.Skip(path) }

// placeholder makes an empty file for unwanted content, so that other entries find
// something at its name.
func (u *unpacker) placeholder(parent *layerdisk.Dir, base string, e layer.Entry) error {
	fd, err := u.create(parent, base, e.Path)
	if err != nil {
		return err
	}
	if err := u.disk.Close(fd); err != nil {
		return failed("close", e.Path, err)
	}
	return u.record(e)
}

// create makes a new file, and removes what had its name.
func (u *unpacker) create(parent *layerdisk.Dir, base, path string) (int, error) {
	parent.Dirty = true
	if _, err := u.dropLink(path); err != nil {
		return -1, err
	}
	fd, err := u.disk.Create(parent.FD, base)
	if err == unix.EEXIST {
		if _, err := u.makeWay(parent, base, path, false); err != nil {
			return -1, err
		}
		fd, err = u.disk.Create(parent.FD, base)
	}
	return fd, failed("create", path, err)
}

// fill writes the content as it comes out of the decompressor, and returns the
// checksum of the whole, continuing from sum.
func (u *unpacker) fill(f newFile, sum uint32) (uint32, error) {
	e := f.entry
	to, err := u.sink(f.fd, e)
	if err != nil {
		return 0, err
	}
	for {
		if n := u.tar.Hole(); n > 0 {
			if u.o.Record != nil {
				sum = filesum.AddZeros(sum, n)
			}
			if err := layerdisk.WriteHole(to, n); err != nil {
				return 0, failed("write", e.Path, err)
			}
		}
		b, err := u.tar.Content()
		if err == io.EOF {
			return sum, nil
		}
		if err != nil {
			return 0, tarFault(err)
		}
		if u.o.Record != nil {
			sum = filesum.Add(sum, b)
		}
		if err := u.meter.space(int64(len(b))); err != nil {
			return 0, err
		}
		if _, err := to.Write(b); err != nil {
			return 0, failed("write", e.Path, err)
		}
		if u.stream.Marked() && !u.h.Sparse {
			if err := u.save(&f, sum); err != nil {
				return 0, err
			}
		}
	}
}

// writeLater gives a file to the writer.
func (u *unpacker) writeLater(f newFile) (sum uint32, err error) {
	if f.entry.Size > 0 {
		if f.content, err = u.tar.Content(); err != nil {
			return 0, u.complete(f, tarFault(err))
		}
	}
	if u.o.Record != nil {
		sum = filesum.Of(f.content)
	}
	if err := u.meter.space(int64(len(f.content))); err != nil {
		return 0, u.complete(f, err)
	}
	u.writer.Put(f)
	return sum, nil
}

// complete closes a file, and sets its attributes first unless err says that its
// content could not be written.
func (u *unpacker) complete(f newFile, err error) error {
	if err == nil {
		err = u.setFile(f)
	}
	if err == nil && u.o.WriteBehind && f.entry.Size >= writeBehindFrom {
		u.disk.WriteBehind(f.fd)
	}
	if cerr := u.disk.Close(f.fd); err == nil {
		err = failed("close", f.entry.Path, cerr)
	}
	return err
}

// sink returns the writer for the content of e, whose file is open as fd.
func (u *unpacker) sink(fd int, e layer.Entry) (io.Writer, error) {
	if u.content == nil {
		return layerdisk.File{Disk: u.disk, FD: fd}, nil
	}
	w, err := u.content(e)
	if w == nil {
		w = io.Discard
	}
	return w, failed("take the content of", e.Path, err)
}

// setFile sets the attributes in an order in which none undoes another: chown clears
// set-id bits and capabilities, and a mode may forbid to set extended attributes.
func (u *unpacker) setFile(f newFile) error {
	fd, e := f.fd, f.entry
	// A new file belongs to the caller. Its group is the caller's, or that of the
	// directory, where that is set-group-id or the mount has the option grpid.
	if u.caller != (caller{e.UID, e.GID}) || f.aboveGID != e.GID {
		if err := u.chown(fd, e, e.Path); err != nil {
			return err
		}
	}
	if err := u.setXattrs(fd, e, e.Path); err != nil {
		return err
	}
	if err := u.disk.Chmod(fd, e.Mode); err != nil {
		return failed("chmod", e.Path, err)
	}
	if err := u.readBackACL(fd, e, e.Mode, e.Path); err != nil {
		return err
	}
	return failed("set times of", e.Path, u.disk.SetTimes(fd, layerdisk.Timespec(e.ModTime)))
}
