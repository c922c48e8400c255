// SPDX-License-Identifier: Apache-2.0

package manifest

import "github.com/layerctl/layerctl/errkind"

// ErrMalformed says that a document contradicts its specification, itself, or
// what was said of it. Fetching it again will not help.
var ErrMalformed = errkind.New(errkind.Malformed, "malformed manifest")

// ErrUnsupported says that a document is sound, as far as was looked, but
// nothing that can be mounted: schema 1, an artifact, an unknown layer type.
var ErrUnsupported = errkind.New(errkind.Malformed, "unsupported manifest")

// malformed and unsupported keep the sentinel out of the text, which says it
// more exactly.
type malformed struct{ error }

func (e malformed) Unwrap() []error { return []error{ErrMalformed, e.error} }

type unsupported struct{ error }

func (e unsupported) Unwrap() []error { return []error{ErrUnsupported, e.error} }
