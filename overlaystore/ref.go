// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/shortname"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// refRecord is one file of refs/.
type refRecord struct {
	Ref      string        `json:"ref"`
	Manifest digest.Digest `json:"manifest"`
}

const maxRef = 1 << 16

// refName is the file of a reference: a hash, for a reference may hold
// anything and be longer than a file name.
func refName(ref string) string {
	sum := sha256.Sum256([]byte(ref))
	return hex.EncodeToString(sum[:]) + jsonSuffix
}

// Tag makes ref name the image, durably, instead of whatever it named before.
// The image must have been put.
func (s *Store) Tag(ctx context.Context, ref string, manifest digest.Digest) error {
	err := s.tag(ctx, ref, manifest)
	if err != nil {
		return fmt.Errorf("tag %q: %w", ref, s.Explain(err))
	}
	return nil
}

func (s *Store) tag(ctx context.Context, ref string, manifest digest.Digest) error {
	unlock, err := s.Share(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := s.Image(manifest); err != nil {
		return err
	}
	raw, err := json.Marshal(refRecord{ref, manifest})
	if err != nil {
		return err
	}
	if len(raw) > maxRef {
		return fmt.Errorf("it is %d bytes long", len(ref))
	}
	return durable.WriteFile(ctx, s.dirs[storedirs.Refs], refName(ref), append(raw, '\n'), 0o600)
}

// Lookup is the image that ref names, or ErrNotFound. The name of an image in
// a registry may be short, as for a pull: "alpine:3.20".
func (s *Store) Lookup(ref string) (Image, error) {
	rec, err := s.named(ref)
	if err != nil {
		return Image{}, fmt.Errorf("look up %q: %w", ref, err)
	}
	img, err := s.Image(rec.Manifest)
	if err != nil {
		return Image{}, fmt.Errorf("look up %q: %w", ref, err)
	}
	refs, err := s.refs()
	if err != nil {
		return Image{}, fmt.Errorf("look up %q: %w", ref, err)
	}
	img.Refs = refs[img.Manifest]
	s.Touch(img.Manifest)
	return img, nil
}

// named is the record of ref, or else of what it is short for.
func (s *Store) named(ref string) (refRecord, error) {
	rec, err := s.ref(refName(ref))
	if err == nil && rec.Ref == ref || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return rec, err
	}
	if full, err := shortname.Parse(ref); err == nil && full.String() != ref {
		return s.named(full.String())
	}
	return refRecord{}, ErrNotFound
}

func (s *Store) ref(file string) (refRecord, error) {
	var rec refRecord
	raw, err := storedirs.ReadFile(s.dirs[storedirs.Refs], file, maxRef)
	if err != nil {
		return rec, err
	}
	if err := json.Unmarshal(raw, &rec); err != nil {
		return rec, fmt.Errorf("%w: reference record %s: %w", ErrDamaged, file, err)
	}
	return rec, nil
}

// refs are all references by the image that they name.
func (s *Store) refs() (map[digest.Digest][]string, error) {
	names, err := fsat.Names(s.dirs[storedirs.Refs])
	if err != nil {
		return nil, err
	}
	refs := map[digest.Digest][]string{}
	var errs []error
	for _, name := range names {
		if strings.HasPrefix(name, durable.TempPrefix) {
			continue
		}
		rec, err := s.ref(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		refs[rec.Manifest] = append(refs[rec.Manifest], rec.Ref)
	}
	for _, list := range refs {
		slices.Sort(list)
	}
	return refs, errors.Join(errs...)
}

// Remove takes the reference away, durably. What nothing else needs then goes
// with the next [Store.Prune]. The error is ErrNotFound where there is no such
// reference, and ErrBusy when it is the last one of an image that is mounted.
func (s *Store) Remove(ctx context.Context, ref string) error {
	if err := s.remove(ctx, ref); err != nil {
		return fmt.Errorf("remove %q: %w", ref, err)
	}
	return nil
}

func (s *Store) remove(ctx context.Context, ref string) error {
	unlock, err := s.Share(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	rec, err := s.ref(refName(ref))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	if err == nil {
		if err := s.refuseMounted(ctx, rec); err != nil {
			return err
		}
	}
	if err := durable.Remove(ctx, s.dirs[storedirs.Refs], refName(ref)); err != nil {
		return err
	}
	return durable.SyncDir(ctx, s.dirs[storedirs.Refs])
}

func (s *Store) refuseMounted(ctx context.Context, rec refRecord) error {
	refs, err := s.refs()
	if err != nil || len(refs[rec.Manifest]) > 1 {
		return err
	}
	mounts, err := s.Mounts(ctx)
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if m.Manifest == rec.Manifest {
			return fmt.Errorf("%w: the image is mounted at %q; unmount it first", ErrBusy, m.Target)
		}
	}
	return nil
}

func sortImages(list []Image) {
	slices.SortFunc(list, func(a, b Image) int {
		return strings.Compare(string(a.Manifest), string(b.Manifest))
	})
}
