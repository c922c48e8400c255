// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/unpack"
)

// transfer brings the layers of one image from where they are.
type transfer struct {
	client   *Client
	source   *origin
	progress func(Event) // nil for none

	mu       sync.Mutex
	warnings []string
}

func (t *transfer) tell(e Event) {
	if t.progress != nil {
		t.progress(e)
	}
}

// unpack streams one blob into a directory.
func (t *transfer) unpack(ctx context.Context, dir *os.File, l numbered, high *int64, o unpack.Options) (unpack.Result, overlaystore.Counts, error) {
	blob, err := t.source.Blob(ctx, l.Descriptor)
	if err != nil {
		return unpack.Result{}, overlaystore.Counts{}, err
	}
	counted := t.counting(blob, l, high)
	o.Buffers = t.client.buffers
	made := &tally{next: o.Record}
	if o.Record != nil {
		o.Record = made.record
	}
	result, err := unpack.Layer(ctx, dir, counted, unpack.Source{
		MediaType: l.Descriptor.MediaType,
		DiffID:    l.DiffID,
		Size:      l.Descriptor.Size,
	}, o)
	if err = errors.Join(err, blob.Close()); err != nil {
		return unpack.Result{}, overlaystore.Counts{}, made.needs(err, counted.n, l.Descriptor.Size)
	}
	t.warnUnkept(blob, l)
	return result, made.counts, nil
}

// worthAgain says that bytes of several responses do not make the blob, or
// that the cache's are damaged.
func worthAgain(err error) bool {
	var mismatch *registry.MismatchError
	return errors.As(err, &mismatch) && mismatch.Resumed || errors.Is(err, cache.ErrMiss)
}

func (t *transfer) counting(blob io.Reader, l numbered, high *int64) *counting {
	e := l.event(LayerProgress)
	return &counting{r: blob, high: high, report: func(n int64) { e.Offset = n; t.tell(e) }}
}

// warnUnkept tells of a blob that the cache should have and does not.
func (t *transfer) warnUnkept(blob io.ReadCloser, l numbered) {
	if t.source.keepBlobs && !t.source.has(l.Descriptor) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.warnings = append(t.warnings, fmt.Sprintf("layer %s is not in the cache: %v", l.Descriptor.Digest, cache.Kept(blob)))
	}
}
