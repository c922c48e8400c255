// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/referrers"
	"github.com/layerctl/layerctl/registry"
)

// Detail says how much of an index [Read] reads, and so what it
// costs in requests.
type Detail int

// The details. Each has what the one before it has.
const (
	// Entries is what the index itself says: one request. A nested
	// index costs one more, for without it nothing could be chosen.
	Entries Detail = iota
	// Platforms has what each image runs on: where there is no index
	// the config alone tells, for one request more.
	Platforms
	// Manifests has configs' digests, layers and sizes: one request
	// more for each manifest that is no attestation.
	Manifests
	// Configs has the configs, diffIDs and times of creation: one
	// request more for each config.
	Configs
)

// Options say how [Read] works; the zero value works.
type Options struct {
	// Detail is how much is read; zero is [Entries].
	Detail Detail
	// Attestations has the manifests of attestations read like the others;
	// false leaves it at what the index says of them.
	Attestations bool
	// Chosen has the manifest and config of the image that a pull would take
	// read and checked as a pull would, whatever Detail says: two requests
	// more, or one for a single image. What is wrong with it is an error.
	Chosen bool
	// Referrers looks for what belongs to the index and its images: signatures,
	// SBOMs, provenance. Where somebody named a platform only the image for it is
	// asked about. Four requests for each digest, and one for what is found; see
	// [referrers.Finder].
	Referrers bool
	// Check says by whose key a signature of subject that was found holds, and what
	// it calls the image; no key where there is nothing to go by, an error where it
	// does not hold. nil checks none. Several goroutines call it at once.
	Check func(ctx context.Context, subject ocispec.Descriptor, signature *referrers.Attachment) (key, reference string, err error)
	// Document has one document read of what belongs to the chosen image, or else
	// to the index: "sbom", "provenance", or the beginning of its digest. It asks
	// as Referrers does, about that image only. None and several that fit are a
	// [*ReferrerError]; an attestation about another image is an
	// [errkind.Mismatch].
	Document string
	// Strict makes an error of every warning about one manifest.
	Strict bool
	// Facts are what was learnt about the machine that images are chosen for.
	// They stand in the result where nobody named a platform.
	Facts []platform.Fact
}

// Source is one reference, opened, such as a [*registry.Source].
type Source interface {
	Reference() registry.Reference
	// Root reads what the reference names.
	Root(context.Context) (ocispec.Descriptor, []byte, error)
	// Manifest and Config read a document and verify it; the rest is for
	// [Options.Referrers].
	referrers.Source
	Blob(context.Context, ocispec.Descriptor) (io.ReadCloser, error)
	Config(context.Context, ocispec.Descriptor) ([]byte, error)
}

// Read says what the reference holds: an index with all that it lists, an
// image, or an artifact. What is needed is read in parallel, and nothing
// twice.
//
// A manifest below the index, or a config, that is missing or malformed is no
// failure, save with Options.Strict; an Error and a warning say so. Without a
// nested index nothing is chosen. An index that nests more indexes, or deeper,
// than a pull would read is [manifest.ErrMalformed].
// Errors: registry.ErrNotFound, [manifest.ErrMalformed] and
// [manifest.ErrUnsupported] for what the reference itself names.
func Read(ctx context.Context, from Source, wanted platform.Wanted, o Options) (*Result, error) {
	i := inspector{source: from, wanted: wanted, options: o}
	return i.inspect(ctx)
}

// inspector is one inspection under way.
type inspector struct {
	source  Source
	wanted  platform.Wanted
	options Options
	found   *Result
	single  bool
	held    int64 // bytes of documents so far, those under way included
	// fatal says that what is wrong with one manifest is an error.
	fatal bool
	// leaves are the entries that are no index, in the order of the indexes.
	leaves []*Manifest
}

func (i *inspector) inspect(ctx context.Context) (*Result, error) {
	root, raw, err := i.source.Root(ctx)
	if err != nil {
		return nil, err
	}
	kind, err := manifest.Classify(root.MediaType, raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", root.Digest, err)
	}
	i.found = &Result{
		SchemaVersion: version, Reference: i.source.Reference().String(),
		Digest: root.Digest, MediaType: root.MediaType, Size: root.Size,
		Kind: kind.String(), Warnings: []string{}, Document: raw,
	}
	i.single = kind != manifest.KindIndex
	i.fatal = i.options.Strict
	if i.single {
		err = i.image(ctx, root, raw)
	} else {
		err = i.index(ctx, root, raw)
	}
	if err != nil {
		return nil, err
	}
	err = i.choose(ctx)
	if err == nil && (i.options.Referrers || i.options.Document != "") {
		err = i.attachments(ctx)
	}
	if err == nil && i.options.Document != "" {
		err = i.readDocument(ctx)
	}
	return i.found, err
}

// image inspects a reference that names no index.
func (i *inspector) image(ctx context.Context, root ocispec.Descriptor, raw []byte) error {
	only := Manifest{Digest: root.Digest, MediaType: root.MediaType, Size: root.Size}
	if err := only.read(raw); err != nil {
		return fmt.Errorf("manifest %s: %w", root.Digest, err)
	}
	i.found.MediaType, i.found.Annotations = only.MediaType, only.ManifestAnnotations
	i.found.Manifests = []Manifest{only}
	i.leaves = []*Manifest{&i.found.Manifests[0]}
	if i.options.Detail < Platforms {
		return nil
	}
	// Where nothing but the platform is wanted there is nothing without it.
	i.fatal = i.fatal || i.options.Detail == Platforms
	return i.readConfigs(ctx, i.leaves)
}

func (i *inspector) index(ctx context.Context, root ocispec.Descriptor, raw []byte) error {
	index, err := source.Walk(ctx, root, raw, i.source.Manifest, func(err error) bool { return !i.fatal && tolerable(err) })
	if err != nil {
		return err
	}
	i.found.MediaType, i.found.Annotations = index.MediaType, index.Annotations
	if i.found.Manifests, err = i.entries(index); err != nil {
		return fmt.Errorf("index %s: %w", root.Digest, err)
	}
	i.collect(i.found.Manifests)
	if i.options.Detail < Manifests {
		return nil
	}
	if err := i.readManifests(ctx, i.leaves); err != nil || i.options.Detail < Configs {
		return err
	}
	return i.readConfigs(ctx, i.leaves)
}

// entries describes what an index lists.
func (i *inspector) entries(index *source.Index) ([]Manifest, error) {
	var exact struct {
		Manifests []json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(index.Raw, &exact); err != nil {
		return nil, fmt.Errorf("%w: %w", manifest.ErrMalformed, err)
	}
	entries := make([]Manifest, len(index.Entries))
	for n, entry := range index.Entries {
		m := &entries[n]
		*m = newManifest(entry.Descriptor, exact.Manifests[n])
		if entry.Err != nil {
			if i.found.refusal == nil {
				i.found.refusal = entry.Err // for nobody knows what would be in it
			}
			if err := i.note(m, entry.Err); err != nil {
				return nil, err
			}
		}
		if entry.Nested == nil {
			continue
		}
		m.Document, m.ManifestAnnotations = entry.Nested.Raw, entry.Nested.Annotations
		var err error
		if m.Manifests, err = i.entries(entry.Nested); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// collect gathers the entries that are no index.
func (i *inspector) collect(entries []Manifest) {
	for n := range entries {
		if entries[n].Kind == manifest.KindIndex.String() {
			i.collect(entries[n].Manifests)
			continue
		}
		i.leaves = append(i.leaves, &entries[n])
	}
}
