// SPDX-License-Identifier: Apache-2.0

// Package fetch fetches the layers of one image from its source: each as one verified
// stream, with events of its progress, and once more where the first try was damaged.
//
//	f := fetch.New(source, fetch.Options{Progress: hear})
//	for _, l := range fetch.Distinct(image.Layers) {
//		err := f.Layer(ctx, l, func(b *fetch.Blob) error {
//			dir, err := …                     // an empty one at each try
//			_, err = b.Unpack(ctx, dir, unpack.Options{})
//			return err
//		})
//	}
package fetch
