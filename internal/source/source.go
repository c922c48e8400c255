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

// ErrOffline says that the cache lacks something, and that Options.Offline is set.
var ErrOffline = errkind.New(errkind.NotFound, "not in the cache, and offline")

// MaxDocuments bounds the bytes of manifests and configs that one command keeps in
// memory: an index may list a thousand of some megabytes each. Those of a real index of a
// hundred images have one or two megabytes together.
const MaxDocuments = 64 << 20

// Options say how references are opened. Registry and Wanted must be set.
type Options struct {
	// Name is the reference as its user wrote it; "" means the canonical form.
	Name     string
	Registry *registry.Client
	// Cache is asked before a registry; nil means none.
	Cache *cache.Cache
	// KeepBlobs puts layers that are fetched into Cache, too.
	KeepBlobs bool
	// Offline forbids requests to registries.
	Offline bool
	// Wanted returns the platform for which images are chosen.
	Wanted func() (platform.Wanted, error)
	// AnyPlatform accepts a single image for any platform.
	AnyPlatform bool
	// Strict makes an error of each warning about the choice.
	Strict bool
	// Guarded forbids reading layers before [Source.Admit].
	Guarded bool
	// Documents bounds the bytes of all manifests and configs that are read, each
	// counted once; 0 means MaxDocuments.
	Documents int64
	// Logger must be set.
	Logger *slog.Logger
}

// Source reads what one reference names, from the cache or, for what this lacks, from a
// registry. Layouts and archives are not cached. Its methods may be called concurrently.
type Source struct {
	release func() error // gives back the lock that keeps the cache from being pruned
	remote  *registry.Source
	options Options

	mu        sync.Mutex
	root      ocispec.Descriptor // what the reference names, once read
	raw       []byte
	documents map[digest.Digest]document    // what was fetched and is not in the cache yet
	tagged    bool                          // Keep tags root in the cache
	beside    map[string]ocispec.Descriptor // other tags for Keep, by their names in the cache
	counted   map[digest.Digest]struct{}    // the documents that bytes counts
	bytes     int64                         // the size of all documents that were read
	admitted  bool                          // layers may be read
}

type document struct {
	desc ocispec.Descriptor
	raw  []byte
}

// Open prepares to read what ref names, as [registry.Client.Open] does.
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
		// A cache that cannot be locked cannot be pruned either.
		if r, err := o.Cache.Use(ctx); err == nil {
			release = r
		}
	}
	return &Source{
		remote: remote, release: release, options: o,
		documents: map[digest.Digest]document{}, beside: map[string]ocispec.Descriptor{}, counted: map[digest.Digest]struct{}{},
	}, nil
}

// Close closes the Source's files and gives back its lock on the cache.
func (s *Source) Close() error { return errors.Join(s.remote.Close(), s.release()) }

// Reference returns the reference that was opened.
func (s *Source) Reference() registry.Reference { return s.remote.Reference() }

// Name returns the reference as its user wrote it.
func (s *Source) Name() string { return s.options.Name }

// Wanted returns the platform for which images are chosen.
func (s *Source) Wanted() (platform.Wanted, error) { return s.options.Wanted() }

// Admit allows layers to be read, where Options.Guarded forbids it: a policy has accepted
// the image, or none of its layers will be used.
func (s *Source) Admit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admitted = true
}

// guard refuses to read layers that no policy has accepted.
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

// Part is [registry.Source.Part]; offline the error is [ErrOffline].
func (s *Source) Part(ctx context.Context, desc ocispec.Descriptor, off int64, n int) ([]byte, error) {
	if err := s.guard(); err != nil {
		return nil, err
	}
	if s.options.Offline {
		return nil, fmt.Errorf("%s: %w", desc.Digest, ErrOffline)
	}
	return s.remote.Part(ctx, desc, off, n)
}

// Offline reports whether no registry is asked.
func (s *Source) Offline() bool { return s.options.Offline }

// KeepsBlobs reports whether layers that are fetched are put into the cache.
func (s *Source) KeepsBlobs() bool { return s.options.KeepBlobs }

// Has reports whether no request is needed for the blob: the cache has it, its
// descriptor embeds it, or it is that of an image without layers.
func (s *Source) Has(desc ocispec.Descriptor) bool {
	if _, ok := embedded(desc); ok {
		return true
	}
	return s.options.Cache != nil && s.options.Cache.Has(desc)
}

// Describe is [registry.Source.Describe]; offline it asks the cache alone.
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

// Root is [registry.Source.Root]. For a tag in the cache the registry is asked by a HEAD
// request whether the tag still stands for the same; for a digest in the cache it is not
// asked.
func (s *Source) Root(ctx context.Context) (ocispec.Descriptor, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.raw != nil {
		return s.root, s.raw, nil
	}
	desc, raw, err := s.readRoot(ctx)
	if err == nil {
		err = s.count(desc)
	}
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	s.root, s.raw = desc, raw
	return desc, raw, nil
}

