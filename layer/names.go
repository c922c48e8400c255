// SPDX-License-Identifier: Apache-2.0

package layer

// The names with which a layer's tar deletes, from the OCI image specification,
// layer.md, "Whiteouts".
const (
	// WhiteoutPrefix before a name deletes that name from lower layers.
	WhiteoutPrefix = ".wh."
	// OpaqueName in a directory hides all that lower layers have in it.
	OpaqueName = ".wh..wh..opq"
	// AUFSPrefix begins the names of AUFS's own metadata. OpaqueName has it too.
	AUFSPrefix = ".wh..wh."
)
