// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const blobsDir = "blobs"

// writer writes an archive's entries, each name once.
type writer struct {
	tar     *tar.Writer
	modTime time.Time
	written map[string]bool
}

func newWriter(to io.Writer, o Options) *writer {
	modTime := o.ModTime
	if modTime.IsZero() {
		modTime = time.Unix(0, 0)
	}
	return &writer{tar: tar.NewWriter(to), modTime: modTime.Truncate(time.Second).UTC(), written: map[string]bool{}}
}

// entry writes the header of an entry, unless there is one of that name; then first is
// false.
func (w *writer) entry(kind byte, name string, size, mode int64) (first bool, err error) {
	if w.written[name] {
		return false, nil
	}
	w.written[name] = true
	return true, w.tar.WriteHeader(&tar.Header{Typeflag: kind, Name: name, Size: size, Mode: mode, ModTime: w.modTime})
}

// file writes a file, unless there is one of that name.
func (w *writer) file(name string, raw []byte) error {
	first, err := w.entry(tar.TypeReg, name, int64(len(raw)), 0o644)
	if err != nil || !first {
		return err
	}
	_, err = w.tar.Write(raw)
	return err
}

func (w *writer) json(name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.file(name, raw)
}

// parents writes the directories above a blob.
func (w *writer) parents(desc ocispec.Descriptor) error {
	for _, dir := range []string{blobsDir, blobsDir + "/" + desc.Digest.Algorithm().String()} {
		if _, err := w.entry(tar.TypeDir, dir+"/", 0, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// document writes a checked document as a blob of a layout.
func (w *writer) document(d Document) error {
	if err := w.parents(d.Descriptor); err != nil {
		return err
	}
	return w.file(blobName(d.Descriptor), d.Raw)
}

// layers writes layers while they are read.
func (w *writer) layers(ctx context.Context, blobs Blobs, layers []ocispec.Descriptor) error {
	for _, l := range layers {
		if err := w.layer(ctx, blobs, l); err != nil {
			return fmt.Errorf("layer %s: %w", l.Digest, err)
		}
	}
	return nil
}

func (w *writer) layer(ctx context.Context, blobs Blobs, desc ocispec.Descriptor) (err error) {
	name := blobName(desc)
	if w.written[name] {
		return nil
	}
	// The blob is opened before the header is written: it may not exist.
	blob, err := blobs.Blob(ctx, desc)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	if err := w.parents(desc); err != nil {
		return err
	}
	if _, err := w.entry(tar.TypeReg, name, desc.Size, 0o644); err != nil {
		return err
	}
	// It is read to io.EOF, not only for its size, because its reader may verify it only
	// then.
	hash := desc.Digest.Algorithm().Hash()
	n, err := io.Copy(io.MultiWriter(w.tar, hash), blob)
	switch {
	case errors.Is(err, tar.ErrWriteTooLong):
		return fmt.Errorf("%w: it has more than %d bytes", ErrMismatch, desc.Size)
	case err != nil:
		return err
	case n < desc.Size:
		return fmt.Errorf("%w: %d bytes, not %d", ErrMismatch, n, desc.Size)
	}
	if got := digest.NewDigest(desc.Digest.Algorithm(), hash); got != desc.Digest {
		return fmt.Errorf("%w: it is %s", ErrMismatch, got)
	}
	return nil
}

func (w *writer) close() error { return w.tar.Close() }

// blobName returns the name of a blob in a layout. The descriptor must be checked.
func blobName(desc ocispec.Descriptor) string {
	return blobsDir + "/" + desc.Digest.Algorithm().String() + "/" + desc.Digest.Encoded()
}
