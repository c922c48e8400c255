// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/layercheck"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/internal/tarlayer"
	"github.com/layerctl/layerctl/internal/words"
)

// VerifyOptions say how [Store.Verify] works. The zero value compares everything.
type VerifyOptions struct {
	// Quick compares only types, sizes, modes, owners and times, and neither
	// contents nor extended attributes.
	Quick bool
	// Jobs is how many files are read at once; 0 means one for each CPU.
	Jobs int
	// Images limits the check to their layers; nil means every layer, every
	// image and every reference.
	Images []Image
	// Progress is called before each layer is read; nil is not called.
	Progress func(layer digest.Digest, number, of int)
}

// Difference is one property of a layer, or of a path in it, that is not as it was
// committed.
type Difference struct {
	Layer digest.Digest // diffID, or chainID of a fix layer
	Fix   bool
	Path  string // in the layer, "" for the layer itself
	Field string // such as "content", "mode", "xattr user.x", "missing"
	Got   string
	Want  string
}

func (d Difference) String() string {
	name := "layer"
	if d.Fix {
		name = "fix layer"
	}
	s := fmt.Sprintf("%s %s: ", name, d.Layer)
	if d.Path != "" {
		s += fmt.Sprintf("%q: ", d.Path)
	}
	s += d.Field
	if d.Got != "" || d.Want != "" {
		s += fmt.Sprintf(" is %s, was %s", d.Got, d.Want)
	}
	return s
}

// Report is what a verification found.
type Report struct {
	Layers int
	Files  int64 // paths
	Bytes  int64 // of content that was read
	// Differences are in the order of layers and, within a layer, of paths. Not
	// all are listed of a layer that has very many.
	Differences []Difference
}

// Damaged returns what differs or is missing: the diffIDs of layers, and the
// chainIDs of fix layers.
func (r Report) Damaged() (layers, fixes []digest.Digest) {
	for _, d := range r.Differences {
		list := &layers
		if d.Fix {
			list = &fixes
		}
		if !slices.Contains(*list, d.Layer) {
			*list = append(*list, d.Layer)
		}
	}
	return layers, fixes
}

// Verify compares layers and fix layers with their records, path by path. Where
// something differs the report names it and the error is ErrDamaged.
func (s *Store) Verify(ctx context.Context, o VerifyOptions) (Report, error) {
	r, err := s.verify(ctx, o)
	if err == nil && len(r.Differences) > 0 {
		layers, fixes := r.Damaged()
		err = fmt.Errorf("%s %w", words.Count(len(layers)+len(fixes), "layer"), ErrDamaged)
	}
	if err != nil {
		return r, fmt.Errorf("verify %s: %w", s.path, err)
	}
	return r, nil
}

func (s *Store) verify(ctx context.Context, o VerifyOptions) (Report, error) {
	var r Report
	targets, records, err := s.verifyTargets(ctx, o)
	if err != nil {
		return r, err
	}
	for i, t := range targets {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if o.Progress != nil {
			o.Progress(t.id, i+1, len(targets))
		}
		if err := s.verifyOne(ctx, t, o, &r); err != nil {
			return r, err
		}
	}
	return r, records
}

type verifyTarget struct {
	id     digest.Digest
	fix    bool
	listed bool    // found only by listing the directory; perhaps no image needs it
	images []Image // the caller's, of which one needs it; nil stands for all of the store
}

// verifyTargets has each layer and each fix layer once.
type verifyTargets []verifyTarget

func (l *verifyTargets) add(t verifyTarget) {
	if !slices.ContainsFunc(*l, func(u verifyTarget) bool { return u.id == t.id && u.fix == t.fix }) {
		*l = append(*l, t)
	}
}

// verifyTargets lists what to verify. The error records says what is
// wrong with the records of images and references.
func (s *Store) verifyTargets(ctx context.Context, o VerifyOptions) (targets verifyTargets, records, err error) {
	images, everything := o.Images, o.Images == nil
	if everything {
		unlock, err := s.Share(ctx)
		if err != nil {
			return nil, nil, err
		}
		images, records = s.Images()
		records = errors.Join(records, s.verifyRefs())
		if err := unlock(); err != nil {
			return nil, nil, err
		}
	}
	for _, img := range images {
		for _, id := range img.Layers {
			targets.add(verifyTarget{id: id, images: o.Images})
		}
		if img.Fix != "" {
			targets.add(verifyTarget{id: img.Fix, fix: true, images: o.Images})
		}
	}
	if !everything {
		return targets, records, nil
	}
	for _, dir := range []string{storedirs.Layers, storedirs.Fix} {
		names, err := fsat.Names(s.dirs[dir])
		if err != nil {
			return nil, nil, err
		}
		slices.Sort(names)
		for _, name := range names {
			targets.add(verifyTarget{id: digest.NewDigestFromEncoded(digest.SHA256, name), fix: dir == storedirs.Fix, listed: true})
		}
	}
	return targets, records, nil
}

