// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/transport"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// head asks for the descriptor only, by HEAD. A registry may refuse that, redirect it
// to a URL that is signed for GET only, or leave out a part of the descriptor. head
// then reads the manifest by GET, whose answer counts. With absent it believes a 404,
// because the manifest most likely does not exist.
func (r *Repository) head(ctx context.Context, rt *route, absent bool) (ocispec.Descriptor, error) {
	resp, err := rt.ask(ctx, http.MethodHead, "manifests/"+r.wanted(), accepted)
	if err != nil {
		if !headRefused(err) || absent && errors.Is(err, failure.NotFound) {
			return ocispec.Descriptor{}, err
		}
		desc, _, err := r.get(ctx, rt)
		return desc, err
	}
	discard(resp.Body)
	desc := ocispec.Descriptor{
		MediaType: manifest.Telling(resp.Header.Get("Content-Type")), Digest: r.name.Digest, Size: resp.ContentLength,
	}
	if desc.Digest == "" {
		desc.Digest = digestHeader(resp)
	}
	known := manifest.IsIndex(desc.MediaType) || manifest.IsManifest(desc.MediaType)
	if desc.Digest == "" || desc.Size <= 0 || !known || encoding(resp) != "" ||
		content.Check(desc, content.MaxManifest) != nil {
		desc, _, err = r.get(ctx, rt)
		return desc, err
	}
	return desc, nil
}

// headRefused reports whether a GET may be answered where a HEAD was refused. A host
// that asks for fewer requests (429) gets no second one.
func headRefused(err error) bool {
	var status *transport.StatusError
	return errors.As(err, &status) && status.Status != http.StatusTooManyRequests
}

// get reads what the reference names, and checks it against the reference's digest,
// or else against the digest in the answer's header.
func (r *Repository) get(ctx context.Context, rt *route) (ocispec.Descriptor, []byte, error) {
	resp, err := rt.ask(ctx, http.MethodGet, "manifests/"+r.wanted(), accepted)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	defer resp.Body.Close()
	want := r.name.Digest
	if want == "" {
		want = digestHeader(resp)
	}
	raw, err := readDocument(ctx, resp, want, rt.peer.host)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	algorithm := digest.Canonical
	if want != "" {
		algorithm = want.Algorithm()
	}
	desc := ocispec.Descriptor{Digest: algorithm.FromBytes(raw), Size: int64(len(raw))}
	desc.MediaType, err = served(resp, raw)
	return desc, raw, err
}

// AnswerError says that a host answered with something else than the manifest that
// was asked for. It matches [failure.Network].
type AnswerError struct {
	Host      string // the host that sent it
	MediaType string // the answer's Content-Type, escaped
}

// Error is one line.
func (e *AnswerError) Error() string { return "the answer is no manifest but " + e.MediaType }

// Unwrap makes it a failure of the network.
func (e *AnswerError) Unwrap() error { return failure.Network }

// served returns the media type of a document. It is an error if the Content-Type
// contradicts the document.
func served(resp *http.Response, raw []byte) (string, error) {
	header := resp.Header.Get("Content-Type")
	own := manifest.MediaTypeOf(raw)
	if own == "" && manifest.Telling(header) == "" && len(raw) > 0 && !json.Valid(raw) {
		return "", failure.Final(checkFrom(resp, &AnswerError{Host: resp.Request.URL.Host, MediaType: failure.OneLine(header)}))
	}
	if own == "" {
		return header, nil // the parser will say what is wrong with the document
	}
	t, err := manifest.AgreeMediaType(header, own)
	if err != nil {
		return "", failure.Final(checkFrom(resp, failure.New(failure.Network,
			"the registry's Content-Type %s is wrong: the manifest is %s", failure.OneLine(header), failure.OneLine(own))))
	}
	return t, nil
}

// readDocument reads an index or a manifest of at most [content.MaxManifest] bytes,
// and checks that its digest is want; "" means that no digest is known.
func readDocument(ctx context.Context, resp *http.Response, want digest.Digest, host string) ([]byte, error) {
	sent, err := readBounded(ctx, resp)
	if err != nil {
		return nil, err
	}
	raw := sent
	if e := encoding(resp); e != "" && !fits(sent, want) {
		if raw, err = decode(e, sent, content.MaxManifest); err != nil {
			return nil, failure.Final(checkFrom(resp, failure.New(failure.Network, "%w", err)))
		}
	}
	if want == "" {
		return raw, nil
	}
	if got := want.Algorithm().FromBytes(raw); got != want {
		return nil, checkFrom(resp, &content.MismatchError{
			Want: want, Got: got, WantSize: int64(len(raw)), GotSize: int64(len(raw)), Host: host,
		})
	}
	return raw, nil
}

// fits reports whether the bytes as they were sent are the document, in spite of a
// Content-Encoding.
func fits(sent []byte, want digest.Digest) bool {
	if want == "" {
		return manifest.MediaTypeOf(sent) != ""
	}
	return want.Algorithm().FromBytes(sent) == want
}

func readBounded(ctx context.Context, resp *http.Response) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, content.MaxManifest+1))
	if err != nil {
		return nil, bodyError(ctx, resp, err)
	}
	if len(raw) > content.MaxManifest {
		return nil, failure.Final(checkFrom(resp, failure.New(failure.Malformed, "manifest of more than %d bytes", content.MaxManifest)))
	}
	return raw, nil
}

// Manifest reads the index or manifest that desc describes, and verifies it. A
// negative size means that it is not known.
func (r *Repository) Manifest(ctx context.Context, desc ocispec.Descriptor) (raw []byte, err error) {
	if err := content.CheckManifest(desc); err != nil {
		return nil, err
	}
	err = r.try(ctx, true, func(rt *route) error {
		resp, err := rt.ask(ctx, http.MethodGet, "manifests/"+desc.Digest.String(), accepted)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		raw, err = ReadManifest(ctx, resp, desc, rt.peer.host)
		return err
	})
	return raw, err
}

// ReadManifest reads the index or manifest that desc describes from the answer of a
// host, and verifies it. A negative size means that it is not known.
func ReadManifest(ctx context.Context, resp *http.Response, desc ocispec.Descriptor, host string) ([]byte, error) {
	if desc.Size >= 0 && encoding(resp) == "" {
		raw, err := io.ReadAll(content.Verify(resp.Body, desc, host))
		return raw, bodyError(ctx, resp, err)
	}
	raw, err := readDocument(ctx, resp, desc.Digest, host)
	if err == nil && desc.Size >= 0 && int64(len(raw)) != desc.Size {
		err = checkFrom(resp, &content.MismatchError{Want: desc.Digest, WantSize: desc.Size, GotSize: int64(len(raw)), Host: host})
	}
	return raw, err
}
