// SPDX-License-Identifier: Apache-2.0

package linkedcopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/lowerdir"
	"github.com/layerctl/layerctl/layer"
)

// Done is what was made.
type Done struct {
	Directories int64
	Links       int64 // files that are one with those of the lower dir
	Clones      int64 // files that share their blocks with them
	Copies      int64 // files that share nothing
	Bytes       int64 // of contents that were copied
	// Reason is why the first file was not linked, nil where all were.
	Reason error
}

// Paths is how many there are.
func (d Done) Paths() int64 { return d.Directories + d.Links + d.Clones + d.Copies }

// Plus is both together.
func (d Done) Plus(o Done) Done {
	d.Directories += o.Directories
	d.Links += o.Links
	d.Clones += o.Clones
	d.Copies += o.Copies
	d.Bytes += o.Bytes
	if d.Reason == nil {
		d.Reason = o.Reason
	}
	return d
}

// Options say how copies are made. The zero value is right for a store of root.
type Options struct {
	// Form is how the lower dirs say what a filesystem cannot; a field that is
	// "" is that of a store of root. Whiteouts are always devices.
	Form layer.Form
	// Unlinked makes clones or copies also where links would do.
	Unlinked bool
	// Uncloned makes copies also where clones would do.
	Uncloned bool
}

// Copier makes copies and counts what it made.
type Copier struct {
	options Options
	mu      sync.Mutex
	done    Done
}

// New makes a Copier.
func New(o Options) *Copier {
	o.Form = o.Form.OrDefaults()
	return &Copier{options: o}
}

// Done is what was made so far.
func (c *Copier) Done() Done {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

func (c *Copier) add(d Done) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = c.done.Plus(d)
}

// Layer is what a directory is filled with.
type Layer struct {
	// From is the lower dir.
	From *os.File
	// Below are the directories that the overlay will have beneath the one
	// that is filled, the topmost first.
	Below []*os.File
	// Mended says that a fix layer is in the directory already. All its
	// directories keep their attributes, the root among them.
	Mended bool
	// Root has the attributes for the root where the layer does not say any and
	// nothing is mended; nil means those of From's root.
	Root *os.File
}

// helpers is how many goroutines fill a lower dir's directories beside the first
// one, on two processors too: the kernel locks the directory that gets a link, and no
// other, and has each wait for the filesystem's journal now and then.
const helpers = 3

// Fill puts the files of a lower dir into the directory to, under those that it
// has.
func (c *Copier) Fill(ctx context.Context, to *os.File, l Layer) error {
	group, ctx := errgroup.WithContext(ctx)
	f := &filling{
		Copier: c, to: to, from: l.From, root: l.Root, below: l.Below, copied: map[inode]string{},
		group: group, idle: make(chan struct{}, helpers),
	}
	group.Go(func() error { return f.fill(ctx, []directory{{path: ".", own: l.Mended, found: true}}) })
	return group.Wait()
}

// fill fills directories, and those in them, each after the one that it is in.
func (f *filling) fill(ctx context.Context, pending []directory) error {
	for len(pending) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := durable.Fault(ctx, "link directory"); err != nil {
			return err
		}
		last := len(pending) - 1
		next := pending[last]
		found, err := f.directory(next)
		if err != nil {
			return fmt.Errorf("link %.200q: %w", next.path, err)
		}
		pending = f.share(ctx, append(pending[:last], found...))
	}
	return nil
}

// share leaves half of what is pending to another goroutine, if one is idle, and
// returns the rest.
func (f *filling) share(ctx context.Context, pending []directory) []directory {
	half := len(pending) / 2
	if half == 0 {
		return pending
	}
	select {
	case f.idle <- struct{}{}:
	default:
		return pending
	}
	f.group.Go(func() error {
		defer func() { <-f.idle }()
		return f.fill(ctx, pending[:half:half])
	})
	return pending[half:]
}

type inode struct{ dev, ino uint64 }

// directory is one that is there and not filled yet.
type directory struct {
	path string
	// own says that it has its attributes from a fix layer.
	own bool
	// found says that it was there, and may have an ACL for what is made in it.
	found bool
}

// filling is one lower dir on its way.
type filling struct {
	*Copier
	to, from *os.File
	root     *os.File // nil, or whose attributes the root gets
	below    []*os.File
	group    *errgroup.Group
	idle     chan struct{} // has one for each helper that is busy
	// copied is where the files are that have more than one name and were not
	// linked.
	copied   map[inode]string
	copiedMu sync.Mutex // is held while one of them is made
}

// pair is one directory of the layer and that of the copy, both open.
type pair struct {
	path     string
	from, to *os.File
	// hides says whether a whiteout in it hides anything; nil until it is asked.
	hides *bool
	// inherited says that what is made in the copy gets an ACL from it.
	inherited bool
	found     []directory // in it, to be filled
	done      Done
}

