// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/erofsmount"
	"github.com/layerctl/layerctl/internal/fsat"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/probe"
	"github.com/layerctl/layerctl/internal/quoting"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// An image of a store of tars is one EROFS mount: its index, with the files of the
// layers as devices. m.paths has these files, the index first. A writable mount is an
// overlay over it.

// errTars says why an fstab line must be of [HelperType].
var errTars = fmt.Errorf("%w: the layers are tars, and no mount(8) before util-linux 2.42 hands files to EROFS as devices", overlaystore.ErrUnsupported)

// assembleIndex sets the paths of the index and its devices.
func (m *Mount) assembleIndex(img overlaystore.Image) error {
	ix, err := m.store.Index(img)
	if err != nil {
		return err
	}
	m.indexed = true
	m.paths = append([]string{ix.Path}, ix.Devices...)
	return nil
}

// sourceIndex sets the source of a read-only mount of an index to the index's file, by
// which the mount can be recognised.
func (m *Mount) sourceIndex() error {
	if !m.indexed || m.writable() {
		return nil
	}
	store, err := m.store.RealPath()
	m.source = filepath.Join(store, m.paths[0])
	return err
}

// checkIndex refuses options that a mount of an index does not have, and for those
// that only such a mount has.
func (m *Mount) checkIndex(o Options) error {
	switch {
	case !m.indexed && m.chosen.direct:
		return &OptionError{Option: directIO, Reason: "it is for layers that are tars, and the store keeps directories"}
	case !m.indexed:
		return nil
	case o.Driver == FUSEDriver:
		return fmt.Errorf("%w: fuse-overlayfs puts directories together, and the store keeps layers as tars", overlaystore.ErrUnsupported)
	case o.Writable:
		return nil
	}
	for _, option := range m.chosen.overlay {
		if key, _, _ := strings.Cut(option, "="); !slices.Contains(labels(), key) {
			return &OptionError{Option: option, Reason: "it is one of overlayfs's, and a read-only mount of layers that are tars is no overlay"}
		}
	}
	return nil
}

// openIndex mounts the index, with the id map, and attaches the mount nowhere.
func (m *Mount) openIndex(o erofsmount.Options) (*os.File, error) {
	o.Direct = m.chosen.direct
	root, err := erofsmount.Open(m.store.Dir(), m.paths[0], m.paths[1:], o)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, errors.Join(m.complete(), err)
	case o.Direct && (errors.Is(err, unix.EINVAL) || errors.Is(err, erofsmount.ErrUndirected)):
		return nil, &OptionError{Option: directIO, Reason: "it does not work with this kernel, or on the filesystem of the store", Err: err}
	case errors.Is(err, unix.EOPNOTSUPP) && m.store.Format().Verity:
		return nil, fmt.Errorf("%w: the store was made with fs-verity, and this kernel has none (CONFIG_FS_VERITY): %w", overlaystore.ErrUnsupported, err)
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENODEV):
		if why := probe.KernelTars(); why != nil {
			err = fmt.Errorf("%w; the program erofsfuse, which does without, is not on the PATH or not wanted", why)
		}
		return nil, err
	case errors.Is(err, unix.EINVAL):
		return nil, fmt.Errorf("%w: the kernel does not mount the index: %w (blocks of 512 bytes take Linux 6.4)", overlaystore.ErrUnsupported, err)
	case err != nil:
		return nil, err
	}
	if len(m.idmap) == 0 {
		return root, nil
	}
	if err := mapMount(root, m.idmap); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// mountIndex mounts the index at point, or an overlay over it.
func (m *Mount) mountIndex(point *os.File) error {
	o := erofsmount.Options{}
	if !m.writable() {
		o.Attributes, o.Options = m.flagBits().attr, m.chosen.overlay // only labels; see checkIndex
	}
	root, err := m.openIndex(o)
	if err != nil {
		return err
	}
	defer root.Close()
	if !m.writable() {
		return mounts.Attach(root, point)
	}
	if err = m.mountOver(point, root); errors.Is(err, errNotThisWay) {
		return fmt.Errorf("%w: a writable mount of layers that are tars takes Linux 6.13: %w", overlaystore.ErrUnsupported, err)
	}
	return err
}

// mountOver mounts a writable overlay over the directory lower.
func (m *Mount) mountOver(point, lower *os.File) error {
	return m.mountByContext(point, func(c *mounts.Context) error {
		if err := c.SetDir("lowerdir+", lower); err != nil {
			return errors.Join(errNotThisWay, err)
		}
		return m.setWritable(c)
	})
}

