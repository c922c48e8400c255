// SPDX-License-Identifier: Apache-2.0

package recast

import (
	"context"
	"io"

	"github.com/layerctl/layerctl/internal/layerrecord"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// fill reads a blob, or a tar, into a staging: as files, or as a tar in a store of
// tars. It returns the layer's record.
func fill(ctx context.Context, st *overlaystore.Staging, blob io.Reader, source unpack.Source, o unpack.Options) (overlaystore.LayerRecord, error) {
	var counts layer.Counts
	var result unpack.Result
	var err error
	o.Record = layerrecord.Counting(&counts, st.Record)
	if tar := st.Tar(); tar != nil {
		result, err = unpack.Read(ctx, blob, source, layerrecord.OfTar(o, tar))
	} else {
		result, err = unpack.Layer(ctx, st.Dir(), blob, source, o)
	}
	return layerrecord.Of(result, counts, nil), err
}
