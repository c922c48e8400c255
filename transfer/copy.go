// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/source"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
)

// Copy copies what from names to the repository, layout or archive of to, under the tag
// of to. Without a tag it is that of from, or else "latest". With a digest, only an image
// of this digest is copied, without a tag unless to has one too. A Docker archive takes a
// single image.
//
// What was copied before an error stays, and is not copied again by the next call. Done is
// also returned with an error.
func Copy(ctx context.Context, client *registry.Client, from, to registry.Reference, o Options) (Done, error) {
	c := &copier{client: client, options: o, done: Done{Source: from, Destination: to}}
	if err := errors.Join(c.copy(ctx, from, to), c.close()); err != nil {
		return c.done, fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return c.done, nil
}

// copier is one call of [Copy] or [Send].
type copier struct {
	client  *registry.Client
	options Options
	source  *reader
	target  target

	mu   sync.Mutex
	done Done
	made []*made // the layers that were packed anew
}

// copy does what [Copy] promises.
func (c *copier) copy(ctx context.Context, from, to registry.Reference) (err error) {
	if c.options.Referrers && c.converts() {
		return errkind.With(errkind.Usage, errors.New("what refers to an image names its digest, and a converted image has another"))
	}
	opened, err := c.from(ctx, from)
	if err != nil {
		return err
	}
	c.source = &reader{Origin: opened}
	defer func() { err = errors.Join(err, opened.Close()) }()
	inRegistry := to.Transport() == registry.Docker
	if inRegistry {
		if c.target, err = c.open(ctx, to); err != nil {
			return err
		}
		if same, err := c.unchanged(ctx, tagFor(from, to)); same || err != nil {
			return err
		}
	}
	docs, err := c.source.documents(ctx, c.options.Platforms)
	if err != nil {
		return err
	}
	if c.converts() {
		if docs, err = c.convert(ctx, docs, to); err != nil {
			return err
		}
	}
	if err := c.send(ctx, docs, to, tagFor(from, to)); err != nil {
		return err
	}
	if c.options.Referrers {
		return c.referrers(ctx, docs)
	}
	return nil
}

// from opens a reference to copy from.
func (c *copier) from(ctx context.Context, ref registry.Reference) (Origin, error) {
	if c.options.Open != nil {
		return c.options.Open(ctx, ref)
	}
	return c.client.Open(ctx, ref)
}

// send copies the documents to the destination, and gives the last of them the tags.
func (c *copier) send(ctx context.Context, docs []document, to registry.Reference, tags ...string) (err error) {
	root := &docs[len(docs)-1]
	c.done.Root = root.desc
	if to.Transport() == registry.OCIArchive || to.Transport() == registry.DockerArchive {
		return c.archive(ctx, docs, to)
	}
	if to.Digest() != "" && to.Digest() != root.desc.Digest {
		return errkind.With(errkind.Usage, fmt.Errorf("what is copied is %s, not %s", root.desc.Digest, to.Digest()))
	}
	for _, tag := range tags {
		if tag != "" {
			root.tags = append(root.tags, tag)
		}
	}
	if c.target == nil {
		if c.target, err = c.open(ctx, to); err != nil {
			return err
		}
	}
	return c.images(ctx, docs)
}

// close closes the destination, and the layers that were packed anew.
func (c *copier) close() error {
	var errs []error
	for _, m := range c.made {
		errs = append(errs, m.Close())
	}
	if c.target != nil {
		errs = append(errs, c.target.close())
	}
	return errors.Join(errs...)
}

// open opens a destination that is a repository or a layout.
func (c *copier) open(ctx context.Context, to registry.Reference) (target, error) {
	if to.Transport() == registry.OCI {
		return openLayout(ctx, to.Path(), c.options.DryRun)
	}
	d, err := c.client.Destination(to)
	if err != nil {
		return nil, err
	}
	return repository{d}, nil
}

// tagFor returns the tag that the copy gets; "" for none.
func tagFor(from, to registry.Reference) string {
	if to.Tag() != "" || to.Digest() != "" {
		return to.Tag()
	}
	return cmp.Or(from.Tag(), "latest")
}

// unchanged reports whether the tag in the destination repository already stands for what
// is copied. It is always false for a layout, which may lack what its manifests name.
func (c *copier) unchanged(ctx context.Context, tag string) (bool, error) {
	if _, ok := c.target.(repository); !ok || tag == "" || len(c.options.Platforms) > 0 || c.options.Referrers || c.converts() {
		return false, nil
	}
	is, err := c.target.named(ctx, tag)
	if errors.Is(err, registry.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	desc, err := c.source.Describe(ctx)
	if err != nil || desc.Digest != is.Digest {
		return false, err
	}
	c.done.Root = ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
	return true, nil
}

// images copies to the destination the documents that it lacks, and before those their
// blobs.
func (c *copier) images(ctx context.Context, docs []document) error {
	missing, err := c.missing(ctx, docs)
	if err != nil {
		return err
	}
	if err := c.blobs(ctx, distinct(missing)); err != nil {
		return err
	}
	for _, d := range missing {
		if err := c.manifest(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// missing returns the documents that have to be sent: those that the destination lacks,
// and, without their blobs, those that get tags. It counts the blobs that are present.
func (c *copier) missing(ctx context.Context, docs []document) ([]document, error) {
	lacks := make([]bool, len(docs))
	g, ctx := c.group(ctx)
	for n, d := range docs {
		g.Go(func() error {
			complete, err := c.target.complete(ctx, d)
			lacks[n] = !complete
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var missing, present []document
	for n, d := range docs {
		if lacks[n] {
			missing = append(missing, d)
			continue
		}
		present = append(present, d)
		if len(d.tags) > 0 {
			d.blobs = nil
			missing = append(missing, d)
		}
	}
	sends := len(unsent(distinct(missing)))
	c.done.Present += len(unsent(distinct(slices.Concat(missing, present)))) - sends
	return missing, nil
}

// group runs as many goroutines at once as [Options].Jobs says.
func (c *copier) group(ctx context.Context) (*errgroup.Group, context.Context) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(cmp.Or(max(c.options.Jobs, 0), defaultJobs))
	return g, ctx
}

// blobs copies blobs to the destination, several at once.
func (c *copier) blobs(ctx context.Context, all []blob) error {
	g, ctx := c.group(ctx)
	for n, b := range unsent(all) {
		e := progress.Event{Reference: c.done.Source.String(), Layer: b.Descriptor, Number: n + 1, Of: len(all)}
		g.Go(func() error { return c.blob(ctx, b, e) })
	}
	return g.Wait()
}

// blob copies one blob to the destination. A foreign layer with urls is not copied.
func (c *copier) blob(ctx context.Context, b blob, e progress.Event) error {
	desc := b.Descriptor
	if manifest.IsForeign(desc.MediaType) && len(desc.URLs) > 0 {
		c.warn("layer %s is foreign, and not copied: who needs it finds it by its urls", desc.Digest)
		return nil
	}
	if c.options.DryRun {
		has, err := c.target.has(ctx, desc)
		outcome := registry.Sent
		if has {
			outcome = registry.Present
		}
		c.count(desc, outcome, err)
		return err
	}
	return c.sendBlob(ctx, b, e)
}

// sendBlob sends a blob to the destination, unless that has it.
func (c *copier) sendBlob(ctx context.Context, b blob, e progress.Event) error {
	desc := b.Descriptor
	began := false
	var mu sync.Mutex
	tell := func(kind progress.Kind, offset int64) {
		if c.options.Progress != nil {
			e := e
			e.Kind, e.Offset = kind, offset
			c.options.Progress(e)
		}
	}
	upload := registry.Upload{
		Descriptor: desc, From: mountFrom(b.from.Reference(), c.done.Destination),
		Open: func(ctx context.Context) (io.ReadCloser, error) {
			mu.Lock()
			defer mu.Unlock()
			if !began {
				began = true
				tell(progress.LayerMissing, 0)
				tell(progress.LayerProgress, 0)
			}
			return b.from.Blob(ctx, desc)
		},
		Sent: func(offset int64) { tell(progress.LayerProgress, offset) },
	}
	var outcome registry.Outcome
	err := source.Retry(func() (err error) {
		outcome, err = c.target.put(ctx, upload)
		return err
	}, func(error) {})
	if err != nil {
		return err
	}
	if outcome == registry.Sent { // otherwise no progress was told
		tell(progress.LayerDone, desc.Size)
	}
	c.count(desc, outcome, nil)
	return nil
}

// mountFrom returns the repository from which a blob can be mounted; "" for none.
func mountFrom(from, to registry.Reference) string {
	if from.Host() == "" || from.Host() != to.Host() || from.Repository() == to.Repository() {
		return ""
	}
	return from.Repository()
}

// count counts a blob in done, unless err is set.
func (c *copier) count(desc ocispec.Descriptor, outcome registry.Outcome, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
	case outcome == registry.Sent:
		c.done.Sent++
		c.done.Bytes += desc.Size
	case outcome == registry.Mounted:
		c.done.Mounted++
	default:
		c.done.Present++
	}
}

// warn adds a warning to done.
func (c *copier) warn(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done.Warnings = append(c.done.Warnings, fmt.Sprintf(format, args...))
}

// manifest sends a manifest or an index under each of its tags, or else under its digest
// only. What it names must be there.
func (c *copier) manifest(ctx context.Context, d document) error {
	tags := d.tags
	if len(tags) == 0 {
		tags = []string{""}
	}
	for _, tag := range tags {
		if tag != "" {
			if is, err := c.target.named(ctx, tag); err == nil && is.Digest == d.desc.Digest {
				continue
			} else if err != nil && !errors.Is(err, registry.ErrNotFound) {
				return err
			}
		}
		c.done.Manifests++
		if c.options.DryRun {
			continue
		}
		subject, err := c.target.putManifest(ctx, d.desc, d.raw, tag)
		if err != nil {
			return err
		}
		if err := c.listed(ctx, d, subject); err != nil {
			return err
		}
	}
	return nil
}
