// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/layerstream"
	"github.com/layerctl/layerctl/internal/scratch"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
)

const (
	// maxTar and maxRatio bound the bytes of a layer's tar, and how many times larger
	// than the layer it may be; package unpack has the same bounds.
	maxTar   = 256 << 30
	maxRatio = 200
	// zstdWindow is the window in bytes of zstd. It is small, because several layers are
	// packed at once.
	zstdWindow = 4 << 20
)

// made is a layer that was packed anew, in a file without a name.
type made struct {
	file *os.File
	size int64
	sent bool // the destination has it and is not asked again

	once sync.Once
	err  error
}

// Reference returns none: the layer cannot be mounted from anywhere.
func (m *made) Reference() registry.Reference { return registry.Reference{} }

// Config is not called for a layer.
func (m *made) Config(context.Context, ocispec.Descriptor) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// Blob opens the layer from its first byte.
func (m *made) Blob(context.Context, ocispec.Descriptor) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(m.file, 0, m.size)), nil
}

// Close closes the file. It may be called more than once.
func (m *made) Close() error {
	m.once.Do(func() { m.err = m.file.Close() })
	return m.err
}

// unsent returns the blobs without those that were packed anew and sent already.
func unsent(all []blob) []blob {
	return slices.DeleteFunc(slices.Clone(all), func(b blob) bool {
		m, ok := b.from.(*made)
		return ok && m.sent
	})
}

// repacking is a layer that will be packed anew.
type repacking struct {
	blob
	diffID digest.Digest
}

// repackings returns the layers of the images that will be packed anew, each once. It
// warns of those that should be and cannot.
func (x *conversion) repackings(ctx context.Context, docs []document, images []*manifest.Manifest) ([]repacking, error) {
	var all []repacking
	seen := map[digest.Digest]bool{}
	stay := 0
	for n, m := range images {
		if m == nil {
			continue
		}
		diffIDs, err := diffIDs(ctx, docs[n].blobs[0], m)
		if err != nil {
			return nil, fmt.Errorf("manifest %s: %w", docs[n].desc.Digest, err)
		}
		for i, l := range m.Layers {
			is, err := manifest.CompressionOf(l.MediaType)
			switch {
			case seen[l.Digest]:
			case x.repacked(l):
				all = append(all, repacking{docs[n].blobs[i+1], diffIDs[i]})
			case err != nil || is != x.c.options.Compress:
				stay++
			}
			seen[l.Digest] = true
		}
	}
	if stay > 0 {
		x.c.warn("%d layers are foreign, encrypted or of a type that is not known, and stay as they are", stay)
	}
	return all, nil
}

// pack packs the layers of the images anew where the options ask for it.
func (x *conversion) pack(ctx context.Context, docs []document, images []*manifest.Manifest) error {
	all, err := x.repackings(ctx, docs, images)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	g, ctx := x.c.group(ctx)
	for n, r := range all {
		e := progress.Event{Reference: x.c.done.Source.String(), Layer: r.Descriptor, Number: n + 1, Of: len(all)}
		g.Go(func() error {
			b, err := x.c.repack(ctx, r, e)
			if err != nil {
				return fmt.Errorf("pack layer %s as %s: %w", r.Digest, x.c.options.Compress, err)
			}
			mu.Lock()
			defer mu.Unlock()
			x.packed[r.Digest] = b
			return nil
		})
	}
	return g.Wait()
}

// diffIDs reads the diffIDs of a manifest's layers from the config.
func diffIDs(ctx context.Context, config blob, m *manifest.Manifest) ([]digest.Digest, error) {
	raw, err := config.from.Config(ctx, config.Descriptor)
	if err != nil {
		return nil, err
	}
	parsed, err := manifest.ParseConfig(raw)
	if err != nil {
		return nil, err
	}
	if len(parsed.DiffIDs) != len(m.Layers) {
		return nil, fmt.Errorf("%w: %d layers, and %d diffIDs of the config", manifest.ErrMalformed, len(m.Layers), len(parsed.DiffIDs))
	}
	return parsed.DiffIDs, nil
}

// repack packs one layer anew, and sends it if the destination is open.
func (c *copier) repack(ctx context.Context, r repacking, e progress.Event) (blob, error) {
	var desc ocispec.Descriptor
	var m *made
	err := source.Retry(func() (err error) {
		desc, m, err = c.packed(ctx, r, e)
		return err
	}, func(error) {})
	if err != nil {
		return blob{}, err
	}
	c.mu.Lock()
	c.made = append(c.made, m)
	c.mu.Unlock()
	b := blob{desc, m}
	if c.target == nil {
		return b, nil
	}
	e.Layer = desc
	if err := c.blob(ctx, b, e); err != nil {
		return blob{}, err
	}
	m.sent = true
	return b, m.Close()
}

// packed packs one layer anew into a file.
func (c *copier) packed(ctx context.Context, r repacking, e progress.Event) (desc ocispec.Descriptor, _ *made, err error) {
	from, err := r.from.Blob(ctx, r.Descriptor)
	if err != nil {
		return desc, nil, err
	}
	defer func() {
		if cerr := from.Close(); err == nil {
			err = cerr
		}
	}()
	file, err := scratch.Open(scratch.Dir())
	if err != nil {
		return desc, nil, err
	}
	m := &made{file: file}
	tell := func(n int64) {
		if c.options.Progress != nil {
			e.Kind, e.Offset = progress.LayerProgress, n
			c.options.Progress(e)
		}
	}
	sum := digest.SHA256.Digester()
	err = c.rewrite(ctx, io.MultiWriter(&scratch.Keeping{File: file}, sum.Hash()), &counted{from, 0, tell}, r)
	if err == nil {
		m.size, err = file.Seek(0, io.SeekCurrent)
	}
	if err != nil {
		return desc, nil, errors.Join(err, m.Close())
	}
	desc = ocispec.Descriptor{MediaType: r.MediaType, Digest: sum.Digest(), Size: m.size}
	return desc, m, nil
}

// rewrite unpacks a layer, compares the tar with the diffID, and packs it again. The same
// layer always becomes the same bytes.
func (c *copier) rewrite(ctx context.Context, to io.Writer, blob io.Reader, r repacking) (err error) {
	var z io.WriteCloser = pgzip.NewWriter(to)
	if c.options.Compress == manifest.Zstd {
		if z, err = zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow)); err != nil {
			return err
		}
	}
	tar, err := layerstream.Open(ctx, blob, layerstream.Options{
		MediaType: r.MediaType, Size: r.Size, Algorithm: r.diffID.Algorithm(), MaxSize: maxTar, MaxRatio: maxRatio,
	})
	if err != nil {
		return errors.Join(malformed(err), z.Close())
	}
	_, err = io.Copy(z, tar)
	if err == nil && tar.Digest() != r.diffID {
		err = errkind.With(errkind.Mismatch, fmt.Errorf("its tar is %s, and the config has %s", tar.Digest(), r.diffID))
	}
	var broken *layerstream.FormatError
	err = tar.Close(err, errors.As(err, &broken))
	if cerr := z.Close(); err == nil {
		err = cerr
	}
	return malformed(err)
}

// malformed makes an error of a layer's format or limits match [errkind.Malformed].
func malformed(err error) error {
	var broken *layerstream.FormatError
	var limit *layerstream.LimitError
	if errors.As(err, &broken) || errors.As(err, &limit) {
		return errkind.With(errkind.Malformed, err)
	}
	return err
}
