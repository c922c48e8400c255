// SPDX-License-Identifier: Apache-2.0

package layer

// Whiteouts is the form in which a directory keeps deleted names. The values
// stand in store.json (format 1) and never change; "" means [CharDevices].
type Whiteouts string

// The forms of whiteouts, as the kernel's overlayfs.rst has them under "whiteouts and
// opaque directories".
const (
	CharDevices Whiteouts = "chardev" // character devices 0:0
	XattrMarks  Whiteouts = "xattr"   // empty files with overlay.whiteout, in directories with overlay.opaque=x (Linux 6.8)
	// JournalOnly leaves no mark on disk that means anything to the kernel:
	// whiteouts and opaque directories are in the journal. It asks for no
	// privilege and no kind of filesystem. A socket, which no tar has, keeps
	// the place of a whiteout, and a directory whose mode would keep its owner
	// out has that mode in the journal only: the layer's directory is not for
	// a mount, but for one who goes by the journal. No store has it.
	JournalOnly Whiteouts = "journal"
)

// Xattrs is the namespace of the overlay marks. The values stand in store.json
// (format 1) and never change; "" means [TrustedXattrs].
type Xattrs string

// The namespaces of the overlay marks.
const (
	TrustedXattrs Xattrs = "trusted" // trusted.overlay.*: needs CAP_SYS_ADMIN in the initial user namespace
	UserXattrs    Xattrs = "user"    // user.overlay.*, mounted with the option userxattr
)

// IDs says what becomes of the owners that a layer's tar names. The values
// stand in store.json (format 1) and never change; "" means [HostIDs].
type IDs string

// What becomes of owners.
const (
	HostIDs     IDs = "host"     // set as they are
	MappedIDs   IDs = "mapped"   // set as they are seen in the user namespace that fills the store
	SquashedIDs IDs = "squashed" // everything belongs to the caller; the true ids are only recorded
	// RecordedIDs is SquashedIDs for one who goes by the journal alone:
	// extended attributes and devices are only recorded too, whoever the caller
	// is. An empty file takes a device's place. No store has it.
	RecordedIDs IDs = "recorded"
)

// Squashed reports whether everything belongs to the caller.
func (i IDs) Squashed() bool { return i == SquashedIDs || i == RecordedIDs }

// Lower says what a layer becomes on disk. The values stand in store.json
// (format 2) and never change; "" means [Directories].
type Lower string

// What a layer becomes.
const (
	Directories Lower = "dir" // a directory with its files, a lower directory of overlayfs
	Tars        Lower = "tar" // one file with its uncompressed tar, which an EROFS index of the image points into
)

// Form is how layers lie on a disk: what was probed when a store was made. The
// zero value is the form that suits a store of root.
type Form struct {
	Whiteouts Whiteouts `json:"whiteouts"`
	Xattrs    Xattrs    `json:"xattrs"`
	IDs       IDs       `json:"ids"`
	// Lower is not in the store.json of a store of directories, which is of
	// format 1.
	Lower Lower `json:"lower,omitempty"`
	// Verity has the kernel check the files of a store of tars as they are read
	// (fs-verity, Linux 5.4). A kernel without it opens none of them.
	Verity bool `json:"verity,omitempty"`
}

// OrDefaults is the form with each field that is "" said in full.
func (f Form) OrDefaults() Form {
	if f.Whiteouts == "" {
		f.Whiteouts = CharDevices
	}
	if f.Xattrs == "" {
		f.Xattrs = TrustedXattrs
	}
	if f.IDs == "" {
		f.IDs = HostIDs
	}
	return f
}

// Xattr is the full name of an overlay mark, for example
// "trusted.overlay.opaque" for "opaque".
func (f Form) Xattr(name string) string {
	return string(f.OrDefaults().Xattrs) + ".overlay." + name
}
