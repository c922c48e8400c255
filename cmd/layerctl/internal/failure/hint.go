// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/host"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/inspect"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/rootfs"
	"github.com/layerctl/layerctl/trust"
	"github.com/layerctl/layerctl/unpack"
)

// hinted is an error with a hint of its own.
type hinted interface{ Hint() string }

// Hint returns what the user can do about an error, or "" if that is not known.
func Hint(err error) string {
	var h hinted
	if errors.As(err, &h) {
		return h.Hint()
	}
	for _, hint := range []func(error) string{policyHint, limitHint, imageHint, mountHint, damageHint} {
		if text := hint(err); text != "" {
			return text
		}
	}
	switch kind := errkind.Of(err); {
	case kind == errkind.Denied && errors.Is(err, registry.ErrDenied):
		return deniedHint(err)
	case kind == errkind.Network:
		return networkHint(err)
	case kind == errkind.Filesystem:
		return filesystemHint(err)
	case kind == errkind.NotFound:
		return notFoundHint(err)
	default:
		return ""
	}
}

// policyHint is for images that a policy refuses, and for policies that cannot be read.
func policyHint(err error) string {
	var refused *trust.RefusedError
	var broken *trust.PolicyError
	switch {
	case errors.As(err, &broken):
		return "nothing is let in by a policy that cannot be read; --policy FILE names another, and none is none"
	case !errors.As(err, &refused):
		return ""
	case refused.Unsigned:
		return "'layerctl inspect --referrers' lists what belongs to the image"
	case errors.Is(err, errkind.Mismatch):
		return "nothing of it was kept; somebody else has signed it, or it is not what was signed"
	}
	return "--policy FILE names another policy, and none is none"
}

// limitHint is for images that exceed a limit.
func limitHint(err error) string {
	var limit *unpack.LimitError
	var documents *manifest.BudgetError
	switch {
	case errors.Is(err, rootfs.ErrLimit), errors.As(err, &limit) && limit.Limit == "recorded":
		return "--max-memory gives the paths of an image more, somewhat less than half of what it says"
	case errors.As(err, &documents):
		return "--max-memory gives manifests and configs more, a twelfth of what it says"
	case errors.As(err, &limit) && limit.Limit == "window":
		return host.WindowHint(limit.Asked)
	default:
		return ""
	}
}

// imageHint is for things that an image does not have.
func imageHint(err error) string {
	var foreign *registry.ForeignError
	var referrer *inspect.ReferrerError
	switch {
	case errors.As(err, &referrer) && len(referrer.Fit) > 0:
		return "--attached prints the one whose digest it is given; --referrers tells what they are"
	case errors.As(err, &referrer):
		return "'layerctl inspect --referrers' shows what there is; --platform chooses another image"
	case errors.As(err, &foreign) && !foreign.Followed && foreign.URLs > 0:
		return "--foreign fetches it from the urls in its manifest; 'layerctl inspect' shows them"
	case errors.Is(err, layerctl.ErrOffline):
		return "pull it once with --keep-blobs while there is a network"
	case errors.Is(err, platform.ErrNoMatch):
		return "--platform takes another one; 'layerctl resolve --explain' tells why not"
	case errors.Is(err, rootfs.ErrDirectory):
		return "'layerctl ls' lists what is in a directory"
	case errors.Is(err, rootfs.ErrNoPath):
		return "'layerctl ls' lists what is there"
	case errors.Is(err, layerctl.ErrNotEmpty):
		return "--force unpacks over what is in it; a directory that is not there yet appears whole or not at all"
	default:
		return ""
	}
}

// mountHint is for mounts.
func mountHint(err error) string {
	var option *overlaymount.OptionError
	var temporary *overlaymount.TemporaryUpperError
	var nothing *overlaymount.NotMountedError
	var used *overlaymount.InUseError
	var point *overlaymount.NoMountPointError
	switch {
	case errors.As(err, &option):
		return optionHint(option.Option)
	case errors.As(err, &temporary):
		return "name one with --upper and --work"
	case errors.As(err, &point):
		return "'mkdir -p TARGET' makes it"
	case errors.As(err, &used):
		return "'fuser -vm TARGET' names who uses it; --lazy lets it end when its last user does"
	case errors.As(err, &nothing):
		return "'layerctl mounts' lists what is mounted, --store names another store; umount(8) is for all else"
	default:
		return ""
	}
}

// optionHint names the flag for what an option of mount(2) would do.
func optionHint(option string) string {
	switch key, _, _ := strings.Cut(option, "="); key {
	case "upperdir", "workdir":
		return "--upper and --work name these directories"
	case "volatile", "fsync":
		return "--volatile says that"
	case "rw", "ro":
		return "a mount is read-only, and with --rw writable"
	case "X-mount.idmap":
		return "--idmap says that"
	default:
		return ""
	}
}

// damageHint is for damaged bytes. It depends on where they are how they can be
// replaced.
func damageHint(err error) string {
	var mismatch *registry.MismatchError
	var index *cache.IndexError
	switch {
	case errors.As(err, &index):
		return "remove that directory: what the cache held is fetched again when it is needed"
	case errors.Is(err, cache.ErrMiss) && !errors.Is(err, layerctl.ErrOffline):
		return "the damaged blob is no longer in the cache; the next try fetches it"
	case errors.Is(err, overlaystore.ErrDamaged) && !errors.Is(err, registry.ErrMismatch) && !errors.Is(err, unpack.ErrMismatch):
		return "'layerctl verify --repair' fetches what is damaged again"
	case errors.As(err, &mismatch) && filepath.IsAbs(mismatch.Host):
		return "nothing of it was kept; the file is damaged: copy it again from where it came"
	case errors.Is(err, errkind.Mismatch):
		return "nothing of it was kept; pull again, and if that fails too it is damaged where it comes from"
	default:
		return ""
	}
}

// notFoundHint is for names that the store or a registry does not know.
func notFoundHint(err error) string {
	var status *registry.StatusError
	switch {
	case errors.Is(err, overlaystore.ErrNotFound):
		return "'layerctl images' lists what the store has, 'layerctl pull' brings more"
	case errors.As(err, &status) && strings.Contains(status.URL, "/blobs/"):
		return "the registry has the image, and not all that it consists of: push it there again, or take another registry"
	case errors.As(err, &status) && strings.Contains(status.URL, "/manifests/sha"):
		return "the registry answers, and has nothing of that digest: is the name right, or was it removed there?"
	case errors.As(err, &status):
		return "the registry answers, and has no such image: are the name and the tag spelled right?"
	default:
		return ""
	}
}

// filesystemHint is for errors of the operating system.
func filesystemHint(err error) string {
	var output *fs.PathError
	var socket *net.OpError
	switch {
	case errors.As(err, &socket) && socket.Op == "listen" && errors.Is(err, syscall.EACCES):
		return "an ordinary user may not listen on a port below 1024: --listen HOST:5050 takes another"
	case errors.As(err, &output) && output.Path == os.Stdout.Name():
		return "" // nothing is known of the file behind standard output
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "'layerctl prune' makes room in the store, --store DIR has it elsewhere, --reserve keeps less free"
	case errors.Is(err, syscall.EROFS):
		return "that filesystem is read-only: --store DIR names another place for what is written"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return permissionHint()
	default:
		return ""
	}
}
