// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/referrers"
)

// referrerJobs is for how many digests referrers are looked for at a time.
const referrerJobs = 4

// Referrer is a signature or a document that belongs to an image, as its author
// describes it; see [referrers.Attachment].
type Referrer struct {
	// Kind is "signature", "sbom", "provenance", "attestation" or "artifact".
	Kind string `json:"kind"`
	// Form is the format that it is wrapped in, such as "cosign" or "notation"; "" if
	// that is unknown.
	Form string `json:"form"`
	// ArtifactType is the type of its manifest, or else its own media type.
	ArtifactType  string `json:"artifactType"`
	PredicateType string `json:"predicateType"`
	Created       string `json:"created"`
	// Claimed is the author that it names, which nobody verified.
	Claimed string `json:"claimed"`
	// Checked is the result of [Options.Check] for a signature; nil if there is no
	// Check, or it has no key or policy for the signature.
	Checked *Checked `json:"checked"`
	// Place is where it was found: "index", "referrers", "fallback tag" or "tag".
	// Tag is that tag.
	Place string `json:"place"`
	Tag   string `json:"tag"`
	// Manifest is the digest of the manifest that holds it.
	Manifest digest.Digest `json:"manifest"`
	// Digest, MediaType and Size are those of the signature or document itself. If
	// its manifest was not read, Digest is "" and the others are the manifest's.
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
	// Error says what contradicts that it belongs to the image.
	Error string `json:"error"`
	// Referrers are the signatures of the document itself, nil for a signature.
	Referrers []Referrer `json:"referrers"`
}

// Checked says whether a signature holds.
type Checked struct {
	Holds bool `json:"holds"`
	// Key is the fingerprint of the key that made it. Reference is the name that the
	// signature gives the image, "" if its format has none. Both are "" if the
	// signature does not hold.
	Key       string `json:"key"`
	Reference string `json:"reference"`
	// Reason says why it does not hold.
	Reason string `json:"reason"`
}

func newChecked(key, reference string, err error) *Checked {
	switch {
	case err != nil:
		return &Checked{Reason: err.Error()}
	case key == "":
		return nil
	}
	return &Checked{Holds: true, Key: key, Reference: reference}
}