// verifyRefs finds references to images that are not in the store.
func (s *Store) verifyRefs() error {
	refs, err := s.refs()
	errs := []error{err}
	for manifest, names := range refs {
		_, err := s.Image(manifest)
		if fsat.IsShortage(err) {
			return err
		}
		for _, n := range names {
			if err != nil {
				errs = append(errs, fmt.Errorf("reference %q: %w: %w", n.Ref, ErrDamaged, err))
			}
		}
	}
	return errors.Join(errs...)
}

// verifyOne verifies a layer that other processes may remove, replace or add again
// meanwhile.
func (s *Store) verifyOne(ctx context.Context, t verifyTarget, o VerifyOptions, r *Report) error {
	for {
		dir, err := s.openTarget(t)
		if errors.Is(err, ErrNotFound) {
			missing, err := s.missing(ctx, t)
			if missing {
				r.Layers++
				r.Differences = append(r.Differences, Difference{Layer: t.id, Fix: t.fix, Field: "missing"})
			}
			if err != nil || missing || t.listed {
				return err
			}
			if present, err := s.present(t); err != nil || !present {
				return err // no image needs it any more
			}
			continue
		}
		if err != nil {
			return err
		}
		c := layercheck.New(layercheck.Options{Form: s.format.Form, Quick: o.Quick, Jobs: o.Jobs})
		err = s.check(ctx, t, c, dir, o.Quick)
		moved := s.moved(t, dir)
		dir.Close() // only read
		if ctx.Err() == nil && moved {
			continue // another process removed or replaced it while it was read
		}
		if errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
			c.Differ("", "record", err.Error(), "readable")
			err = nil
		}
		r.add(t, c.Result())
		return err
	}
}

// check compares the layer in dir with its records.
func (s *Store) check(ctx context.Context, t verifyTarget, c *layercheck.Check, dir *os.File, quick bool) error {
	rec, err := ReadRecord(dir)
	if err != nil {
		return err
	}
	if rec.DiffID != t.id {
		c.Differ("", "record", "that of "+string(rec.DiffID), string(t.id))
	}
	if s.tars() {
		return tarlayer.Check(ctx, c, dir, s.recorded(t.id, &rec), quick)
	}
	root, err := durable.OpenDirAt(dir, storedirs.LowerDir)
	if err != nil {
		return err
	}
	defer root.Close()
	return c.Run(ctx, dir, root)
}

// recorded returns what the record says of the file of a layer or an index.
func (s *Store) recorded(id digest.Digest, rec *LayerRecord) tarlayer.Recorded {
	return tarlayer.Recorded{DiffID: id, Size: rec.Size, Index: rec.Index, Verity: s.files()}
}

// add adds what was found in one layer.
func (r *Report) add(t verifyTarget, found layercheck.Result) {
	r.Layers++
	r.Files += found.Files
	r.Bytes += found.Bytes
	for _, d := range found.Differences {
		r.Differences = append(r.Differences, Difference{t.id, t.fix, d.Path, d.Field, d.Got, d.Want})
	}
}

// moved reports whether dir is no longer where the target is.
func (s *Store) moved(t verifyTarget, dir *os.File) bool {
	again, err := s.openTarget(t)
	if err != nil {
		return errors.Is(err, ErrNotFound)
	}
	defer again.Close()
	before, err1 := dir.Stat()
	now, err2 := again.Stat()
	return err1 == nil && err2 == nil && !os.SameFile(before, now)
}

func (s *Store) present(t verifyTarget) (bool, error) {
	dir, err := s.openTarget(t)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, dir.Close()
}

// missing reports whether a layer is absent although an image needs it.
func (s *Store) missing(ctx context.Context, t verifyTarget) (bool, error) {
	if t.listed {
		return false, nil
	}
	// A prune removes the image before the layer, but must not do so in between.
	unlock, err := s.Share(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	images := t.images
	if images == nil {
		// verifyTargets reports what is wrong with records.
		if images, err = s.Images(); err != nil && !errors.Is(err, ErrDamaged) {
			return false, err
		}
	}
	dirs := map[string]bool{}
	for _, img := range images {
		addDirs(dirs, img)
	}
	if !dirs[t.id.Encoded()] {
		return false, nil
	}
	present, err := s.present(t)
	return !present, err
}

func (s *Store) openTarget(t verifyTarget) (*os.File, error) {
	open := s.openLayer
	if t.fix {
		open = s.openFix
	}
	dir, _, err := open(t.id)
	return dir, err
}
