// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// Image is images/<manifest-hex>.json: one image for one platform.
type Image struct {
	Manifest digest.Digest    `json:"manifest"`
	Config   digest.Digest    `json:"config"`
	Platform ocispec.Platform `json:"platform"`
	// Layers are the diffIDs as the image has them, the lowest first.
	Layers []digest.Digest `json:"layers"`
	// Fix is the chainID of all layers where the image has a fix layer or an index,
	// else "". PutImage sets it.
	Fix digest.Digest `json:"fix,omitempty"`
	// Size is the sum of the sizes of manifest, config and blobs of layers, in bytes.
	Size int64 `json:"size"`
	// Created is when the image was first put into the store, and Pulled when it
	// was last put; Pulled is zero in records of versions that did not have it.
	// PutImage sets Pulled, and Created where that is zero.
	Created time.Time `json:"created"`
	Pulled  time.Time `json:"pulled,omitzero"`
	// Names are the references to the image, sorted, each with the platform for
	// which the reference lists it; Refs are the references alone, each once; Used
	// is when the image was last put, looked up or mounted. The store fills these in
	// when it reads the record, which does not contain them.
	Names []Name    `json:"-"`
	Refs  []string  `json:"-"`
	Used  time.Time `json:"-"`
}

const maxImage = 4 << 20

// PutImage records img durably, with the fix layer or index that it needs, and
// returns the record. All its layers must be in the store: take a [Lease] on them
// before looking for them.
func (s *Store) PutImage(ctx context.Context, img Image) (Image, error) {
	name, err := storedirs.Name(img.Manifest)
	if err != nil {
		return Image{}, fmt.Errorf("put image: %w", err)
	}
	img, err = s.putImage(ctx, name, img)
	if err != nil {
		return Image{}, fmt.Errorf("put image %s: %w", img.Manifest, s.Explain(err))
	}
	return img, nil
}

func (s *Store) putImage(ctx context.Context, name string, img Image) (Image, error) {
	stack, err := s.stack(img)
	if err != nil {
		return img, err
	}
	unlock, err := s.shareWithFix(ctx, &img, stack)
	if err != nil {
		return img, err
	}
	defer unlock()
	// Nobody can prune the layers now. Make their short links, or find the index.
	if s.tars() && img.Fix != "" {
		_, err = s.Index(img)
	} else {
		_, err = s.LowerDirs(ctx, img)
	}
	if err != nil {
		return img, err
	}
	img.Pulled = time.Now().UTC().Truncate(time.Second)
	if before, err := s.image(name); img.Created.IsZero() && err == nil {
		img.Created = before.Created
	}
	if img.Created.IsZero() {
		img.Created = img.Pulled
	}
	raw, err := json.Marshal(img)
	if err != nil {
		return img, err
	}
	return img, durable.WriteFile(ctx, s.dirs[storedirs.Images], name+jsonSuffix, append(raw, '\n'), 0o600)
}

// shareWithFix ensures the image's fix layer or index, and takes [Store.Share] while
// that exists. Building it takes long, so it is built without Share. The caller's
// lease keeps the layers meanwhile, but not the new fix layer, which another process
// may prune before Share is taken; then it is built once more.
func (s *Store) shareWithFix(ctx context.Context, img *Image, stack []stackLayer) (unlock func() error, err error) {
	for {
		if img.Fix, err = s.ensureFix(ctx, *img, stack); err != nil {
			return nil, err
		}
		unlock, err := s.Share(ctx)
		if err != nil || img.Fix == "" {
			return unlock, err
		}
		if _, err = s.fixLayer(img.Fix); err == nil {
			return unlock, nil
		}
		if err := errors.Join(unlock(), ctx.Err()); err != nil {
			return nil, err
		}
		if !errors.Is(err, ErrNotFound) {
			return nil, err
		}
	}
}

const jsonSuffix = ".json"

// Image reads the record of an image by its manifest's digest. The error is
// ErrNotFound where there is none. Whether its layers exist is not checked here,
// but by [Store.LowerDirs] and [Store.Index].
func (s *Store) Image(manifest digest.Digest) (Image, error) {
	name, err := storedirs.Name(manifest)
	if err != nil {
		return Image{}, fmt.Errorf("look up image: %w", err)
	}
	img, err := s.image(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotFound
	}
	if err == nil && img.Manifest != manifest {
		err = fmt.Errorf("%w: the record is that of %s", ErrDamaged, img.Manifest)
	}
	if err != nil {
		return Image{}, fmt.Errorf("look up image %s: %w", manifest, err)
	}
	return img, nil
}

func (s *Store) image(name string) (Image, error) {
	var img Image
	raw, err := storedirs.ReadFile(s.dirs[storedirs.Images], name+jsonSuffix, maxImage)
	if err != nil {
		return img, err
	}
	if err := json.Unmarshal(raw, &img); err != nil {
		return img, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if _, err := storedirs.Name(img.Manifest); err != nil {
		return img, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	st, err := fsat.Lstat(s.dirs[storedirs.Images], name+jsonSuffix)
	img.Used = time.Unix(st.Mtim.Unix())
	return img, err
}

// Images lists all images, each with its references, sorted by their manifests'
// digests. Images whose record cannot be read are left out, and the error names
// them.
func (s *Store) Images() ([]Image, error) {
	names, err := fsat.Names(s.dirs[storedirs.Images])
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	refs, err := s.refs()
	if fsat.IsShortage(err) {
		return nil, fmt.Errorf("list images: %w", err)
	}
	errs := []error{err}
	var list []Image
	for _, file := range names {
		name, ok := strings.CutSuffix(file, jsonSuffix)
		if !ok || strings.HasPrefix(file, durable.TempPrefix) {
			continue
		}
		img, err := s.image(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if fsat.IsShortage(err) {
			return nil, fmt.Errorf("list images: %w", err) // this says nothing of the image
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("image %s: %w", name, err))
			continue
		}
		img.name(refs)
		list = append(list, img)
	}
	sortImages(list)
	return list, errors.Join(errs...)
}

// Touch sets the time at which an image was last used to now. A failure is only
// logged, and the time need not survive a power cut.
func (s *Store) Touch(manifest digest.Digest) {
	now := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	name := manifest.Encoded() + jsonSuffix
	if err := unix.UtimesNanoAt(int(s.dirs[storedirs.Images].Fd()), name, now, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		s.log.Debug("note when an image was used", "image", manifest, "error", err)
	}
}
