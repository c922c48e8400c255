// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/layerctl/layerctl/internal/quoting"
	"github.com/layerctl/layerctl/overlaystore"
)

// maxOptions is how many bytes of options mount(2) takes. The kernel cuts longer ones
// off without an error, and mounts with the rest.
const maxOptions = 4095

// Source returns the mount's source, such as "layerctl:alpine:3.20@0123456789ab".
func (m *Mount) Source() string { return m.source }

// Options returns the options for mount(2) and mount(8), without the flags that Flags
// returns. For fuse-overlayfs it returns all options. The lower directories in them
// are relative to LinkDir.
func (m *Mount) Options() (string, error) {
	if m.fuse() {
		return m.fuseOptions()
	}
	if m.indexed && !m.writable() {
		return strings.Join(m.indexOptions(), ","), nil
	}
	o := strings.Join(append([]string{"lowerdir=" + strings.Join(m.names, ":")}, m.otherOptions()...), ",")
	return o, fits(strings.Join(m.Flags(), ",") + "," + o)
}

// fits refuses options that mount(2) would cut off.
func fits(options string) error {
	if len(options) > maxOptions {
		return fmt.Errorf("%w: the mount options take %d bytes and mount(2) at most %d", overlaystore.ErrUnsupported, len(options), maxOptions)
	}
	return nil
}

// otherOptions returns the options except the lower directories.
func (m *Mount) otherOptions() []string {
	var o []string
	if m.writable() {
		upper, work := m.upperAndWork()
		o = append(o, "upperdir="+quoting.Option(upper), "workdir="+quoting.Option(work))
	}
	return append(o, m.overlayOptions()...)
}

// upperAndWork returns the directories, those in the store relative to l/: such paths
// are short, and need no quoting whatever the store's path is.
func (m *Mount) upperAndWork() (upper, work string) {
	if m.pair == "" || len(m.idmap) > 0 {
		return m.upper, m.work
	}
	dir := "../" + writableDir + "/" + m.pair
	return dir + "/upper", dir + "/work"
}

// Flags returns the mount's flags for mount(8): "ro" or "rw", then flags such as
// "nosuid", then the kind of propagation.
func (m *Mount) Flags() []string {
	flags := []string{"ro"}
	if m.writable() {
		flags[0] = "rw"
	}
	flags = append(flags, m.chosen.flags...)
	if m.chosen.propagation != "" {
		flags = append(flags, m.chosen.propagation)
	}
	return flags
}

// Upper returns the absolute path of the upper directory of a writable mount, else "".
func (m *Mount) Upper() string { return m.upper }

// Work returns the absolute path of the work directory of a writable mount, else "".
func (m *Mount) Work() string { return m.work }

// LinkDir returns the absolute path of the directory that the paths in Options are
// relative to.
func (m *Mount) LinkDir() string { return m.store.LinkDir() }

// Lower returns the absolute paths of the lower directories, the topmost first. In a
// store of tars they are the paths of the index and of its devices.
func (m *Mount) Lower() []string {
	paths := make([]string, len(m.paths))
	for i, p := range m.paths {
		paths[i] = filepath.Join(m.store.Path(), p)
	}
	return paths
}

// Line returns one shell command that mounts the image at target, for every POSIX
// shell, and for the mount of util-linux and of busybox. It does not change the
// caller's working directory. With an id map it needs util-linux 2.39; with an older
// mount it fails and says so.
//
// The command sets LIBMOUNT_FORCE_MOUNT2, because util-linux 2.39 and later otherwise
// use fsconfig(2), whose options have 255 bytes at most
// (https://github.com/util-linux/util-linux/issues/2287).
func (m *Mount) Line(target string) (string, error) {
	abs, err := filepath.Abs(target)
	if err == nil {
		err = m.checkPrintable()
	}
	if err != nil {
		return "", fmt.Errorf("print the mount line: %w", err)
	}
	if m.erofsFUSE() {
		return m.erofsFUSELine(abs)
	}
	if m.indexed {
		return m.indexLine(abs)
	}
	options, err := m.Options()
	if err != nil {
		return "", fmt.Errorf("print the mount line: %w", err)
	}
	if m.fuse() {
		return fmt.Sprintf("(cd %s && %s -o %s %s)", quoting.Shell(m.LinkDir()), FUSEDriver, quoting.Shell(options), quoting.Shell(abs)), nil
	}
	options = strings.Join(m.Flags(), ",") + "," + options
	mount := fmt.Sprintf("LIBMOUNT_FORCE_MOUNT2=always mount -t overlay %s -o %s %s", quoting.Shell(m.source), quoting.Shell(options), quoting.Shell(abs))
	if len(m.idmap) == 0 {
		return fmt.Sprintf("(cd %s && %s)", quoting.Shell(m.LinkDir()), mount), nil
	}
	// The store's id-mapped mount is needed only until the overlay has its layers. An
	// older mount(8) ignores X-mount.idmap without an error.
	return fmt.Sprintf("(mount --version | grep -q idmapping || { echo 'mount: an id map needs util-linux 2.39' >&2; exit 1; }; "+
		"d=$(mktemp -d) && mount --bind -o %s %s \"$d\" && { (cd \"$d/%s\" && %s); r=$?; umount -l \"$d\"; rmdir \"$d\"; exit $r; })",
		quoting.Shell(m.idmapOption()), quoting.Shell(m.store.Path()), filepath.Base(m.LinkDir()), mount), nil
}

// idmapOption returns the id map as an option of mount(8).
func (m *Mount) idmapOption() string {
	var parts []string
	for _, i := range m.idmap {
		parts = append(parts, "b:"+i.String())
	}
	return "X-mount.idmap=" + strings.Join(parts, " ")
}

// checkPrintable refuses paths that cannot be quoted for mount(8).
func (m *Mount) checkPrintable() error {
	for _, dir := range []string{m.upper, m.work} {
		if m.pair == "" && strings.Contains(dir, `"`) {
			return fmt.Errorf("%w: %q has a quotation mark, for which mount(8) has no form; mount it from here, or use another directory", overlaystore.ErrUnsupported, dir)
		}
	}
	return nil
}
