// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/imageref"
	"github.com/layerctl/layerctl/internal/shortname"
	"github.com/layerctl/layerctl/internal/storedirs"
	"github.com/layerctl/layerctl/platform"
)

// Name is a reference to an image, and the platform for which the reference lists
// the image.
type Name struct {
	Ref      string           `json:"reference"`
	Platform ocispec.Platform `json:"platform"`
}

// TagOptions say for which platform a reference names an image. The zero value
// means the image's own platform.
type TagOptions struct {
	// Platform is what an index lists the image for; nil means the image's own.
	Platform *ocispec.Platform
	// Wanted is what the image was chosen for. [Store.Lookup] then finds the image
	// for that: images that fit better lose the reference, which has moved on. The
	// zero value takes the reference from no other image.
	Wanted platform.Wanted
}

// Tag makes ref name the image for one platform, durably. It replaces what ref
// named for that platform, and leaves what ref names for others. [Store.PutImage]
// must have recorded the image.
func (s *Store) Tag(ctx context.Context, ref string, manifest digest.Digest, o TagOptions) error {
	err := s.tag(ctx, ref, manifest, o)
	if err != nil {
		return fmt.Errorf("tag %q: %w", ref, s.Explain(err))
	}
	return nil
}

func (s *Store) tag(ctx context.Context, ref string, manifest digest.Digest, o TagOptions) error {
	unlock, err := s.shareRefs(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	img, err := s.Image(manifest)
	if err != nil {
		return err
	}
	if o.Platform == nil {
		o.Platform = platformOf(img)
	}
	return s.imageRefs().Put(ctx, ref, manifest, o.Platform, o.Wanted)
}

// refsLock is held while references are changed: the file for one platform depends
// on the files for others.
const refsLock = "refs"

// shareRefs is [Store.Share], and keeps others from changing references.
func (s *Store) shareRefs(ctx context.Context) (unlock func() error, err error) {
	share, err := s.Share(ctx)
	if err != nil {
		return nil, err
	}
	own, err := durable.Lock(ctx, s.dirs[storedirs.Locks], refsLock, durable.Exclusive, nil)
	if err != nil {
		return nil, errors.Join(err, share())
	}
	return func() error { return errors.Join(own(), share()) }, nil
}

// Lookup returns the image that ref names for w, by the rules of [platform.Choose];
// the zero w takes any, if ref names just one. The name of an image in a registry
// may be short, as for a pull: "alpine:3.20". The error is ErrNotFound where there
// is no such reference, and a [platform.NoMatchError] where no image that it names
// fits.
func (s *Store) Lookup(ref string, w platform.Wanted) (Image, error) {
	img, err := s.lookup(ref, w)
	if err != nil {
		return Image{}, fmt.Errorf("look up %q: %w", ref, err)
	}
	return img, nil
}

// LookupToRead is Lookup for callers that run nothing of the image: where no image
// fits this machine and w names no platform, the only image of that name will do.
func (s *Store) LookupToRead(ref string, w platform.Wanted) (Image, error) {
	img, err := s.Lookup(ref, w)
	if !w.Named && errors.Is(err, platform.ErrNoMatch) {
		if only, err := s.Lookup(ref, platform.Wanted{}); err == nil {
			return only, nil
		}
	}
	return img, err
}

func (s *Store) lookup(ref string, w platform.Wanted) (Image, error) {
	var last Image // so that a record of hundreds of layers is read once
	from := s.refsBy(func(manifest digest.Digest) (Image, error) {
		img, err := s.Image(manifest)
		last = img
		return img, err
	})
	named, err := from.Named(ref)
	if full, parseErr := shortname.Parse(ref); parseErr == nil && errors.Is(err, fs.ErrNotExist) {
		named, err = from.Named(full.String())
	}
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, ErrNotFound
	}
	if err != nil {
		return Image{}, err
	}
	rec, err := imageref.Find(named, w)
	if err != nil {
		return Image{}, err
	}
	img := last
	if img.Manifest != rec.Manifest {
		img, err = s.Image(rec.Manifest)
	}
	if err != nil {
		return Image{}, err
	}
	refs, err := s.refs()
	if fsat.IsShortage(err) {
		return Image{}, err
	}
	img.name(refs)
	s.Touch(img.Manifest)
	return img, nil
}

// imageRefs returns the files of refs/.
func (s *Store) imageRefs() imageref.Refs { return s.refsBy(s.Image) }

// refsBy returns the files of refs/, read with another way to read images' records.
func (s *Store) refsBy(image func(digest.Digest) (Image, error)) imageref.Refs {
	return imageref.Refs{Dir: s.dirs[storedirs.Refs], Platform: func(manifest digest.Digest) (*ocispec.Platform, bool) {
		img, err := image(manifest)
		return platformOf(img), !errors.Is(err, ErrNotFound)
	}}
}

// platformOf returns the platform in an image's config; nil where there is none.
func platformOf(img Image) *ocispec.Platform {
	if img.Platform.OS == "" && img.Platform.Architecture == "" {
		return nil
	}
	return &img.Platform
}

// refs returns all references, by the image that they name.
func (s *Store) refs() (map[digest.Digest][]Name, error) {
	records, err := s.imageRefs().List()
	refs := map[digest.Digest][]Name{}
	for _, r := range records {
		name := Name{Ref: r.Ref}
		if r.Platform != nil {
			name.Platform = *r.Platform
		}
		refs[r.Manifest] = append(refs[r.Manifest], name)
	}
	return refs, err
}

// name sets the image's Names and Refs.
func (i *Image) name(refs map[digest.Digest][]Name) {
	i.Names, i.Refs = refs[i.Manifest], nil
	for _, n := range i.Names {
		i.Refs = append(i.Refs, n.Ref)
	}
	i.Refs = slices.Compact(i.Refs)
}

// Remove removes the reference from the image, durably; with manifest "" from every
// image, even where its file is damaged. The next [Store.Prune] removes what nothing
// needs then. The error is ErrNotFound where there is no such reference, and ErrBusy
// where it is the last reference of an image that is mounted.
func (s *Store) Remove(ctx context.Context, ref string, manifest digest.Digest) error {
	if err := s.remove(ctx, ref, manifest); err != nil {
		return fmt.Errorf("remove %q: %w", ref, err)
	}
	return nil
}

func (s *Store) remove(ctx context.Context, ref string, manifest digest.Digest) error {
	unlock, err := s.shareRefs(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	err = s.imageRefs().Remove(ctx, ref, manifest, func(r imageref.Record) error { return s.refuseMounted(ctx, r) })
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return err
}

// refuseMounted returns ErrBusy where rec is the last reference to a mounted image.
func (s *Store) refuseMounted(ctx context.Context, rec imageref.Record) error {
	refs, err := s.refs()
	if fsat.IsShortage(err) {
		return err
	}
	if slices.ContainsFunc(refs[rec.Manifest], func(n Name) bool { return n.Ref != rec.Ref }) {
		return nil
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
	sort.Slice(list, func(i, j int) bool { return list[i].Manifest < list[j].Manifest })
}
