// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// ErrOffline says that an offline client needs what its cache does not have.
var ErrOffline = errkind.New(errkind.NotFound, "not in the cache, and offline")

// MaxDocuments bounds the bytes of manifests and configs that one command holds
// in memory: an index may list a thousand, each of some megabytes. Honest ones
// of a hundred images come to one or two.
const MaxDocuments = 64 << 20

// Options say how references are opened. Registry and Wanted must be set.
type Options struct {
	// Name is the reference as its user wrote it; "" means the canonical form.
	Name     string
	Registry *registry.Client
	// Cache is asked before a registry; nil for none.
	Cache *cache.Cache
	// KeepBlobs keeps the layers that are fetched in Cache too.
	KeepBlobs bool
	// Offline asks no registry.
	Offline bool
	// Wanted says what images are chosen for.
	Wanted func() (platform.Wanted, error)
	// AnyPlatform takes a single image whatever it is for.
	AnyPlatform bool
	// Strict makes an error of every warning about the choice.
	Strict bool
	// Guarded gives no bytes of a layer away before [Source.Admit].
	Guarded bool
	// Documents bounds the bytes of all manifests and configs that are read,
	// each once; 0 means MaxDocuments.
	Documents int64
	// Logger must be set.
	Logger *slog.Logger
}

// Source is one reference, opened: what the cache has, no registry is asked
// for. Layouts and archives are on this machine anyway and pass the cache by.
// Its methods may be called concurrently.
type Source struct {
	release func() error // lets others prune the cache
	remote  *registry.Source
	options Options

	mu        sync.Mutex
	root      ocispec.Descriptor // what the reference names, once read
	raw       []byte
	documents map[digest.Digest]document    // fetched, and not in the cache yet
	tagged    bool                          // the cache shall know what the reference names
	beside    map[string]ocispec.Descriptor // what other tags of the repository stand for, by their names in the cache
	read      map[digest.Digest]struct{}    // what is counted in held
	admitted  bool                          // layers may be read
	held      int64                         // bytes of the documents that were read
}

type document struct {
	desc ocispec.Descriptor
	raw  []byte
}

// Open prepares to read what ref names; it sends no request.
func Open(ctx context.Context, ref registry.Reference, o Options) (*Source, error) {
	remote, err := o.Registry.Open(ctx, ref)
	if err != nil {
		return nil, err
	}
	if ref.Transport() != registry.Docker {
		o.Cache, o.Offline = nil, false
	}
	o.KeepBlobs = o.KeepBlobs && o.Cache != nil
	if o.Name == "" {
		o.Name = ref.String()
	}
	if o.Documents == 0 {
		o.Documents = MaxDocuments
	}
	release := func() error { return nil }
	if o.Cache != nil {
		// One that cannot be locked cannot be pruned either.
		if r, err := o.Cache.Use(ctx); err == nil {
			release = r
		}
	}
	return &Source{remote: remote, release: release, options: o, documents: map[digest.Digest]document{}, beside: map[string]ocispec.Descriptor{}, read: map[digest.Digest]struct{}{}}, nil
}

// Close releases what the Source holds open.
func (s *Source) Close() error { return errors.Join(s.remote.Close(), s.release()) }

// Reference is what was opened.
func (s *Source) Reference() registry.Reference { return s.remote.Reference() }

// Name is the reference as its user wrote it.
func (s *Source) Name() string { return s.options.Name }

// Wanted is what images are chosen for.
func (s *Source) Wanted() (platform.Wanted, error) { return s.options.Wanted() }

// Admit says that what was opened is let in: its layers may be read.
func (s *Source) Admit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admitted = true
}

// guard keeps layers from whoever forgets to ask a policy.
func (s *Source) guard() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.Guarded && !s.admitted {
		return errkind.New(errkind.Denied, "nobody has let this image in")
	}
	return nil
}

// Traffic is [registry.Source.Traffic].
func (s *Source) Traffic() []registry.Traffic { return s.remote.Traffic() }

// Requests is [registry.Source.Requests].
func (s *Source) Requests(desc ocispec.Descriptor) int { return s.remote.Requests(desc) }

// Part is [registry.Source.Part], and offline an error.
func (s *Source) Part(ctx context.Context, desc ocispec.Descriptor, off int64, n int) ([]byte, error) {
	if err := s.guard(); err != nil {
		return nil, err
	}
	if s.options.Offline {
		return nil, fmt.Errorf("%s: %w", desc.Digest, ErrOffline)
	}
	return s.remote.Part(ctx, desc, off, n)
}

// Offline says that no registry is asked.
func (s *Source) Offline() bool { return s.options.Offline }

