// SPDX-License-Identifier: Apache-2.0

package flatten

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
)

// ErrNotEmpty says that the directory exists and is not empty.
var ErrNotEmpty = errkind.New(errkind.Filesystem, "directory is not empty")

// tempPrefix begins the name of the directory in which a tree is made.
const tempPrefix = ".layerctl-"

const rootName = "root"

// Place is where a tree is wanted. The tree is made in a temporary directory on the
// same filesystem and then moved: the temporary directory is in the place if that is
// a directory already, else beside it.
type Place struct {
	path     string
	holder   *os.File // of the temporary directory
	base     string   // of the new directory in holder
	existing bool     // holder is the place itself
	name     string   // of the temporary directory
	temp     *os.File
	root     *os.File
}

// Begin makes the temporary directory for a tree at path. If path is a directory
// that is not empty the error is [ErrNotEmpty], unless force is set, which puts the
// tree over what is there. A symbolic link on the way to path is followed only if
// root or this user owns it; see [fsat.OpenPlace].
func Begin(ctx context.Context, path string, force bool) (*Place, error) {
	p := &Place{path: path, base: filepath.Base(path)}
	dir, err := fsat.OpenPlace(path)
	switch {
	case err == nil:
		p.holder, p.existing = dir, true
		if err := p.checkEmpty(force); err != nil {
			return nil, errors.Join(err, dir.Close())
		}
	case errors.Is(err, fs.ErrNotExist):
		if p.holder, err = fsat.OpenPlace(filepath.Dir(filepath.Clean(path))); err != nil {
			return nil, err
		}
	default:
		return nil, err
	}
	if err := p.open(ctx); err != nil {
		return nil, errors.Join(err, p.Discard())
	}
	return p, nil
}

func (p *Place) checkEmpty(force bool) error {
	names, err := p.holder.Readdirnames(1)
	if len(names) > 0 && !force {
		return fmt.Errorf("%s: %w", p.path, ErrNotEmpty)
	}
	if len(names) == 0 && err != nil && err != io.EOF {
		return err
	}
	return nil
}

func (p *Place) open(ctx context.Context) (err error) {
	_ = clearLeftovers(p.holder) // a leftover that stays does no harm
	for locked := false; !locked; {
		name := tempPrefix + rand.Text()
		if err := durable.Mkdir(ctx, p.holder, name, 0o700); err != nil {
			return err
		}
		p.name = name
		temp, err := durable.OpenDirAt(p.holder, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process took it for a leftover before it was locked
		}
		if err != nil {
			return err
		}
		if locked, err = lock(p.holder, temp, name); err != nil || !locked {
			if err := errors.Join(err, temp.Close()); err != nil {
				return err
			}
			continue
		}
		p.temp = temp
	}
	if err := fsat.RemoveACLs(p.temp); err != nil {
		return err
	}
	p.root, err = p.mkdir(ctx, rootName)
	return err
}

// mkdir makes a directory beside the root; Discard removes it.
func (p *Place) mkdir(ctx context.Context, name string) (*os.File, error) {
	if err := durable.Mkdir(ctx, p.temp, name, 0o700); err != nil {
		return nil, err
	}
	return durable.OpenDirAt(p.temp, name)
}

// commit moves the tree from the temporary root to its place. A directory that was
// not there before appears complete. In a directory that was there [moveInto] says
// what is replaced.
func (p *Place) commit(ctx context.Context, t *tree) error {
	if p.existing {
		if err := moveInto(ctx, p.root, p.holder); err != nil {
			return err
		}
		if err := t.finish(ctx, p.holder); err != nil {
			return err
		}
		// clear changes the directory's time, so that finishDir must come after it.
		return errors.Join(p.clear(), t.finishDir(p.holder, t.dirs[0]), p.Discard())
	}
	if err := errors.Join(t.finish(ctx, p.root), t.finishDir(p.root, t.dirs[0])); err != nil {
		return err
	}
	if err := p.rename(ctx); err != nil {
		return err
	}
	return p.Discard()
}

// rename moves the root to its place. An ordinary user cannot move a directory
// without write permission for its owner, so the mode is changed for the move.
func (p *Place) rename(ctx context.Context) error {
	move := func() error { return durable.RenameNoReplace(ctx, p.temp, rootName, p.holder, p.base) }
	err := move()
	if !errors.Is(err, unix.EACCES) {
		return err
	}
	var st unix.Stat_t
	fd := int(p.root.Fd())
	if serr := unix.Fstat(fd, &st); serr != nil || st.Mode&0o200 != 0 {
		return err
	}
	return errors.Join(unix.Fchmod(fd, 0o700), move(), unix.Fchmod(fd, st.Mode&0o7777))
}

// Discard removes the temporary directory. After a commit, and a second time, it
// does nothing, so it can be deferred.
func (p *Place) Discard() error {
	errs := []error{p.clear()}
	for _, f := range []**os.File{&p.root, &p.temp, &p.holder} {
		if *f != nil {
			errs = append(errs, (*f).Close())
			*f = nil
		}
	}
	return errors.Join(errs...)
}

func (p *Place) clear() error {
	if p.name == "" {
		return nil
	}
	name := p.name
	p.name = ""
	return fsat.RemoveAll(p.holder, name)
}
