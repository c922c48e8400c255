// SPDX-License-Identifier: Apache-2.0

package multiarch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/transfer"
)

// Make reads the members and makes the index. It sends nothing. Errors: an [errkind.Usage]
// for two images for the same platform, and for an index without entries;
// [registry.ErrNotFound] for a member that does not exist; an [errkind.NotFound] for an
// entry to remove that does not exist; an [errkind.Malformed] for a config without a
// platform.
func Make(ctx context.Context, client *registry.Client, members []Member, o Options) (*Made, error) {
	m := &maker{client: client, options: o, made: &Made{Digests: map[registry.Reference]digest.Digest{}}}
	if o.Base != (registry.Reference{}) {
		if err := m.base(ctx); err != nil {
			return nil, fmt.Errorf("read %s: %w", o.Base, err)
		}
	}
	for _, member := range members {
		err := m.member(ctx, member)
		if o.IgnoreMissing && errors.Is(err, registry.ErrNotFound) {
			m.made.Missing = append(m.made.Missing, member.Ref)
			m.warn("%s is not there, and left out", member.Ref)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("add %s: %w", member.Ref, err)
		}
	}
	if len(m.images)+len(m.attestations) == 0 {
		if len(m.made.Missing) > 0 {
			return nil, errkind.With(errkind.NotFound, errors.New("none of the images is there"))
		}
		return nil, errkind.With(errkind.Usage, errors.New("an index of nothing"))
	}
	return m.made, m.finish()
}

// maker is one call of [Make].
type maker struct {
	client  *registry.Client
	options Options
	made    *Made
	// images and attestations are the entries. The index lists the images first.
	images, attestations []entry
	index                *manifest.Index // Options.Base; nil without one
	bytes                int             // the bytes of Made.Documents
}

// entry is one entry of the index.
type entry struct {
	ocispec.Descriptor
	from string // the member that it comes from, for errors
}

// open opens an index or an image.
func (m *maker) open(ctx context.Context, ref registry.Reference) (transfer.Origin, error) {
	if m.options.Open != nil {
		return m.options.Open(ctx, ref)
	}
	return m.client.Open(ctx, ref)
}

// warn adds a warning to made.
func (m *maker) warn(format string, args ...any) {
	m.made.Warnings = append(m.made.Warnings, fmt.Sprintf(format, args...))
}

// base adds the entries of Options.Base, without those of Options.Remove.
func (m *maker) base(ctx context.Context) (err error) {
	s, err := m.open(ctx, m.options.Base)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	root, raw, err := s.Root(ctx)
	if err != nil {
		return err
	}
	if m.index, err = manifest.ParseIndex(raw, root.MediaType); err != nil {
		return err
	}
	keep, err := remaining(m.index.Manifests, m.options.Remove)
	if err != nil {
		return err
	}
	for _, desc := range keep {
		raw, err := s.Manifest(ctx, desc)
		if err != nil {
			return err
		}
		if err := m.add(ctx, s, desc, raw, "the index"); err != nil {
			return err
		}
	}
	return nil
}

// remaining returns the entries without those that are named in remove, and without the
// attestations of those.
func remaining(entries []ocispec.Descriptor, remove []string) ([]ocispec.Descriptor, error) {
	gone := map[digest.Digest]bool{}
	for _, name := range remove {
		found := false
		for _, e := range entries {
			if isNamed(e, name) {
				gone[e.Digest], found = true, true
			}
		}
		if !found {
			return nil, errkind.With(errkind.NotFound, fmt.Errorf("no entry is %s", name))
		}
	}
	return slices.DeleteFunc(slices.Clone(entries), func(e ocispec.Descriptor) bool {
		of, _ := manifest.IsAttestation(e)
		return gone[e.Digest] || gone[digest.Digest(of)]
	}), nil
}

// isNamed reports whether name is the digest or the platform of an entry.
func isNamed(e ocispec.Descriptor, name string) bool {
	if string(e.Digest) == name {
		return true
	}
	p, err := platform.Parse(name)
	return err == nil && e.Platform != nil && same(p, *e.Platform)
}

// same reports whether nobody could choose between images for the two platforms.
func same(a, b ocispec.Platform) bool {
	return platform.Format(a) == platform.Format(b) && a.OSVersion == b.OSVersion && slices.Equal(a.OSFeatures, b.OSFeatures)
}

