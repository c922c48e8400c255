// SPDX-License-Identifier: Apache-2.0

// Package storedirs makes and opens the directories that a store on disk is
// made of, and refuses those that cannot be one. What is in them package
// overlaystore knows.
//
// # The store on disk, formats 1 and 2
//
// This is the specification. The directory has mode 0700 and belongs to the
// one user who uses it. Names in <> stand for: hex, a sha256 in 64 hexadecimal
// digits; boot, /proc/sys/kernel/random/boot_id; rand, anything.
//
//	store.json                    the form of the store, see below
//	lock                          flock: shared while records are read or written, exclusive for prune
//	layers/<hex>/                 one layer, by its diffID, never changed
//	    fs/                       the lower dir
//	    layer.json                a LayerRecord
//	    files.zst                 every path, see internal/journal
//	fix/<hex>/                    one fix layer, by the chainID of the layers it goes on; the same three
//	l/<number>                    symbolic link to ../layers/<hex>/fs and the like, base 36, given once
//	l/0/                          an empty directory
//	empty/                        another one, made for the first image without layers
//	images/<hex>.json             one image, by its manifest's digest: an Image; its mtime is when it was last used
//	refs/<hex>.json               {"ref":…,"manifest":…,"platform":{…}}, see below
//	blobs/, engines/, sync/       not this package's
//	leases/<boot>-<rand>.lease    layers in use by a process, flocked by it
//	locks/<name>                  flock: <hex> and fix-<hex> held while that layer is made, staging, links, refs; never removed
//	staging/<boot>-<rand>/        a layer being made, flocked by its process; unlocked, it is rubbish
//	partial/<hex>.<hex>/          a layer of an interrupted pull, by its diffID and the sha256 of its
//	                              layer.json; made when first needed, see below
//	trash/<rand>                  being removed
//	trash/held-<boot>-<hex>-<rand> a repaired layer's old directory, kept while mounts may use it
//	unsynced/<boot>/<hex>         layers committed without sync, as in layers/, fix layers as fix-<hex>;
//	                              they count in that boot only
//	writable/<rand>/              a writable mount's directories, made when first needed
//	    upper/ work/              work/layerctl.json says what they are for, see Writing of package overlaymount
//	.tmp-<rand>                   (in images/, refs/ and the root) a file being written
//
// Everything is on one filesystem. Unknown names are left alone, and unknown
// members of JSON objects ignored; a reader refuses a store.json whose format
// is not its own.
//
// store.json is {"format":1,"whiteouts":W,"xattrs":X,"ids":I}, decided by
// probing when the store is made and fixed from then on:
//
//	W  chardev   a deleted name is a character device 0:0
//	   xattr     it is an empty file with the attribute overlay.whiteout, in a
//	             directory whose overlay.opaque is "x" (Linux 6.8)
//	X  trusted   marks are trusted.overlay.*
//	   user      marks are user.overlay.*, and mounts have the option userxattr
//	I  host      owners are the image's
//	   mapped    they are, within the user namespace that made the store
//	   squashed  everything belongs to the store's owner
//
// A reference names an image for each platform: "platform" is what the image
// was listed for, else it is the image's. The first is in the file named by the
// sha256 of the reference, each other one in that of the reference, a zero byte
// and the platform in the words of [platform.Format]; of two for one platform
// the first file counts. Programs of before 2027 read all of these, spare them
// when they prune, and know by name the first alone; pruning for room they may
// leave a reference to an image that is gone, which the next prune removes.
//
// Format 2 has "lower":"tar" beside them, and differs in two things: a layer is
// layer.erofs in the place of fs/, its tar as internal/tarlayer has it, with a
// superblock and metadata of its own where somebody asked for them, and fix/ has an
// index for each stack of layers, index.erofs in the place of fs/, whose digest is in
// its layer.json; <first 12 of a manifest's hex>.erofs beside it is a link to it, made
// when that image is first used and of no other meaning. It has no links but l/0.
// Programs that know format 1 alone refuse such a store. With "verity":true each
// layer.erofs and index.erofs has fs-verity, SHA-256 over blocks of 4,096 bytes
// without a salt, from before it is visible; programs that do not know the member
// write theirs without.
//
// An opaque directory has overlay.opaque "y". The root of a layer never has a
// mark that counts: layer.json says rootOpaque, and mounts leave out what lies
// below.
//
// # The order of writing
//
// Staging is filled; layer.json and files.zst are written; one syncfs writes
// all of an image's layers to the disk; each is renamed without replacing to
// layers/; layers/ is synced. Then, each by its own write, sync, rename and
// sync: fix layer, links, image, reference. Removal goes the other way round,
// and directories are renamed to trash/ before a single file in them goes.
//
// A sealed layer waits in partial/ for the rest of its image. Nothing says that
// it has reached the disk: the next pull believes it when every file is what
// files.zst says. Whoever adds, takes or removes one holds locks/<hex>.
package storedirs

import (
	"errors"
	"fmt"
	"os"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/journal"
)

// The directories of a store, by the names that stand on disk.
const (
	Layers   = "layers"
	Fix      = "fix"
	Links    = "l"
	Images   = "images"
	Refs     = "refs"
	Leases   = "leases"
	Staging  = "staging"
	Trash    = "trash"
	Locks    = "locks"
	Unsynced = "unsynced"
)

// subdirs are made with the store, and its only directories beside blobs/.
var subdirs = []string{
	Layers, Fix, Links, Images, Refs, Leases, Staging, Trash, Locks, Unsynced,
}

// The files beside them, and two directories that stay empty: the kernel
// wants two lower dirs.
const (
	FormatFile = "store.json"
	LockFile   = "lock"
	EmptyLink  = "0"     // in Links
	Empty      = "empty" // made when first needed
)

// LowerDir is the lower dir in a layer's directory, and Index the file of an
// image's index in one in fix/.
const (
	LowerDir = "fs"
	Index    = "index.erofs"
)

// blobsDir is kept by package cache.
const blobsDir = "blobs"

// ErrFormat: the directory is no store, or one of a format that this version
// does not know.
var ErrFormat = errkind.New(errkind.Filesystem, "unknown store format")

// maxFormat bounds store.json in bytes.
const maxFormat = 1 << 16

// ReadFormat reads store.json.
func ReadFormat(root *os.File) ([]byte, error) { return ReadFile(root, FormatFile, maxFormat) }

// ReadFile reads one of the store's own files, which are never larger than
// limit.
func ReadFile(dir *os.File, name string, limit int64) ([]byte, error) {
	raw, err := fsat.ReadFile(dir, name, limit)
	if errors.Is(err, fsat.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", journal.ErrDamaged, err)
	}
	return raw, err
}
