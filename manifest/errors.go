// SPDX-License-Identifier: Apache-2.0

package manifest

import "github.com/layerctl/layerctl/errkind"

// ErrMalformed says that a document contradicts its specification, itself, or its
// description. Fetching it again will not help.
var ErrMalformed = errkind.New(errkind.Malformed, "malformed manifest")

// ErrUnsupported says that a document is valid, as far as it was checked, but nothing that
// can be mounted: schema 1, an artifact, an unknown type of layer.
var ErrUnsupported = errkind.New(errkind.Malformed, "unsupported manifest")

// malformed and unsupported make an error match the sentinel without its text.
type malformed struct{ error }

func (e malformed) Unwrap() []error { return []error{ErrMalformed, e.error} }

type unsupported struct{ error }

func (e unsupported) Unwrap() []error { return []error{ErrUnsupported, e.error} }
