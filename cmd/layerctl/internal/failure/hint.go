// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/host"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/rootfs"
	"github.com/layerctl/layerctl/unpack"
)

// hinted is an error that knows what its reader can do about it.
type hinted interface{ Hint() string }

// Hint is what the reader of an error can do about it, or "".
func Hint(err error) string {
	var h hinted
	if errors.As(err, &h) {
		return h.Hint()
	}
	return defaultHint(err)
}

// defaultHint says what usually helps with errors of a kind.
func defaultHint(err error) string {
	var limit *unpack.LimitError
	var documents *manifest.BudgetError
	var plain *registry.PlainHTTPError
	var foreign *registry.ForeignError
	var option *overlaymount.OptionError
	var temporary *overlaymount.TemporaryUpperError
	switch {
	case errors.Is(err, rootfs.ErrLimit), errors.As(err, &limit) && limit.Limit == "recorded":
		return "--max-memory gives the paths of an image more, somewhat less than half of what it says"
	case errors.As(err, &documents):
		return "--max-memory gives manifests and configs more, a twelfth of what it says"
	case errors.As(err, &limit) && limit.Limit == "window":
		return host.WindowHint(limit.Asked)
	case errors.As(err, &foreign) && !foreign.Followed && foreign.URLs > 0:
		return "--foreign fetches it from the urls in its manifest; 'layerctl inspect' shows them"
	case errors.As(err, &plain):
		return "if that is meant: --plain-http " + plain.Host
	case errors.As(err, &option):
		return optionHint(option.Option)
	case errors.As(err, &temporary):
		return "name one with --upper and --work"
	case errors.Is(err, registry.ErrDenied):
		return "is it spelled right, and are there credentials for that registry? 'layerctl login HOST' keeps some"
	case errors.Is(err, layerctl.ErrOffline):
		return "pull it once with --keep-blobs while there is a network"
	case errors.Is(err, platform.ErrNoMatch):
		return "--platform takes another one; 'layerctl resolve --explain' tells why not"
	case errors.Is(err, rootfs.ErrDirectory):
		return "'layerctl ls' lists what is in a directory"
	case errors.Is(err, overlaystore.ErrNotFound):
		return "'layerctl images' lists what the store has, 'layerctl pull' brings more"
	case errors.Is(err, layerctl.ErrNotEmpty):
		return "--force unpacks over what is in it; a directory that is not there yet appears whole or not at all"
	case errors.Is(err, syscall.ENOSPC):
		return "make room, or use another store with --store"
	case errors.Is(err, cache.ErrMiss) && !errors.Is(err, layerctl.ErrOffline):
		return "the damaged blob is no longer in the cache; the next try fetches it"
	case errors.Is(err, overlaystore.ErrDamaged) && !errors.Is(err, registry.ErrMismatch) && !errors.Is(err, unpack.ErrMismatch):
		return "'layerctl verify --repair' fetches what is damaged again"
	case errors.Is(err, errkind.Mismatch):
		return "nothing of it was kept; pull again, and if that fails too it is damaged where it comes from"
	case errors.Is(err, registry.ErrNetwork):
		return networkHint(err)
	default:
		return ""
	}
}

// optionHint says which flag does what an option of mount(2) would.
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

// networkHint tells a network that is not there from a name or an answer that is
// wrong: those do not pass.
func networkHint(err error) string {
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var wire net.Error
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return "is the registry's name spelled right? the DNS of this machine does not know it"
	case errors.As(err, &certificate):
		return "this machine does not trust the registry's certificate: hosts.toml names the authority of one's own registry as ca"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: is the port right, and does the registry run?"
	case errors.As(err, &wire), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "nothing of it was kept; try again when the network is there"
	default:
		return "nothing of it was kept; 'layerctl ping HOST' tells what the registry, or what stands before it, speaks"
	}
}