// directory fills one, and returns those in it.
func (f *filling) directory(d directory) (found []directory, err error) {
	from, err := fsat.OpenDir(f.from, d.path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	to, err := fsat.OpenDir(f.to, d.path)
	if err != nil {
		return nil, err
	}
	defer to.Close()
	// Before anything is made in it: that changes the times.
	attributes, st, err := f.attributes(d, from, to)
	if err != nil {
		return nil, err
	}
	p := &pair{path: d.path, from: from, to: to, done: Done{Directories: 1}}
	if d.found {
		if p.inherited, err = fsat.HasXattrFD(int(to.Fd()), fsat.DefaultACL); err != nil {
			return nil, err
		}
	}
	if d.own {
		if err := f.passOpaque(p); err != nil {
			return nil, err
		}
	}
	if err := f.entries(p); err != nil {
		return nil, err
	}
	f.add(p.done)
	attributes.Mode, attributes.Access = st.Mode&0o7777, fsat.OmitTime()
	return p.found, fsat.SetAttributes(to, attributes, nil)
}

// attributes are those that the directory gets.
func (f *filling) attributes(d directory, from, to *os.File) (fsat.Attributes, unix.Stat_t, error) {
	switch {
	case d.own:
		return fsat.ReadAttributes(to, keep)
	case d.path == "." && f.root != nil:
		return lowerdir.Attributes(f.root)
	}
	return fsat.ReadAttributes(from, keep)
}

// keep says whether an extended attribute goes along: those of the host's
// security policy are the directory's own.
func keep(name string) bool { return !lowerdir.IsLocal(name) }

// passOpaque gives a directory of a fix layer, which has no marks, the mark of
// the layer's.
func (f *filling) passOpaque(p *pair) error {
	opaque, err := lowerdir.IsOpaque(p.from, f.options.Form)
	if err != nil || !opaque {
		return err
	}
	return f.setOpaque(p.to)
}

func (c *Copier) setOpaque(dir *os.File) error {
	name := c.options.Form.Xattr("opaque")
	if err := fsat.SetXattrFD(int(dir.Fd()), name, "y"); err != nil {
		return &os.PathError{Op: "set " + name + " of", Path: dir.Name(), Err: err}
	}
	return nil
}

// batch is how many names of a directory are in memory at a time.
const batch = 1024

func (f *filling) entries(p *pair) error {
	for {
		list, err := p.from.ReadDir(batch)
		for _, e := range list {
			if err := f.entry(p, e); err != nil {
				return fmt.Errorf("%.200q: %w", e.Name(), err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (f *filling) entry(p *pair, e fs.DirEntry) error {
	switch {
	case e.IsDir():
		return f.enter(p, e.Name())
	case e.Type()&fs.ModeCharDevice != 0:
		st, err := fsat.Lstat(p.from, e.Name())
		if err != nil {
			return err
		}
		if isWhiteout(st) {
			hides, err := f.whiteoutHides(p)
			if err != nil || !hides {
				return err
			}
		}
	}
	err := f.file(p, e.Name())
	if errors.Is(err, fs.ErrExist) {
		return f.yield(p, e.Name())
	}
	return err
}

func isWhiteout(st unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }

// yield leaves what the fix layer has at a name where the layer has no
// directory. A directory there shows nothing of the layers below it.
func (f *filling) yield(p *pair, name string) error {
	st, err := fsat.Lstat(p.to, name)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return err
	}
	dir, err := fsat.OpenDir(p.to, name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return f.setOpaque(dir)
}

// enter makes a directory, or takes the one that the fix layer has.
func (f *filling) enter(p *pair, name string) error {
	at := path.Join(p.path, name)
	err := unix.Mkdirat(int(p.to.Fd()), name, 0o700)
	if err == nil {
		p.found = append(p.found, directory{path: at})
		return f.disinherit(p, name)
	}
	if err != unix.EEXIST {
		return &os.PathError{Op: "mkdir", Path: at, Err: err}
	}
	st, err := fsat.Lstat(p.to, name)
	if err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		p.found = append(p.found, directory{path: at, own: true, found: true})
	case isWhiteout(st): // the directory was made to hold whiteouts only
		hides, err := f.whiteoutHides(p)
		if err != nil || hides {
			return err
		}
		if err := unix.Unlinkat(int(p.to.Fd()), name, 0); err != nil {
			return &os.PathError{Op: "remove", Path: at, Err: err}
		}
	}
	return nil
}

// disinherit takes from a directory that was made the ACLs of the one that it
// is in.
func (f *filling) disinherit(p *pair, name string) error {
	if !p.inherited {
		return nil
	}
	made, err := fsat.OpenDir(p.to, name)
	if err != nil {
		return err
	}
	return errors.Join(fsat.RemoveACLs(made), made.Close())
}
