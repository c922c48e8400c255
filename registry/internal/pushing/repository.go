// SPDX-License-Identifier: Apache-2.0

package pushing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/remote"
)

// accepted has the media types of manifests to ask for.
var accepted = http.Header{"Accept": {
	ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest,
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.docker.distribution.manifest.v2+json",
	"*/*",
}}

// Repository is a repository to which content is sent.
type Repository struct{ w *remote.Writer }

// New returns the repository to which w writes.
func New(w *remote.Writer) *Repository { return &Repository{w} }

// Describe asks for the descriptor of the manifest that a tag or a digest names, by one
// HEAD request. The size is -1 where the registry does not say it. A registry that does
// not say the digest that a tag stands for is an error of the network.
func (r *Repository) Describe(ctx context.Context, name string) (ocispec.Descriptor, error) {
	var desc ocispec.Descriptor
	err := r.w.Try(ctx, func(func(int)) error {
		resp, err := r.w.Send(ctx, remote.Sending{Method: http.MethodHead, Path: "manifests/" + name, Header: accepted})
		if err != nil {
			return err
		}
		remote.Drain(resp)
		desc = ocispec.Descriptor{MediaType: resp.Header.Get("Content-Type"), Size: resp.ContentLength}
		desc.Digest = digest.Digest(resp.Header.Get("Docker-Content-Digest"))
		if desc.Digest == "" {
			desc.Digest = digest.Digest(name)
		}
		if err := content.CheckDigest(desc.Digest); err != nil {
			return failure.Final(remote.Answered(resp, failure.New(failure.Network, "Docker-Content-Digest: %w", err)))
		}
		return nil
	})
	return desc, err
}

// Manifest reads the manifest that desc describes, and verifies it. A negative size
// means that it is not known.
func (r *Repository) Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	var raw []byte
	err := r.w.Try(ctx, func(func(int)) error {
		resp, err := r.w.Send(ctx, remote.Sending{Method: http.MethodGet, Path: "manifests/" + desc.Digest.String(), Header: accepted})
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		raw, err = remote.ReadManifest(ctx, resp, desc, resp.Request.URL.Host)
		return err
	})
	return raw, err
}

// Has asks whether the repository has a blob, by one HEAD request.
func (r *Repository) Has(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	has := false
	err := r.w.Try(ctx, func(func(int)) (err error) {
		has, err = r.has(ctx, desc)
		return err
	})
	return has, err
}

func (r *Repository) has(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	resp, err := r.w.Send(ctx, remote.Sending{Method: http.MethodHead, Path: "blobs/" + desc.Digest.String()})
	if errors.Is(err, failure.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	remote.Drain(resp)
	return resp.ContentLength < 0 || resp.ContentLength == desc.Size, nil
}

// PutManifest sends a manifest under a tag, or under its digest where tag is "", and
// reads it back by its digest. subject is the header OCI-Subject of the answer, by which
// the registry says that it will list the manifest as a referrer; else "".
func (r *Repository) PutManifest(ctx context.Context, desc ocispec.Descriptor, raw []byte, tag string) (subject digest.Digest, err error) {
	name := tag
	if name == "" {
		name = desc.Digest.String()
	}
	err = r.w.Try(ctx, func(func(int)) error {
		resp, err := r.w.Send(ctx, remote.Sending{
			Method: http.MethodPut, Path: "manifests/" + name, Header: http.Header{"Content-Type": {desc.MediaType}},
			Body: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }, Size: int64(len(raw)),
		})
		if err != nil {
			return refused(err, tag)
		}
		remote.Drain(resp)
		subject = digest.Digest(resp.Header.Get("OCI-Subject"))
		said := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
		if said != "" && said != desc.Digest && said.Algorithm() == desc.Digest.Algorithm() {
			return failure.Final(remote.Answered(resp, failure.New(failure.Mismatch, "the registry says that %s is %s", desc.Digest, failure.OneLine(string(said)))))
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if _, err := r.Manifest(ctx, desc); err != nil {
		return "", fmt.Errorf("read back what was pushed: %w", err)
	}
	return subject, nil
}

// refusal says that the registry's own rules forbid a push: a quota, or a tag that must
// not change. It matches [failure.Denied].
type refusal struct {
	reason string // in plain words
	err    error  // the answer
}

// Error is one line.
func (e *refusal) Error() string { return e.err.Error() + " (" + e.reason + ")" }

// Unwrap makes it match [failure.Denied], and what the answer matches.
func (e *refusal) Unwrap() []error { return []error{failure.Denied, e.err} }

// refused adds to an error what its status means for a push.
func refused(err error, tag string) error {
	reason := ""
	switch status := remote.Status(err); {
	case status == http.StatusRequestEntityTooLarge:
		reason = "the registry takes no more: a quota or a limit of size"
	case status == http.StatusMethodNotAllowed:
		reason = "the registry takes no pushes"
	case (status == http.StatusConflict || status == http.StatusPreconditionFailed) && tag != "":
		reason = fmt.Sprintf("the registry does not let the tag %s be changed", tag)
	case status >= 300 && status < 400:
		return failure.Final(failure.Mark(failure.Network, fmt.Errorf("%w (a push follows no redirect)", err)))
	}
	if reason == "" {
		return err
	}
	return &refusal{reason, err}
}
