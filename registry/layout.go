// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// containerdName is what Docker and containerd call an entry of index.json
// beside the name of the specification.
const containerdName = "io.containerd.image.name"

// file is one file of a layout or an archive, open.
type file struct {
	io.ReadCloser
	size int64
}

// files is a layout's directory, or a tar of it. Names are relative, with
// slashes, and clean. A file that is not there is fs.ErrNotExist.
type files interface {
	open(name string) (file, error)
	close() error
}

// layout is an OCI image layout as
// https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
// has it.
type layout struct {
	ref   Reference
	files files
}

func openLayout(ref Reference) (*layout, error) {
	return newLayout(ref, directory(ref.Path()))
}

func openOCIArchive(ctx context.Context, ref Reference) (*layout, error) {
	a, err := openArchive(ctx, ref.Path())
	if err != nil {
		return nil, err
	}
	return newLayout(ref, a)
}

// newLayout takes over the files, which it closes if they are no layout.
func newLayout(ref Reference, f files) (*layout, error) {
	l := &layout{ref, f}
	if err := l.checkVersion(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return l, nil
}

func (l *layout) close() error { return l.files.close() }

func (l *layout) checkVersion() error {
	raw, err := readFile(l.files, ocispec.ImageLayoutFile, MaxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		if _, serr := os.Stat(l.ref.Path()); serr != nil {
			return &failure{ErrNotFound, serr}
		}
		return as(ErrMalformed, "%s is no OCI image layout: it has no %s", l.ref.Path(), ocispec.ImageLayoutFile)
	}
	if err != nil {
		return err
	}
	var v ocispec.ImageLayout
	if err := json.Unmarshal(raw, &v); err != nil {
		return as(ErrMalformed, "%s: %w", ocispec.ImageLayoutFile, err)
	}
	if !strings.HasPrefix(v.Version, "1.") {
		return as(ErrMalformed, "%s: version %q, not 1", ocispec.ImageLayoutFile, v.Version)
	}
	return nil
}

func (l *layout) resolve(ctx context.Context) (ocispec.Descriptor, error) {
	desc, _, err := l.find(ctx)
	return desc, err
}

func (l *layout) root(ctx context.Context) (ocispec.Descriptor, []byte, error) {
	desc, raw, err := l.find(ctx)
	if err != nil || raw != nil {
		return desc, raw, err
	}
	raw, err = l.manifest(ctx, desc)
	return desc, raw, err
}

// find looks the reference up in index.json. raw is index.json itself where
// that is what the reference names.
func (l *layout) find(ctx context.Context) (desc ocispec.Descriptor, raw []byte, err error) {
	if err := ctx.Err(); err != nil {
		return desc, nil, err
	}
	raw, err = readFile(l.files, ocispec.ImageIndexFile, MaxManifest)
	if err != nil {
		return desc, nil, l.missing(ocispec.ImageIndexFile, err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		return desc, nil, as(ErrMalformed, "%s: %w", ocispec.ImageIndexFile, err)
	}
	switch {
	case l.ref.digest != "":
		desc, err = l.byDigest(index)
	case l.ref.tag != "":
		desc, err = byTag(index, l.ref.tag)
	case len(index.Manifests) > 1 && unnamed(index):
		d := digest.FromBytes(raw)
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: d, Size: int64(len(raw))}, raw, nil
	default:
		desc, err = only(index)
	}
	if err == nil {
		err = check(desc, MaxManifest)
	}
	return desc, nil, err
}

// byDigest finds the blob of an index or a manifest, which index.json need not
// list: it may lie in an index that it does.
func (l *layout) byDigest(index ocispec.Index) (ocispec.Descriptor, error) {
	for _, d := range index.Manifests {
		if d.Digest == l.ref.digest {
			return d, nil
		}
	}
	f, err := l.files.open(blobName(l.ref.digest))
	if err != nil {
		return ocispec.Descriptor{}, l.missing(l.ref.digest.String(), err)
	}
	defer f.Close()
	desc := ocispec.Descriptor{Digest: l.ref.digest, Size: f.size}
	if err := check(desc, MaxManifest); err != nil {
		return desc, err
	}
	raw, err := io.ReadAll(verify(f, desc, l.ref.Path()))
	if err != nil {
		return desc, err
	}
	var said struct {
		MediaType string `json:"mediaType"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return desc, as(ErrMalformed, "%s is no manifest: %w", desc.Digest, err)
	}
	desc.MediaType = said.MediaType
	return desc, nil
}

func byTag(index ocispec.Index, tag string) (ocispec.Descriptor, error) {
	for _, d := range slices.Backward(index.Manifests) {
		if d.Annotations[ocispec.AnnotationRefName] == tag {
			return d, nil
		}
	}
	for _, d := range index.Manifests {
		if name := d.Annotations[containerdName]; name != "" && sameName(name, tag) {
			return d, nil
		}
	}
	return ocispec.Descriptor{}, as(ErrNotFound, "no tag %q: there %s", tag, tags(index))
}

// sameName compares two Docker references.
func sameName(a, b string) bool {
	x, err := parseDocker(a, a)
	if err != nil {
		return false
	}
	y, err := parseDocker(b, b)
	return err == nil && x == y
}

func only(index ocispec.Index) (ocispec.Descriptor, error) {
	switch len(index.Manifests) {
	case 1:
		return index.Manifests[0], nil
	case 0:
		return ocispec.Descriptor{}, as(ErrNotFound, "the layout is empty")
	}
	return ocispec.Descriptor{}, as(ErrNotFound, "the layout has several images, name one by :TAG or @DIGEST: there %s", tags(index))
}

func unnamed(index ocispec.Index) bool {
	return !slices.ContainsFunc(index.Manifests, func(d ocispec.Descriptor) bool {
		return d.Annotations[ocispec.AnnotationRefName] != ""
	})
}

func tags(index ocispec.Index) string {
	var names []string
	for _, d := range index.Manifests {
		if n := d.Annotations[ocispec.AnnotationRefName]; n != "" {
			names = append(names, n)
		}
	}
	return listed(names)
}

// listed says what names there are, in a line's length.
func listed(names []string) string {
	const most = 10
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
		names = names[:most]
	}
	switch len(names) {
	case 0:
		return "are none"
	case 1:
		return fmt.Sprintf("is %q", names[0])
	}
	return fmt.Sprintf("are %q%s", names, more)
}

func (l *layout) manifest(ctx context.Context, desc ocispec.Descriptor) (raw []byte, err error) {
	b, err := l.blob(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer closeInto(&err, b)
	return io.ReadAll(b)
}

func (l *layout) blob(ctx context.Context, desc ocispec.Descriptor) (*verified, error) {
	if err := check(desc, 0); err != nil {
		return nil, err
	}
	f, err := l.files.open(blobName(desc.Digest))
	if err != nil {
		return nil, l.missing(desc.Digest.String(), err)
	}
	return verifyFile(ctx, f, desc, l.ref.Path())
}

func verifyFile(ctx context.Context, f file, desc ocispec.Descriptor, path string) (*verified, error) {
	if f.size != desc.Size {
		return nil, errors.Join(&MismatchError{
			Want: desc.Digest, WantSize: desc.Size, GotSize: f.size, Host: path,
		}, f.Close())
	}
	return verify(&interruptible{f, ctx}, desc, path), nil
}

func (l *layout) missing(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return as(ErrNotFound, "%s has no %s", l.ref.Path(), name)
	}
	return err
}

// blobName is where a layout keeps a blob. The digest was checked.
func blobName(d digest.Digest) string {
	return "blobs/" + d.Algorithm().String() + "/" + d.Encoded()
}

// interruptible stops when its context is done.
type interruptible struct {
	io.ReadCloser
	ctx context.Context //nolint:containedctx // of the call that opened it
}

// Read implements io.Reader.
func (r *interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.ReadCloser.Read(p)
}

// directory is the files below a directory.
type directory string

func (d directory) close() error { return nil }

func (d directory) open(name string) (file, error) {
	// O_NONBLOCK: a FIFO in the layout must not keep us waiting.
	f, err := os.OpenFile(filepath.Join(string(d), filepath.FromSlash(name)), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return file{}, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = as(ErrMalformed, "%s is no regular file", name)
	}
	if err != nil {
		return file{}, errors.Join(err, f.Close())
	}
	return file{f, st.Size()}, nil
}

// readFile reads a whole file of at most limit bytes.
func readFile(fsys files, name string, limit int64) (raw []byte, err error) {
	f, err := fsys.open(name)
	if err != nil {
		return nil, err
	}
	defer closeInto(&err, f)
	if f.size > limit {
		return nil, as(ErrMalformed, "%s has %d bytes, limit %d", name, f.size, limit)
	}
	raw = make([]byte, f.size)
	_, err = io.ReadFull(f, raw)
	return raw, err
}
