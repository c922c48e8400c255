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

// Destination is a repository that content is sent to: at the registry itself,
// never at a mirror, and nowhere by a redirect. Credentials, TLS, retries and
// limits are those of fetching; [Options.LimitRate] is for what is sent and for
// what comes, each. Its methods may be called concurrently.
type Destination struct {
	ref  Reference
	repo *pushing.Repository
}

// Destination opens the repository that ref is in. It sends no request. A layout
// or an archive is [ErrReference].
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

// Reference is what was opened.
func (d *Destination) Reference() Reference { return d.ref }

// Upload is a blob that is sent.
type Upload struct {
	Descriptor ocispec.Descriptor
	// Open opens the blob from its first byte. It is called where the blob has
	// to be sent, and again where the registry has lost what it had taken. The
	// stream ends with io.EOF only if what it read was right, as that of
	// [Source.Blob] does.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// From is another repository of the same registry that may have the blob,
	// to be mounted from there; "" for none that is known.
	From string
	// Sent hears how many of its bytes were sent, from any goroutine; nil does
	// not.
	Sent func(offset int64)
}

// Outcome is what became of a blob that was to be sent.
type Outcome = pushing.Outcome

// The outcomes.
const (
	Sent    = pushing.Sent
	There   = pushing.There   // the repository had it
	Mounted = pushing.Mounted // the registry had it in [Upload.From]
)

// Describe says what a tag or a digest stands for in the repository: a HEAD
// request. The size is -1 where the registry does not say it. Errors match
// [ErrNotFound] where there is no such manifest.
func (d *Destination) Describe(ctx context.Context, name string) (ocispec.Descriptor, error) {
	desc, err := d.repo.Describe(ctx, name)
	if err != nil {
		return desc, fmt.Errorf("resolve %s in %s/%s: %w", failure.OneLine(name), d.ref.Host(), d.ref.Repository(), err)
	}
	return desc, nil
}

// Has says whether the repository has a blob: a HEAD request.
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

// Put has the repository hold a blob, and sends it where it has to. An upload
// that breaks goes on where the registry had come to, if it can.
func (d *Destination) Put(ctx context.Context, u Upload) (Outcome, error) {
	done, err := d.repo.Put(ctx, pushing.Blob{Descriptor: u.Descriptor, Open: u.Open, From: u.From, Sent: u.Sent})
	if err != nil {
		return 0, about("push blob", u.Descriptor, err)
	}
	return done, nil
}

// PutManifest has the repository hold a manifest or an index, under a tag or,
// where that is "", under its digest only, and reads it back. subject is the
// digest of the manifest that it refers to, as far as the registry took note of
// that: "" of one without the referrers API.
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

// Manifest reads a manifest of the repository by its digest, and verifies it.
func (d *Destination) Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	if err := content.Check(desc, MaxManifest); err != nil {
		return nil, about("read manifest", desc, err)
	}
	raw, err := d.repo.Manifest(ctx, desc)
	if err != nil {
		return nil, about("read manifest", desc, err)
	}
	return raw, nil
}