// openTop opens a directory with the attributes of the image's root.
func (m *Mount) openTop(ctx context.Context) (top *os.File, err error) {
	if !m.indexed {
		return fsat.OpenDir(m.store.Dir(), m.paths[0])
	}
	if m.erofsFUSE() {
		e, err := m.erofs(true)
		if err != nil {
			return nil, err
		}
		err = e.Within(ctx, probe.Prefix, func(root *os.File, _ string) (err error) {
			top, err = fsat.OpenDir(root, ".")
			return err
		})
		return top, err
	}
	root, err := m.openIndex(erofsmount.Options{})
	if err != nil {
		return nil, err
	}
	// root is opened with O_PATH only.
	defer root.Close()
	return fsat.OpenDir(root, ".")
}

// checkLower compares the lower directories that the kernel lists with the image's.
func (m *Mount) checkLower(lower []string) error {
	wrong := func(what string, got, want any) error {
		return fmt.Errorf("%w: the kernel mounted something else: %s is %v instead of %v", overlaystore.ErrUnsupported, what, got, want)
	}
	if m.indexed {
		want := 0
		if m.writable() {
			want = 1
		}
		if len(lower) != want {
			return wrong("the number of layers", len(lower), want)
		}
		return nil
	}
	if len(lower) != len(m.paths) {
		return wrong("the number of layers", len(lower), len(m.paths))
	}
	for i, dir := range lower {
		if dir != m.names[i] && !strings.HasSuffix(dir, "/"+m.names[i]) && !strings.HasSuffix(dir, "/"+m.paths[i]) {
			return wrong(fmt.Sprintf("layer %d from the top", i), dir, m.paths[i])
		}
	}
	return nil
}

// indexOptions returns the options of a read-only mount of an index.
func (m *Mount) indexOptions() []string {
	var o []string
	for _, d := range m.paths[1:] {
		o = append(o, "device="+filepath.Join(m.store.Path(), d))
	}
	if m.chosen.direct {
		o = append(o, directIO)
	}
	return append(o, m.chosen.overlay...)
}

// indexLine returns a shell command that mounts the index by loop devices, which end
// with the mount.
func (m *Mount) indexLine(target string) (string, error) {
	if len(m.idmap) > 0 {
		return "", m.noIDMap("a line for layers that are tars")
	}
	var b strings.Builder
	b.WriteString("(set -e; l=; trap 'test -z \"$l\" || losetup -d $l' EXIT; ")
	options, how := []string{}, "-r -f --show"
	if m.chosen.direct {
		how += " --direct-io=on"
	}
	for i, p := range m.paths {
		fmt.Fprintf(&b, "d%d=$(losetup %s %s); l=\"$l $d%d\"; ", i, how, quoting.Shell(filepath.Join(m.store.Path(), p)), i)
		if i > 0 {
			options = append(options, fmt.Sprintf("device=$d%d", i))
		}
	}
	if !m.writable() {
		options = append(m.Flags(), append(options, m.chosen.overlay...)...)
		fmt.Fprintf(&b, "mount -t erofs -o \"%s\" $d0 %s)", strings.Join(options, ","), quoting.Shell(target))
		return b.String(), nil
	}
	below := fmt.Sprintf(`mount -t erofs -o "%s" $d0 "$d"`, strings.Join(append([]string{"ro"}, options...), ","))
	end, err := m.overLine(below, target)
	return b.String() + end, err
}

// overLine returns the end of a shell command that mounts the index at "$d" by the
// command below, and a writable overlay over it, which stays. The directory is in the
// store for this moment, and by its path the overlay is known.
func (m *Mount) overLine(below, target string) (string, error) {
	store, err := m.store.RealPath()
	options := strings.Join(append(m.Flags(), m.absolute(m.otherOptions())...), ",")
	return fmt.Sprintf(`cd %s; d=$(mktemp -d "$PWD"/%sXXXXXX); p=%s${d##*/}; r=0; `+
		`{ %s && LIBMOUNT_FORCE_MOUNT2=always mount -t overlay %s -o "lowerdir=$p",%s %s; } || r=$?; umount -l "$d" || :; rmdir "$d" || :; exit $r)`,
		quoting.Shell(store), probe.Prefix, quoting.Shell(quoting.Lower(store)+"/"), below, quoting.Shell(m.source), quoting.Shell(options), quoting.Shell(target)), err
}

// showsTars reports whether the image has an index in its store.
func showsTars(s *overlaystore.Store, img overlaystore.Image) bool {
	return s.Format().Lower == layer.Tars && img.Fix != ""
}