// member adds an image, or the entries of an index.
func (m *maker) member(ctx context.Context, member Member) (err error) {
	s, err := m.open(ctx, member.Ref)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	root, raw, err := s.Root(ctx)
	if err != nil {
		return err
	}
	if root.MediaType == "" { // from a cache, which keeps no media types
		root.MediaType = manifest.MediaTypeOf(raw)
	}
	m.made.Digests[member.Ref] = root.Digest
	kind, err := manifest.Classify(root.MediaType, raw)
	if err != nil {
		return err
	}
	if kind != manifest.KindIndex {
		return m.image(ctx, s, root, raw, member)
	}
	index, err := source.Walk(ctx, root, raw, s.Manifest, nil)
	if err != nil {
		return err
	}
	if m.options.KeepNested {
		desc := ocispec.Descriptor{MediaType: index.MediaType, Digest: root.Digest, Size: int64(len(raw)), Annotations: member.Annotations}
		return m.nested(ctx, s, index, entry{desc, member.Ref.String()})
	}
	return m.leaves(ctx, s, index, member)
}

// leaves adds the images and attestations in an index, each as an entry of its own.
func (m *maker) leaves(ctx context.Context, s transfer.Origin, index *source.Index, member Member) error {
	leaves := slices.Collect(index.Leaves())
	images := slices.DeleteFunc(slices.Clone(leaves), func(d ocispec.Descriptor) bool { _, is := manifest.IsAttestation(d); return is })
	if len(images) != 1 && !emptyPlatform(member.Platform) {
		return errkind.With(errkind.Usage, fmt.Errorf("it is an index of %d images, and one platform is said of it", len(images)))
	}
	for _, desc := range leaves {
		raw, err := s.Manifest(ctx, desc)
		if err != nil {
			return err
		}
		if _, is := manifest.IsAttestation(desc); is {
			err = m.add(ctx, s, desc, raw, member.Ref.String())
		} else {
			err = m.image(ctx, s, desc, raw, member)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nested adds an index as one entry, and the documents of all that is in it.
func (m *maker) nested(ctx context.Context, s transfer.Origin, index *source.Index, as entry) error {
	for desc := range index.Leaves() {
		raw, err := s.Manifest(ctx, desc)
		if err == nil {
			err = m.document(desc, raw, s)
		}
		if err != nil {
			return err
		}
	}
	var inside []*source.Index
	for x := range index.Indexes() {
		inside = append(inside, x)
	}
	for _, x := range slices.Backward(inside) {
		desc := ocispec.Descriptor{MediaType: x.MediaType, Digest: x.Descriptor.Digest, Size: int64(len(x.Raw))}
		if err := m.document(desc, x.Raw, s); err != nil {
			return err
		}
	}
	m.images = append(m.images, as)
	return nil
}

func emptyPlatform(p ocispec.Platform) bool {
	return p.OS == "" && p.Architecture == "" && p.Variant == "" && p.OSVersion == "" && len(p.OSFeatures) == 0
}

// image adds one image with its platform.
func (m *maker) image(ctx context.Context, s transfer.Origin, desc ocispec.Descriptor, raw []byte, member Member) error {
	p, err := m.platform(ctx, s, desc, raw, member)
	if err != nil {
		return err
	}
	entry := ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: int64(len(raw)), Platform: p, ArtifactType: desc.ArtifactType}
	entry.Annotations = maps.Clone(desc.Annotations)
	if desc.Platform == nil {
		entry.Annotations = nil // those in a layout's index.json name the image in the layout
	}
	for key, value := range member.Annotations {
		if entry.Annotations == nil {
			entry.Annotations = map[string]string{}
		}
		entry.Annotations[key] = value
	}
	return m.add(ctx, s, entry, raw, member.Ref.String())
}

// platform returns the platform of an image: that in the index that lists it, or else in
// its config, overruled by what the member says. It is nil for what is no image and has
// none.
func (m *maker) platform(ctx context.Context, s transfer.Origin, desc ocispec.Descriptor, raw []byte, member Member) (*ocispec.Platform, error) {
	p := ocispec.Platform{}
	config, err := readConfig(ctx, s, desc, raw)
	switch {
	case err != nil:
		return nil, err
	case desc.Platform != nil && config != nil:
		p = *desc.Platform
	case config != nil:
		p = *config
	case desc.Platform != nil:
		return desc.Platform, nil // it is no image, and has no config to compare with
	case emptyPlatform(member.Platform):
		return nil, nil
	}
	overrule(&p, member.Platform)
	if config != nil && (config.OS != "" || config.Architecture != "") {
		for _, conflict := range platform.Compare(&p, *config) {
			m.warn("%s: %s", member.Ref, conflict)
		}
	}
	if p.OS == "" || p.Architecture == "" {
		return nil, errkind.With(errkind.Malformed, errors.New("its config does not say what it runs on"))
	}
	return &p, nil
}

// readConfig returns the platform in the config of an image; nil for what is no image.
func readConfig(ctx context.Context, s transfer.Origin, desc ocispec.Descriptor, raw []byte) (*ocispec.Platform, error) {
	image, err := manifest.ParseImage(raw, desc.MediaType)
	if errors.Is(err, manifest.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rawConfig, err := s.Config(ctx, image.Config)
	if err != nil {
		return nil, err
	}
	config, err := manifest.ParseConfig(rawConfig)
	if err != nil {
		return nil, err
	}
	return &config.Platform, nil
}

// overrule replaces the fields of p that are set in said. A new architecture drops the
// variant of the old one.
func overrule(p *ocispec.Platform, said ocispec.Platform) {
	if said.Architecture != "" && said.Architecture != p.Architecture {
		p.Architecture, p.Variant = said.Architecture, ""
	}
	for _, field := range []struct{ to, from *string }{{&p.OS, &said.OS}, {&p.Variant, &said.Variant}, {&p.OSVersion, &said.OSVersion}} {
		if *field.from != "" {
			*field.to = *field.from
		}
	}
	if len(said.OSFeatures) > 0 {
		p.OSFeatures = said.OSFeatures
	}
}

// add adds an entry, unless it is there. Two images for the same platform are an error.
func (m *maker) add(ctx context.Context, s transfer.Origin, desc ocispec.Descriptor, raw []byte, from string) error {
	_, attests := manifest.IsAttestation(desc)
	for _, had := range slices.Concat(m.images, m.attestations) {
		if had.Digest == desc.Digest {
			return nil
		}
		_, is := manifest.IsAttestation(had.Descriptor)
		if !attests && !is && desc.Platform != nil && had.Platform != nil && same(*desc.Platform, *had.Platform) {
			return fmt.Errorf("%w: %s is in it by %s too", errTwice, platform.Format(*desc.Platform), had.from)
		}
	}
	if manifest.IsIndex(desc.MediaType) {
		index, err := source.Walk(ctx, desc, raw, s.Manifest, nil)
		if err != nil {
			return err
		}
		return m.nested(ctx, s, index, entry{desc, from})
	}
	if attests {
		m.attestations = append(m.attestations, entry{desc, from})
	} else {
		m.images = append(m.images, entry{desc, from})
	}
	return m.document(desc, raw, s)
}

// document adds a document to those that have to be sent with the index.
func (m *maker) document(desc ocispec.Descriptor, raw []byte, s transfer.Origin) error {
	if m.bytes += len(raw); m.bytes > source.MaxDocuments {
		return &manifest.BudgetError{Max: source.MaxDocuments}
	}
	if t := manifest.MediaTypeOf(raw); t != "" {
		desc.MediaType = t
	}
	m.made.Documents = append(m.made.Documents, transfer.Document{Descriptor: desc, Raw: raw, From: s.Reference()})
	return nil
}

// finish makes the index of the entries.
func (m *maker) finish() error {
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Annotations: m.options.Annotations}
	index.SchemaVersion = 2
	if m.options.Docker {
		index.MediaType = manifest.DockerManifestList
	}
	if m.index != nil {
		index.ArtifactType, index.Subject = m.index.ArtifactType, m.index.Subject
		index.MediaType = m.index.MediaType
		index.Annotations = maps.Clone(m.index.Annotations)
		if len(m.options.Annotations) > 0 && index.Annotations == nil {
			index.Annotations = map[string]string{}
		}
		maps.Copy(index.Annotations, m.options.Annotations)
	}
	for _, e := range slices.Concat(m.images, m.attestations) {
		index.Manifests = append(index.Manifests, e.Descriptor)
	}
	if index.MediaType == manifest.DockerManifestList {
		if err := m.asDocker(&index); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return err
	}
	m.made.Raw, m.made.Entries = raw, index.Manifests
	m.made.Descriptor = ocispec.Descriptor{MediaType: index.MediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	m.made.Documents = append(m.made.Documents, transfer.Document{Descriptor: m.made.Descriptor, Raw: raw, From: m.options.Base})
	return nil
}

// asDocker drops the entries' annotations, which a Docker manifest list cannot have, with
// warnings. Those of the index itself are an error.
func (m *maker) asDocker(index *ocispec.Index) error {
	if len(index.Annotations) > 0 {
		return errkind.With(errkind.Usage, errors.New("a Docker manifest list has no annotations"))
	}
	oci := 0
	for i, e := range index.Manifests {
		if _, attests := manifest.IsAttestation(e); !attests && len(e.Annotations) > 0 {
			index.Manifests[i].Annotations = nil
			m.warn("a Docker manifest list has no annotations: those of %s are left out", e.Digest)
		}
		if e.MediaType == ocispec.MediaTypeImageManifest {
			oci++
		}
	}
	if oci > 0 {
		m.warn("%d of %d entries of the Docker manifest list are OCI manifests, which old programs do not expect there", oci, len(index.Manifests))
	}
	return nil
}
