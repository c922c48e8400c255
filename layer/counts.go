// SPDX-License-Identifier: Apache-2.0

package layer

// Counts are how many paths of each type a layer has. A path that stands in the
// tar twice counts twice, for telling that would mean to keep all paths in
// memory. The JSON is part of layer.json (format 1).
type Counts struct {
	Regular     int64 `json:"regular,omitempty"`
	Directories int64 `json:"directories,omitempty"`
	Symlinks    int64 `json:"symlinks,omitempty"`
	Hardlinks   int64 `json:"hardlinks,omitempty"`
	Devices     int64 `json:"devices,omitempty"` // and FIFOs
	Whiteouts   int64 `json:"whiteouts,omitempty"`
	Opaque      int64 `json:"opaque,omitempty"`
}
