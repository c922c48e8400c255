// SPDX-License-Identifier: Apache-2.0

// Package source opens references: the cache in front of the registry, one
// walk over indexes, the choice for a platform, the manifest and the config.
//
//	s, err := source.Open(ctx, ref, source.Options{Registry: client})
//	…
//	defer s.Close()
//	r, err := s.Resolve(ctx)       // which image the reference means
//	image, err := s.Image(ctx, r)  // its manifest, config and layers
//	blob, err := s.Blob(ctx, image.Layers[0].Descriptor)
//	…
//	err = s.Keep(ctx)              // only now the cache has the documents
//
// # Bounds
//
// An index costs its author nothing, but its reader a request for each index in it.
// [Walk] reads at most 12 nested indexes with at most 8 MiB together. Indexes may nest
// [manifest.MaxIndexDepth] levels deep, and have [manifest.MaxEntries] entries together.
// More is a [manifest.ErrMalformed].
//
// Documents that were fetched stay in memory until [Source.Keep], so that a command that
// fails leaves none in the cache.
package source
