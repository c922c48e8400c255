// SPDX-License-Identifier: Apache-2.0

package layer

import "github.com/opencontainers/go-digest"

// Blob is a compressed form in which a layer was fetched. The JSON is part of
// layer.json (format 1).
type Blob struct {
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"` // bytes
	MediaType string        `json:"mediaType"`
}
