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

// Detail says how much of an index [Read] reads. More detail takes more requests.
type Detail int

// The details. Each includes the one before it.
const (
	// Entries is what the index itself says, for one request. Each nested index costs
	// one more, because nothing can be chosen without it.
	Entries Detail = iota
	// Platforms adds what each image runs on. Mostly the index says that. A single image
	// takes one more request, for its config. An image whose platform the index does not
	// name takes two.
	Platforms
	// Manifests adds layers, sizes and the digests of configs, for one more request a
	// manifest that is no attestation.
	Manifests
	// Configs adds configs, diffIDs and times of creation, for one more request a
	// config.
	Configs
)

// Options say how [Read] works; the zero value works.
type Options struct {
	// Detail is how much is read; zero is [Entries].
	Detail Detail
	// Attestations reads the manifests of attestations too. Otherwise the result has
	// only what the index says about them.
	Attestations bool
	// Chosen reads the manifest and the config of the image that a pull would take,
	// with any Detail, and checks them as a pull does. That takes two more requests,
	// or one for a single image. A fault in them is an error.
	Chosen bool
	// Referrers looks for what belongs to the index and its images: signatures,
	// SBOMs, provenance. If somebody named a platform it looks only at the index and
	// the image for that. It takes four requests for each digest, and one for each
	// thing that is found; see [referrers.Finder].
	Referrers bool
	// Check verifies a signature of subject. It returns the fingerprint of the key
	// and the name that the signature gives the image. The key is "" if Check has no
	// key or policy for it; an error means that the signature does not hold. nil
	// checks none. Several goroutines call it at once.
	Check func(ctx context.Context, subject ocispec.Descriptor, signature *referrers.Attachment) (key, reference string, err error)
	// Document names one document that belongs to the chosen image, or else to the
	// index: "sbom", "provenance", or the beginning of its digest; see
	// [Result.Attached]. Read looks for it as with Referrers, at that image only. If
	// none or several fit the error is a [*ReferrerError]; for an attestation about
	// another image it is an [errkind.Mismatch].
	Document string
	// Strict makes an error of every warning about one manifest.
	Strict bool
	// Facts are what is known about the machine that images are chosen for. The
	// result has them unless somebody named a platform.
	Facts []platform.Fact
}

// Source reads what one reference names; a [*registry.Source] is one.
type Source interface {
	Reference() registry.Reference
	// Root reads the index or manifest that the reference names.
	Root(context.Context) (ocispec.Descriptor, []byte, error)
	// Source has Manifest, which like Config reads and verifies a document. Its other
	// methods, and Blob, are for [Options.Referrers] and [Options.Document].
	referrers.Source
	Blob(context.Context, ocispec.Descriptor) (io.ReadCloser, error)
	Config(context.Context, ocispec.Descriptor) ([]byte, error)
}

// Read says what the reference holds: an index with all its entries, an image, or an
// artifact. It reads documents in parallel, and none twice.
//
// If a manifest below the index or a config is missing or malformed, Read sets its
// Error and adds a warning; with Options.Strict it fails. If a nested index is missing
// or malformed, nothing is chosen. If the index nests more indexes, or deeper, than a
// pull would read, the error is [manifest.ErrMalformed]. For the document that the
// reference itself names the errors are registry.ErrNotFound, [manifest.ErrMalformed]
// and [manifest.ErrUnsupported].
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
	single  bool  // the reference names no index
	bytes   int64 // of all documents, also those that are being read
	// fatal is true if a fault in one manifest ends the inspection.
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

// image inspects a reference that names an image or an artifact.
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
	// A caller that wants the platform has nothing without the config.
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
	manifests, configs := i.leaves, i.leaves
	switch i.options.Detail {
	case Entries:
		return nil
	case Platforms:
		manifests, configs = i.nameless(), i.nameless()
	case Manifests:
		configs = i.nameless()
	}
	if err := i.readManifests(ctx, manifests); err != nil {
		return err
	}
	return i.readConfigs(ctx, configs)
}

// nameless returns the images whose platform the index does not name, so that only their
// configs tell.
func (i *inspector) nameless() (images []*Manifest) {
	for _, m := range i.leaves {
		if m.entry.Platform == nil && m.Kind == manifest.KindImage.String() {
			images = append(images, m)
		}
	}
	return images
}

// entries describes the entries of an index, and those of nested ones.
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
				i.found.refusal = entry.Err // the image to pull might be in it
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

// collect adds the entries that are no index to leaves.
func (i *inspector) collect(entries []Manifest) {
	for n := range entries {
		if entries[n].Kind == manifest.KindIndex.String() {
			i.collect(entries[n].Manifests)
			continue
		}
		i.leaves = append(i.leaves, &entries[n])
	}
}
