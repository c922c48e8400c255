// SPDX-License-Identifier: Apache-2.0

package manifest

import "fmt"

// Limits on documents. The largest real ones are ten times smaller.
const (
	// MaxManifestSize bounds the bytes of an index or a manifest. The distribution
	// specification asks registries to accept 4 MiB, and they refuse larger ones.
	MaxManifestSize = 4 << 20
	// MaxConfigSize bounds the bytes of a config.
	MaxConfigSize = 8 << 20
	// MaxEntries bounds the entries of an index, and the elements of any other list
	// that is parsed.
	MaxEntries = 1000
	// MaxLayers bounds the layers of an image: overlayfs stacks no more (OVL_MAX_STACK
	// in fs/overlayfs/params.h).
	MaxLayers = 500
	// MaxIndexDepth bounds how deep indexes may nest: an index in an index. This
	// package reads no nested index: its callers apply the bound.
	MaxIndexDepth = 2
	// maxJSONDepth bounds the recursion of the checks. The documents themselves are 5
	// levels deep; additions of vendors may be deeper.
	maxJSONDepth = 64
)

// BudgetError says that the manifests and configs that one command reads have more than
// Max bytes together. It matches [ErrMalformed].
type BudgetError struct{ Max int64 }

func (e *BudgetError) Error() string {
	return fmt.Sprintf("%v: more than %d bytes of manifests and configs", ErrMalformed, e.Max)
}

// Unwrap makes it match [ErrMalformed].
func (e *BudgetError) Unwrap() error { return ErrMalformed }
