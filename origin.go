// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/registry"
)

// ErrOffline says that an offline client needs what its cache does not have.
var ErrOffline = errkind.New(errkind.NotFound, "not in the cache, and offline")

// origin is one reference, opened: what the cache has, no registry is asked
// for. Layouts and archives are on this machine anyway and pass it by.
type origin struct {
	*registry.Source
	cache     *cache.Cache // nil for none
	keepBlobs bool
	offline   bool
	log       *slog.Logger

	mu  sync.Mutex
	top ocispec.Descriptor // what the reference names, once read
	raw []byte
}

func (c *Client) open(ctx context.Context, ref string) (*origin, error) {
	parsed, err := registry.Parse(ref)
	if err != nil {
		return nil, err
	}
	source, err := c.registry.Open(ctx, parsed)
	if err != nil {
		return nil, err
	}
	o := &origin{Source: source, log: c.log}
	if parsed.Transport() == registry.Docker {
		o.cache, o.offline = c.options.Cache, c.options.Offline
		o.keepBlobs = o.cache != nil && c.options.KeepBlobs
	}
	return o, nil
}

// Resolve is [registry.Source.Resolve], or offline what the cache knows.
func (o *origin) Resolve(ctx context.Context) (ocispec.Descriptor, error) {
	if !o.offline {
		return o.Source.Resolve(ctx)
	}
	desc, known, err := o.known(ctx)
	if err == nil && !known {
		err = o.absent()
	}
	return desc, err
}

// Root is [registry.Source.Root]. Of a tag that the cache knows the registry
// is only asked what it stands for now: a HEAD. A digest needs no asking.
func (o *origin) Root(ctx context.Context) (ocispec.Descriptor, []byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.raw != nil {
		return o.top, o.raw, nil
	}
	desc, raw, err := o.readRoot(ctx)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	o.top, o.raw = desc, raw
	return desc, raw, nil
}

func (o *origin) readRoot(ctx context.Context) (ocispec.Descriptor, []byte, error) {
	desc, known, err := o.known(ctx)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	if known {
		if raw, err := o.cache.Bytes(desc, registry.MaxManifest); err == nil {
			o.tag(ctx, desc)
			return desc, raw, nil
		}
	}
	if o.offline {
		return ocispec.Descriptor{}, nil, o.absent()
	}
	desc, raw, err := o.Source.Root(ctx)
	if err == nil && o.cache != nil {
		o.put(ctx, desc, raw)
		o.tag(ctx, desc)
	}
	return desc, raw, err
}

// known says what the reference names, if the cache has that.
func (o *origin) known(ctx context.Context) (_ ocispec.Descriptor, known bool, err error) {
	if o.cache == nil {
		return ocispec.Descriptor{}, false, nil
	}
	if d := o.Reference().Digest(); d != "" {
		desc, err := o.cache.Find(d)
		return desc, err == nil, nil
	}
	desc, err := o.cache.Lookup(o.Reference().String())
	if err != nil || o.offline {
		return desc, err == nil, nil
	}
	if desc, err = o.Source.Resolve(ctx); err != nil {
		return ocispec.Descriptor{}, false, err
	}
	return desc, o.cache.Has(desc), nil
}

func (o *origin) absent() error { return fmt.Errorf("%s: %w", o.Reference(), ErrOffline) }

// Manifest is [registry.Source.Manifest].
func (o *origin) Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	o.mu.Lock()
	top, raw := o.top, o.raw
	o.mu.Unlock()
	if raw != nil && desc.Digest == top.Digest && desc.Size == top.Size {
		return raw, nil
	}
	return o.document(ctx, desc, registry.MaxManifest, o.Source.Manifest)
}

// Config is [registry.Source.Config].
func (o *origin) Config(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return o.document(ctx, desc, registry.MaxConfig, o.Source.Config)
}

func (o *origin) document(ctx context.Context, desc ocispec.Descriptor, limit int64, fetch func(context.Context, ocispec.Descriptor) ([]byte, error)) ([]byte, error) {
	if o.cache != nil {
		if raw, err := o.cache.Bytes(desc, limit); err == nil {
			return raw, nil
		}
	}
	if o.offline {
		return nil, fmt.Errorf("%s: %w", desc.Digest, ErrOffline)
	}
	raw, err := fetch(ctx, desc)
	if err == nil && o.cache != nil {
		o.put(ctx, desc, raw)
	}
	return raw, err
}

// Blob is [registry.Source.Blob]. It is kept where that was asked for; the
// cache's own may end in [cache.ErrMiss].
func (o *origin) Blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if o.cache != nil {
		if blob, err := o.cache.Blob(desc); err == nil {
			return blob, nil
		}
	}
	if o.offline {
		return nil, fmt.Errorf("%s: %w", desc.Digest, ErrOffline)
	}
	blob, err := o.Source.Blob(ctx, desc)
	if err != nil || !o.keepBlobs {
		return blob, err
	}
	return o.cache.Keep(ctx, desc, blob), nil
}

// has says whether the cache has the blob.
func (o *origin) has(desc ocispec.Descriptor) bool { return o.cache != nil && o.cache.Has(desc) }

// put keeps a document. One that cannot be kept is fetched again another time.
func (o *origin) put(ctx context.Context, desc ocispec.Descriptor, raw []byte) {
	if err := o.cache.Put(ctx, desc, bytes.NewReader(raw)); err != nil {
		o.log.Warn("keep in the cache", "digest", desc.Digest, "error", err)
	}
}

func (o *origin) tag(ctx context.Context, desc ocispec.Descriptor) {
	name := o.Reference().String()
	if had, err := o.cache.Lookup(name); err == nil && had.Digest == desc.Digest {
		return
	}
	if err := o.cache.Tag(ctx, name, desc); err != nil {
		o.log.Warn("tag in the cache", "reference", name, "error", err)
	}
}