// KeepsBlobs says that layers are kept in a cache.
func (s *Source) KeepsBlobs() bool { return s.options.KeepBlobs }

// Has says whether the blob is here: the cache has it, its descriptor holds it,
// or it is that of no layer.
func (s *Source) Has(desc ocispec.Descriptor) bool {
	if _, ok := held(desc); ok {
		return true
	}
	return s.options.Cache != nil && s.options.Cache.Has(desc)
}

// Describe tells what the reference names without reading it: a HEAD request,
// or offline what the cache knows.
func (s *Source) Describe(ctx context.Context) (ocispec.Descriptor, error) {
	if !s.options.Offline {
		return s.remote.Describe(ctx)
	}
	desc, known, err := s.known(ctx)
	if err == nil && !known {
		err = s.absent()
	}
	return desc, err
}

// Root is [registry.Source.Root]. Of a tag that the cache knows the registry
// is only asked what it stands for now: a HEAD. A digest needs no asking.
func (s *Source) Root(ctx context.Context) (ocispec.Descriptor, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.raw != nil {
		return s.root, s.raw, nil
	}
	desc, raw, err := s.readRoot(ctx)
	if err == nil {
		err = s.take(desc)
	}
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	s.root, s.raw = desc, raw
	return desc, raw, nil
}

// take counts a document before it is in memory; its error is a
// [*manifest.BudgetError]. It must be called with mu held.
func (s *Source) take(desc ocispec.Descriptor) error {
	if _, counted := s.read[desc.Digest]; counted {
		return nil
	}
	if desc.Size > s.options.Documents-s.held {
		return &manifest.BudgetError{Max: s.options.Documents}
	}
	s.read[desc.Digest] = struct{}{}
	s.held += max(desc.Size, 0)
	return nil
}

// readRoot must be called with mu held.
func (s *Source) readRoot(ctx context.Context) (ocispec.Descriptor, []byte, error) {
	desc, known, err := s.known(ctx)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	if known {
		if raw, err := s.options.Cache.Bytes(desc, registry.MaxManifest); err == nil {
			s.tagged = true
			return desc, raw, nil
		}
	}
	if s.options.Offline {
		return ocispec.Descriptor{}, nil, s.absent()
	}
	desc, raw, err := s.remote.Root(ctx)
	if err == nil && s.options.Cache != nil {
		s.documents[desc.Digest] = document{desc, raw}
		s.tagged = true
	}
	return desc, raw, err
}

// known says what the reference names, if the cache has that.
func (s *Source) known(ctx context.Context) (_ ocispec.Descriptor, known bool, err error) {
	if s.options.Cache == nil {
		return ocispec.Descriptor{}, false, nil
	}
	if d := s.Reference().Digest(); d != "" {
		desc, err := s.options.Cache.Find(d)
		return desc, err == nil, nil
	}
	desc, err := s.options.Cache.Lookup(s.Reference().String())
	if err != nil || s.options.Offline {
		return desc, err == nil, nil
	}
	if desc, err = s.remote.Describe(ctx); err != nil {
		return ocispec.Descriptor{}, false, err
	}
	return desc, s.options.Cache.Has(desc), nil
}

func (s *Source) absent() error { return fmt.Errorf("%s: %w", s.Reference(), ErrOffline) }

// Manifest is [registry.Source.Manifest].
func (s *Source) Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	s.mu.Lock()
	root, raw := s.root, s.raw
	s.mu.Unlock()
	if raw != nil && desc.Digest == root.Digest && desc.Size == root.Size {
		return raw, nil
	}
	return s.document(ctx, desc, registry.MaxManifest, s.remote.Manifest)
}

// Config is [registry.Source.Config]. A manifest may have it in its own data,
// which was verified when it was parsed.
func (s *Source) Config(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	if desc.Size > 0 && int64(len(desc.Data)) == desc.Size && desc.Digest.Algorithm().FromBytes(desc.Data) == desc.Digest {
		return desc.Data, nil
	}
	return s.document(ctx, desc, registry.MaxConfig, s.remote.Config)
}

func (s *Source) document(ctx context.Context, desc ocispec.Descriptor, limit int64, fetch Reader) ([]byte, error) {
	s.mu.Lock()
	had, fetched := s.documents[desc.Digest]
	var err error
	if desc.Size <= limit { // more is refused anyway
		err = s.take(desc)
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if fetched && had.desc.Size == desc.Size {
		return had.raw, nil
	}
	if s.options.Cache != nil {
		if raw, err := s.options.Cache.Bytes(desc, limit); err == nil {
			return raw, nil
		}
	}
	if s.options.Offline {
		return nil, fmt.Errorf("%s: %w", desc.Digest, ErrOffline)
	}
	raw, err := fetch(ctx, desc)
	if err == nil && s.options.Cache != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.documents[desc.Digest] = document{desc, raw}
	}
	return raw, err
}

