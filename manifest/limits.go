// SPDX-License-Identifier: Apache-2.0

package manifest

import "fmt"

// Limits on what is taken from a registry. The largest real documents stay an
// order of magnitude below.
const (
	// MaxManifestSize is the largest index or manifest in bytes. Registries
	// refuse larger ones: the distribution spec asks them to take 4 MiB.
	MaxManifestSize = 4 << 20
	// MaxConfigSize is the largest config in bytes.
	MaxConfigSize = 8 << 20
	// MaxEntries is the number of manifests that an index may list, and of
	// elements that any other list may have.
	MaxEntries = 1000
	// MaxLayers is the number of layers that an image may have: what
	// overlayfs stacks (OVL_MAX_STACK in fs/overlayfs/params.h).
	MaxLayers = 500
	// MaxIndexDepth is how deep indexes may nest: an index in an index. The
	// caller who descends counts.
	MaxIndexDepth = 2
	// maxJSONDepth bounds the recursion of the checks. The documents here
	// need 5 levels, what vendors add may need more.
	maxJSONDepth = 64
)

// BudgetError says that the manifests and configs that one command reads come
// to more bytes than they may. errors.Is finds [ErrMalformed].
type BudgetError struct{ Max int64 }

func (e *BudgetError) Error() string {
	return fmt.Sprintf("%v: more than %d bytes of manifests and configs", ErrMalformed, e.Max)
}

// Unwrap makes errors.Is find ErrMalformed and its kind.
func (e *BudgetError) Unwrap() error { return ErrMalformed }