// attachments finds what belongs to the index and to its images. If somebody named a
// platform, or a document is wanted, it looks only at the index and the chosen image.
func (i *inspector) attachments(ctx context.Context) error {
	finder := referrers.New(i.source, referrers.Options{Below: true})
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(referrerJobs)
	var entries []ocispec.Descriptor
	for _, m := range i.leaves {
		entries = append(entries, m.entry)
	}
	asked := i.askedAbout()
	errs := make([]error, len(asked))
	for n, about := range asked {
		group.Go(func() error {
			var found []referrers.Attachment
			found, errs[n] = finder.Of(groupCtx, about.Digest, entries)
			*about.into = i.newReferrers(groupCtx, about.Descriptor, found)
			return groupCtx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for n, err := range errs {
		switch {
		case err != nil && i.options.Strict:
			return fmt.Errorf("look for what belongs to %s: %w", asked[n].Digest, err)
		case err != nil:
			i.found.Warnings = append(i.found.Warnings, fmt.Sprintf("not all that belongs to %s could be found: %s", asked[n].Digest, strings.ReplaceAll(err.Error(), "\n", "; ")))
		}
	}
	return nil
}

// about is a manifest or index, and the list that gets what belongs to it.
type about struct {
	ocispec.Descriptor
	into *[]Referrer
}

func (i *inspector) askedAbout() []about {
	var asked []about
	if !i.single {
		asked = append(asked, about{ocispec.Descriptor{MediaType: i.found.MediaType, Digest: i.found.Digest, Size: i.found.Size}, &i.found.Referrers})
	}
	named := (i.wanted.Named || i.options.Document != "") && i.found.Chosen != ""
	for _, m := range i.leaves {
		if m.Kind != kindAttestation && (!named || m.Chosen) {
			asked = append(asked, about{ocispec.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size}, &m.Referrers})
		}
	}
	return asked
}

func (i *inspector) newReferrers(ctx context.Context, subject ocispec.Descriptor, found []referrers.Attachment) []Referrer {
	list := make([]Referrer, len(found))
	for n := range found {
		a := &found[n]
		r := Referrer{
			Kind: string(a.Kind), Form: a.Form, ArtifactType: a.Type, PredicateType: a.PredicateType,
			Created: a.Created, Claimed: a.Claimed, Place: string(a.Place), Tag: a.Tag,
			Manifest: a.Manifest.Digest, Digest: a.Blob.Digest, MediaType: a.Manifest.MediaType, Size: a.Size(),
		}
		if a.Blob.Digest != "" {
			r.MediaType = a.Blob.MediaType
		}
		if a.Err != nil {
			r.Error = a.Err.Error()
		}
		switch {
		case a.Kind != referrers.Signature:
			r.Referrers = i.newReferrers(ctx, a.Manifest, a.Below)
		case i.options.Check != nil:
			r.Checked = newChecked(i.options.Check(ctx, subject, a))
		}
		list[n] = r
	}
	return list
}

// ReferrerError says that no document, or more than one, fits [Options.Document]. It
// is an [errkind.NotFound].
type ReferrerError struct {
	Wanted string     // the value of [Options.Document]
	Fit    []Referrer // the documents that fit, if there are several
}

// Error names up to ten documents that fit, by their digests.
func (e *ReferrerError) Error() string {
	if len(e.Fit) == 0 {
		return fmt.Sprintf("no %s belongs to it", e.what())
	}
	const most = 10
	var names []string
	for _, r := range e.Fit[:min(len(e.Fit), most)] {
		names = append(names, string(r.Digest))
	}
	return fmt.Sprintf("there are %d documents that are meant by %s: %s", len(e.Fit), e.what(), strings.Join(names, ", "))
}

// what says in words which document is wanted.
func (e *ReferrerError) what() string {
	switch e.Wanted {
	case string(referrers.SBOM):
		return "SBOM"
	case string(referrers.Provenance):
		return "provenance"
	}
	return "document " + strconv.QuoteToASCII(clip(e.Wanted))
}

// Unwrap returns [errkind.NotFound].
func (e *ReferrerError) Unwrap() error { return errkind.NotFound }

func clip(s string) string {
	const most = 140
	return s[:min(len(s), most)]
}

// readDocument reads the document that Options.Document names.
func (i *inspector) readDocument(ctx context.Context) (err error) {
	fit := i.found.fitting(i.options.Document)
	if len(fit) != 1 {
		return &ReferrerError{Wanted: i.options.Document, Fit: fit}
	}
	if fit[0].Size > referrers.MaxDocument {
		return errkind.With(errkind.Malformed, fmt.Errorf("document %s of %d bytes is larger than %d", fit[0].Digest, fit[0].Size, referrers.MaxDocument))
	}
	blob, err := i.source.Blob(ctx, ocispec.Descriptor{MediaType: fit[0].MediaType, Digest: fit[0].Digest, Size: fit[0].Size})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := blob.Close(); err == nil {
			err = cerr
		}
	}()
	raw, err := io.ReadAll(blob)
	if err != nil {
		return fmt.Errorf("read document %s: %w", fit[0].Digest, err)
	}
	about := []digest.Digest{i.found.Digest}
	if i.found.Chosen != "" {
		about = append(about, i.found.Chosen)
	}
	if i.found.attached, err = referrers.Document(raw, about...); err != nil {
		return fmt.Errorf("document %s: %w", fit[0].Digest, err)
	}
	return nil
}

// fitting returns the documents that a kind, or the beginning of a digest, names. It
// looks first at the chosen image, or at all images if none is chosen, and then at the
// index.
func (i *Result) fitting(wanted string) []Referrer {
	byKind := wanted == string(referrers.SBOM) || wanted == string(referrers.Provenance)
	var fit []Referrer
	seen := map[digest.Digest]bool{}
	take := func(list []Referrer) {
		for _, r := range list {
			means := byKind && r.Kind == wanted || !byKind && (hasPrefix(r.Digest, wanted) || hasPrefix(r.Manifest, wanted))
			if means && r.Digest != "" && r.Error == "" && !seen[r.Digest] {
				seen[r.Digest] = true
				fit = append(fit, r)
			}
		}
	}
	i.images(i.Manifests, func(m *Manifest) {
		if i.Chosen == "" || m.Chosen {
			take(m.Referrers)
		}
	})
	if len(fit) == 0 {
		take(i.Referrers)
	}
	return fit
}

func (i *Result) images(entries []Manifest, visit func(*Manifest)) {
	for n := range entries {
		visit(&entries[n])
		i.images(entries[n].Manifests, visit)
	}
}

// hasPrefix reports whether text is the digest or its beginning, with or without the
// algorithm. The algorithm alone does not count.
func hasPrefix(d digest.Digest, text string) bool {
	_, hex, _ := strings.Cut(string(d), ":")
	return strings.HasPrefix(string(d), text) && len(text) > len("sha256:") || strings.HasPrefix(hex, text)
}
