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

// referrerJobs is how many digests are asked about at a time.
const referrerJobs = 4

// Referrer is a signature or a document that belongs to an image, as its author
// describes it; see [referrers.Attachment].
type Referrer struct {
	// Kind is "signature", "sbom", "provenance", "attestation" or "artifact".
	Kind string `json:"kind"`
	// Form is what it is wrapped in, such as "cosign" or "notation"; "" is
	// nothing that is known.
	Form string `json:"form"`
	// ArtifactType is the type of its manifest, or else its own media type.
	ArtifactType  string `json:"artifactType"`
	PredicateType string `json:"predicateType"`
	Created       string `json:"created"`
	// Claimed is who says to have made it, which nobody verified.
	Claimed string `json:"claimed"`
	// Checked is what [Options.Check] says of a signature, nil where that was not
	// asked or has nothing to go by.
	Checked *Checked `json:"checked"`
	// Place is where it was found: "index", "referrers", "fallback tag" or "tag",
	// and Tag which tag that is.
	Place string `json:"place"`
	Tag   string `json:"tag"`
	// Manifest is the digest of the manifest that holds it.
	Manifest digest.Digest `json:"manifest"`
	// Digest, MediaType and Size are those of the signature or document itself;
	// Digest is "" where that was not read, and the others are the manifest's.
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
	// Error says why it cannot be believed to belong to the image.
	Error string `json:"error"`
	// Referrers are the signatures of the document itself, nil for a signature.
	Referrers []Referrer `json:"referrers"`
}

// Checked says whether a signature holds.
type Checked struct {
	Holds bool `json:"holds"`
	// Key is the fingerprint of the key that made it, and Reference what it calls
	// the image, "" where it cannot; both only where it holds.
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

// attachments finds what belongs to the index, and to each image of it or to
// the one that was chosen for a platform that somebody named.
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

// about is a digest, and where what belongs to it is to stand.
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

// ReferrerError says that what belongs to an image has no such document, or
// several. It is an [errkind.NotFound].
type ReferrerError struct {
	Wanted string     // as [Options.Document]
	Fit    []Referrer // those that are meant, if there are several
}

// Error names those that fit by their digests.
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

// what is the wanted one in words.
func (e *ReferrerError) what() string {
	switch e.Wanted {
	case string(referrers.SBOM):
		return "SBOM"
	case string(referrers.Provenance):
		return "provenance"
	}
	return "document " + strconv.QuoteToASCII(clip(e.Wanted))
}

// Unwrap is its kind.
func (e *ReferrerError) Unwrap() error { return errkind.NotFound }

func clip(s string) string {
	const most = 140
	return s[:min(len(s), most)]
}

// readDocument reads the one document that is wanted.
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

// fitting are the documents that are meant by a kind or the beginning of a
// digest: those of the chosen image, or of all where none is, or else of the
// index itself.
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

// hasPrefix says whether text is the digest or the beginning of it, with or
// without the algorithm.
func hasPrefix(d digest.Digest, text string) bool {
	_, hex, _ := strings.Cut(string(d), ":")
	return strings.HasPrefix(string(d), text) && len(text) > len("sha256:") || strings.HasPrefix(hex, text)
}
