// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/registry/internal/content"
	"github.com/layerctl/layerctl/registry/internal/failure"
	"github.com/layerctl/layerctl/registry/internal/pushing"
	"github.com/layerctl/layerctl/registry/internal/remote"
)

// Destination is a repository to which content is sent: at the registry itself, never
// at a mirror, and without following redirects. Credentials, TLS, retries and limits are
// those of fetching; [Options.LimitRate] bounds what is sent and what comes, each by
// itself. Its methods may be called concurrently.
type Destination struct {
	ref  Reference
	repo *pushing.Repository
}

// Destination opens the repository that ref names. It sends no request. A reference to
// a layout or an archive is an [ErrReference].
func (c *Client) Destination(ref Reference) (*Destination, error) {
	if ref.transport != Docker {
		return nil, failure.New(ErrReference, "%s is in no registry", ref)
	}
	w, err := c.network().Writer(remote.Name{Host: ref.Host(), Repository: ref.Repository()})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", ref, err)
	}
	return &Destination{ref: ref, repo: pushing.New(w)}, nil
}

// Reference returns the reference that was opened.
func (d *Destination) Reference() Reference { return d.ref }

// Upload is a blob to send.
type Upload struct {
	Descriptor ocispec.Descriptor
	// Open opens the blob from its first byte. It is called only if the blob has to be
	// sent, and again if the registry has lost what it had taken. The stream must
	// return io.EOF only if all bytes were right, as that of [Source.Blob] does.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// From is another repository of the same registry that may have the blob, from
	// which the registry can mount it; "" where none is known.
	From string
	// Sent is called with how many of its bytes were sent, from any goroutine; nil is
	// not called.
	Sent func(offset int64)
}

// Outcome is how a blob came into the repository.
type Outcome = pushing.Outcome

// The outcomes.
const (
	Sent    = pushing.Sent    // it was sent
	Present = pushing.Present // the repository had it
	Mounted = pushing.Mounted // the registry had it in [Upload.From]
)

// Describe asks for the descriptor of the manifest that a tag or a digest names, by a
// HEAD request. The size is -1 where the registry does not say it. The error matches
// [ErrNotFound] where there is no such manifest.
func (d *Destination) Describe(ctx context.Context, name string) (ocispec.Descriptor, error) {
	desc, err := d.repo.Describe(ctx, name)
	if err != nil {
		return desc, fmt.Errorf("resolve %s in %s/%s: %w", failure.OneLine(name), d.ref.Host(), d.ref.Repository(), err)
	}
	return desc, nil
}

// Has asks whether the repository has a blob, by a HEAD request.
func (d *Destination) Has(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	if err := content.Check(desc, 0); err != nil {
		return false, about("look for blob", desc, err)
	}
	has, err := d.repo.Has(ctx, desc)
	if err != nil {
		return false, about("look for blob", desc, err)
	}
	return has, nil
}

// Put brings a blob into the repository, and sends it only where that is needed. An
// upload that breaks off goes on at the byte up to which the registry has the blob, if
// the registry can do that. Errors: [ErrDenied], [ErrNetwork], [ErrMismatch], and
// those of [Upload].Open.
func (d *Destination) Put(ctx context.Context, u Upload) (Outcome, error) {
	done, err := d.repo.Put(ctx, pushing.Blob{Descriptor: u.Descriptor, Open: u.Open, From: u.From, Sent: u.Sent})
	if err != nil {
		return 0, about("push blob", u.Descriptor, err)
	}
	return done, nil
}

// PutManifest sends a manifest or an index under a tag or, where that is "", only under
// its digest, and reads it back. subject is the digest of the manifest whose referrer it
// is, if the registry says that it will list it as such; it is "" for a registry without
// the referrers API.
func (d *Destination) PutManifest(ctx context.Context, desc ocispec.Descriptor, raw []byte, tag string) (subject digest.Digest, err error) {
	if err := content.Check(desc, MaxManifest); err != nil {
		return "", about("push manifest", desc, err)
	}
	if desc.Digest.Algorithm().FromBytes(raw) != desc.Digest || int64(len(raw)) != desc.Size {
		return "", about("push manifest", desc, failure.New(ErrMismatch, "the bytes are not those of the descriptor"))
	}
	subject, err = d.repo.PutManifest(ctx, desc, raw, tag)
	if err != nil {
		return "", about("push manifest", desc, err)
	}
	return subject, nil
}

// Manifest reads a manifest or an index of the repository by its digest, at most
// [MaxManifest] bytes, and verifies it. A negative size, as [Destination.Describe] may
// return, means that it is not known.
func (d *Destination) Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	if err := content.CheckManifest(desc); err != nil {
		return nil, about("read manifest", desc, err)
	}
	raw, err := d.repo.Manifest(ctx, desc)
	if err != nil {
		return nil, about("read manifest", desc, err)
	}
	return raw, nil
}
