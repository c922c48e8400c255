// SPDX-License-Identifier: Apache-2.0

// Package fetch brings the layers of one image from its source: each as one
// verified stream, which is told of as it comes, and once more after damage.
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