// Keep puts the documents that were fetched into the cache, and what the
// reference names. One that cannot be kept is fetched again another time.
func (s *Source) Keep(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.documents {
		if err := s.options.Cache.Put(ctx, d.desc, bytes.NewReader(d.raw)); err != nil {
			s.options.Logger.Warn("keep in the cache", "digest", d.desc.Digest, "error", err)
		}
	}
	clear(s.documents)
	if s.tagged {
		s.tag(ctx)
	}
	s.tagBeside(ctx)
}

func (s *Source) tag(ctx context.Context) {
	name := s.Reference().String()
	if had, err := s.options.Cache.Lookup(name); err == nil && had.Digest == s.root.Digest {
		return
	}
	if err := s.options.Cache.Tag(ctx, name, s.root); err != nil {
		s.options.Logger.Warn("tag in the cache", "reference", name, "error", err)
	}
}

// Blob is [registry.Source.Blob]. It is kept where that was asked for; the
// cache's own may end in [cache.ErrMiss].
func (s *Source) Blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if err := s.guard(); err != nil {
		return nil, err
	}
	if blob, ok := held(desc); ok {
		return blob, nil
	}
	if s.options.Cache != nil {
		if blob, err := s.options.Cache.Blob(desc); err == nil {
			return blob, nil
		}
	}
	if s.options.Offline {
		return nil, fmt.Errorf("%s: %w", desc.Digest, ErrOffline)
	}
	if !s.options.KeepBlobs {
		return s.remote.Blob(ctx, desc)
	}
	if !s.resumes(desc) {
		blob, err := s.remote.Blob(ctx, desc)
		if err != nil {
			return nil, err
		}
		return s.options.Cache.Keep(ctx, desc, blob), nil
	}
	return s.options.Cache.Resume(ctx, desc, func(begun io.Reader, n int64) (io.ReadCloser, error) {
		if n == 0 {
			return s.remote.Blob(ctx, desc)
		}
		s.options.Logger.Info("go on with a blob of an interrupted pull", "digest", desc.Digest, "bytes", n)
		return s.remote.BlobAfter(ctx, desc, begun, n)
	})
}

// BlobFrom is [registry.Source.BlobFrom], for a blob that [Source.GoesOn] is true
// for.
func (s *Source) BlobFrom(ctx context.Context, desc ocispec.Descriptor, state []byte, n int64) (io.ReadCloser, error) {
	if err := s.guard(); err != nil {
		return nil, err
	}
	return s.remote.BlobFrom(ctx, desc, state, n)
}

// GoesOn reports whether a later process can have the rest of a blob, and nothing
// on this machine has or keeps the whole.
func (s *Source) GoesOn(desc ocispec.Descriptor) bool {
	return !s.options.KeepBlobs && !s.options.Offline && len(desc.URLs) == 0 && len(desc.Data) == 0 &&
		s.Reference().Transport() == registry.Docker && !s.Has(desc)
}

// resumes reports whether a blob that has not come whole can be gone on with: the
// rest can be asked for, and of one place.
func (s *Source) resumes(desc ocispec.Descriptor) bool {
	return s.options.KeepBlobs && s.Reference().Transport() == registry.Docker && len(desc.URLs) == 0
}

// Begun is how many bytes of a blob an interrupted pull has kept.
func (s *Source) Begun(desc ocispec.Descriptor) int64 {
	if !s.resumes(desc) {
		return 0
	}
	return s.options.Cache.Begun(desc)
}

// maxLiars is how many hosts may send other bytes than a blob's before it is
// given up.
const maxLiars = 4

// Again tries once more to use a blob where other bytes may come then: where those
// of several responses do not make the blob, the cache's are damaged, or a host
// sent others and there is one that has not. again hears of each such error.
func Again(try func() error, again func(error)) error {
	err := try()
	for n := 0; n == 0 && damaged(err) || n < maxLiars && elsewhere(err); n++ {
		again(err)
		err = try()
	}
	return err
}

func damaged(err error) bool {
	var mismatch *registry.MismatchError
	return errors.As(err, &mismatch) && mismatch.Resumed || errors.Is(err, cache.ErrMiss)
}

func elsewhere(err error) bool {
	var mismatch *registry.MismatchError
	return errors.As(err, &mismatch) && mismatch.Others
}
