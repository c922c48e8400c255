// SPDX-License-Identifier: Apache-2.0

package layer

// Whiteouts is the form in which a directory keeps deleted names. The values
// stand in store.json (format 1) and never change; "" means [CharDevices].
type Whiteouts string

// The forms of whiteouts. The first two are those of the kernel's overlayfs.rst,
// "whiteouts and opaque directories".
const (
	CharDevices Whiteouts = "chardev" // character devices 0:0
	XattrMarks  Whiteouts = "xattr"   // empty files with overlay.whiteout, in directories with overlay.opaque=x (Linux 6.8)
	// JournalOnly keeps whiteouts and opaque directories in the journal, and leaves
	// no mark on disk that means anything to the kernel. It needs no privilege and no
	// special filesystem. On disk a socket, which no tar has, stands for a whiteout,
	// and a directory whose mode would keep its owner out has that mode in the
	// journal only. So such a directory cannot be mounted; its readers need the
	// journal. No store has this form.
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
	MappedIDs   IDs = "mapped"   // set as the user namespace that fills the store maps them
	SquashedIDs IDs = "squashed" // everything belongs to the caller; the journal has the true ids
	// RecordedIDs is SquashedIDs for readers of the journal: extended attributes and
	// devices are in the journal only, too, whoever the caller is. On disk an empty
	// file takes a device's place. No store has this form.
	RecordedIDs IDs = "recorded"
)

// Squashed reports whether everything belongs to the caller.
func (i IDs) Squashed() bool { return i == SquashedIDs || i == RecordedIDs }

// Lower says what a layer becomes on disk. The values stand in store.json
// (format 2) and never change; "" means [Directories].
type Lower string

// What a layer becomes.
const (
	Directories Lower = "dir" // a lower directory of overlayfs
	Tars        Lower = "tar" // one file with its uncompressed tar, into which an EROFS index of the image points
)

// Form is how layers lie on a disk, as probed or chosen when a store was created.
// The zero value is the form that suits a store of root.
type Form struct {
	Whiteouts Whiteouts `json:"whiteouts"`
	Xattrs    Xattrs    `json:"xattrs"`
	IDs       IDs       `json:"ids"`
	// Lower is absent from the store.json of a store of directories, which has
	// format 1.
	Lower Lower `json:"lower,omitempty"`
	// Verity has the kernel check the files of a store of tars as they are read
	// (fs-verity, Linux 5.4). A kernel without it opens none of them.
	Verity bool `json:"verity,omitempty"`
}

// OrDefaults returns the form with the defaults in place of empty Whiteouts, Xattrs
// and IDs.
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

// Xattr returns the full name of an overlay mark, for example
// "trusted.overlay.opaque" for "opaque".
func (f Form) Xattr(name string) string {
	return string(f.OrDefaults().Xattrs) + ".overlay." + name
}