// count counts a document before it is read. The error is a [*manifest.BudgetError].
// The caller holds mu.
func (s *Source) count(desc ocispec.Descriptor) error {
	if _, counted := s.counted[desc.Digest]; counted {
		return nil
	}
	if desc.Size > s.options.Documents-s.bytes {
		return &manifest.BudgetError{Max: s.options.Documents}
	}
	s.counted[desc.Digest] = struct{}{}
	s.bytes += max(desc.Size, 0)
	return nil
}

// readRoot reads what the reference names from the cache or the registry. The caller
// holds mu.
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

// known returns the descriptor of what the reference names, if the cache has that.
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

// Config is [registry.Source.Config].
func (s *Source) Config(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	if raw, ok := embedded(desc); ok {
		return raw, nil
	}
	return s.document(ctx, desc, registry.MaxConfig, s.remote.Config)
}

// document reads a manifest or a config from memory, from the cache, or else by fetch.
func (s *Source) document(ctx context.Context, desc ocispec.Descriptor, limit int64, fetch Reader) ([]byte, error) {
	s.mu.Lock()
	had, fetched := s.documents[desc.Digest]
	var err error
	if desc.Size <= limit { // fetch refuses a larger one
		err = s.count(desc)
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

// Keep puts the documents that were fetched into the cache, and the tags that were asked
// for. What cannot be kept is logged, and will be fetched again another time.
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

// tag puts the reference into the cache. The caller holds mu.
func (s *Source) tag(ctx context.Context) {
	name := s.Reference().String()
	if had, err := s.options.Cache.Lookup(name); err == nil && had.Digest == s.root.Digest {
		return
	}
	if err := s.options.Cache.Tag(ctx, name, s.root); err != nil {
		s.options.Logger.Warn("tag in the cache", "reference", name, "error", err)
	}
}

// Blob is [registry.Source.Blob]. With Options.KeepBlobs a blob that is fetched is put
// into the cache, and one that an interrupted pull has begun goes on where that has ended.
// The stream of a blob from the cache may end with [cache.ErrMiss], if it is damaged.
func (s *Source) Blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if err := s.guard(); err != nil {
		return nil, err
	}
	if raw, ok := embedded(desc); ok {
		return io.NopCloser(bytes.NewReader(raw)), nil
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

// BlobFrom is [registry.Source.BlobFrom]. [Source.GoesOn] must be true for the blob.
func (s *Source) BlobFrom(ctx context.Context, desc ocispec.Descriptor, state []byte, n int64) (io.ReadCloser, error) {
	if err := s.guard(); err != nil {
		return nil, err
	}
	return s.remote.BlobFrom(ctx, desc, state, n)
}

// GoesOn reports whether [Source.BlobFrom] can be used for a blob: a registry can be
// asked for a part of it, and the cache neither has the blob nor will keep it.
func (s *Source) GoesOn(desc ocispec.Descriptor) bool {
	return !s.options.KeepBlobs && !s.options.Offline && len(desc.URLs) == 0 && len(desc.Data) == 0 &&
		s.Reference().Transport() == registry.Docker && !s.Has(desc)
}

// resumes reports whether the cache keeps a part of a blob for a later pull to go on
// with. It does not for layers with urls, whose parts may come from different places.
func (s *Source) resumes(desc ocispec.Descriptor) bool {
	return s.options.KeepBlobs && s.Reference().Transport() == registry.Docker && len(desc.URLs) == 0
}

// Begun returns how many bytes of a blob an interrupted pull has left in the cache.
func (s *Source) Begun(desc ocispec.Descriptor) int64 {
	if !s.resumes(desc) {
		return 0
	}
	return s.options.Cache.Begun(desc)
}

// maxLiars bounds after how many hosts that have sent wrong bytes another one is tried.
const maxLiars = 4

// Retry calls try, which reads a blob, and again while its error shows that other bytes
// may come then: once if the blob came in several responses or from a damaged cache, and
// up to 4 times if a host has sent wrong bytes and another has not yet. retrying is called
// with each error before that.
func Retry(try func() error, retrying func(error)) error {
	err := try()
	for n := 0; n == 0 && damaged(err) || n < maxLiars && elsewhere(err); n++ {
		retrying(err)
		err = try()
	}
	return err
}

// damaged reports whether the blob came in several responses, or from a damaged cache.
func damaged(err error) bool {
	var mismatch *registry.MismatchError
	return errors.As(err, &mismatch) && mismatch.Resumed || errors.Is(err, cache.ErrMiss)
}

// elsewhere reports whether a host has sent wrong bytes and another has not yet.
func elsewhere(err error) bool {
	var mismatch *registry.MismatchError
	return errors.As(err, &mismatch) && mismatch.Others
}
