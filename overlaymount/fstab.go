// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/quoting"
	"github.com/layerctl/layerctl/overlaystore"
)

// HelperType is the filesystem type for which mount(8) runs the program
// /sbin/mount.layerctl, which is layerctl under that name.
const HelperType = "layerctl"

// FSTabOptions say how to write a line of fstab. The zero value is right for machines
// without systemd.
type FSTabOptions struct {
	// Systemd adds to the line which filesystems must be mounted before. Without it
	// the order of the lines decides.
	Systemd bool
	// Helper always writes a line of [HelperType]. Without it such a line is written
	// only if a line for overlayfs is not possible.
	Helper bool
}

// FSTabLine is a line of fstab(5).
type FSTabLine struct {
	Text string
	// Helper is nil for a line that any mount(8) can mount. Otherwise the line is of
	// [HelperType], and Helper says why.
	Helper error
}

// FSTab returns a line of fstab(5) that mounts the image at target at boot, once the
// store's filesystem is mounted. A failure does not stop the boot.
//
// The line has absolute paths, so the options are long: about 120 layers fit into the
// 4095 bytes of mount(2). More than 255 bytes need a kernel with lowerdir+ (Linux
// 6.8), which the mounts of util-linux and busybox pass on. Busybox reads only the
// first 511 bytes of a line, without an error. The option by which systemd learns what
// must be mounted before is an option of the filesystem to busybox.
//
// If such a line is not possible, the line has the type layerctl and a reference in
// place of the layers. At boot it mounts the image that the reference names then. It
// needs mount.layerctl.
func (m *Mount) FSTab(target string, o FSTabOptions) (FSTabLine, error) {
	line, err := m.fstab(target, o)
	if err != nil {
		return FSTabLine{}, fmt.Errorf("print the fstab line: %w", err)
	}
	return line, nil
}

func (m *Mount) fstab(target string, o FSTabOptions) (FSTabLine, error) {
	if m.pair != "" {
		return FSTabLine{}, &TemporaryUpperError{For: "an fstab line"}
	}
	if m.byProgram() {
		return FSTabLine{}, m.noFUSE("an fstab line")
	}
	abs, err := filepath.Abs(target)
	if err != nil {
		return FSTabLine{}, err
	}
	line := FSTabLine{Helper: errAsked}
	if !o.Helper {
		line.Helper = m.fitsFSTab()
	}
	flags, first := m.Flags(), []string{"nofail"}
	if o.Systemd {
		if first, err = m.afterOthers(first); err != nil {
			return FSTabLine{}, err
		}
	}
	source, kind, options := m.source, "overlay", slices.Concat(flags, first, m.lowerOptions(m.LinkDir()), m.otherOptions())
	if line.Helper != nil {
		source, kind, options = m.ref, HelperType, slices.Concat(flags[:1], first, m.helperOptions(flags[1:]))
	}
	line.Text = strings.Join([]string{quoting.FSTabField(source), quoting.FSTabField(abs), kind, quoting.FSTabField(strings.Join(options, ",")), "0", "0"}, " ")
	return line, nil
}

// afterOthers adds options by which systemd mounts other filesystems before.
func (m *Mount) afterOthers(options []string) ([]string, error) {
	if strings.ContainsAny(m.store.Path()+m.upper, ",\"\n") {
		return nil, fmt.Errorf("%w: a path has a comma, a quotation mark or a line break, with which no line can say that its filesystem comes first; use the systemd unit", overlaystore.ErrUnsupported)
	}
	for _, dir := range m.needed() {
		options = append(options, "x-systemd.requires-mounts-for="+dir)
	}
	return options, nil
}

var errAsked = errors.New("it was asked for")

// fitsFSTab returns why a line for overlayfs is not possible, or nil.
func (m *Mount) fitsFSTab() error {
	dir := m.LinkDir()
	if m.indexed {
		return errTars
	}
	if len(m.idmap) > 0 {
		return m.noIDMap("a line of the type overlay")
	}
	if strings.ContainsAny(dir+m.upper+m.work, "\"\n") {
		return fmt.Errorf("%w: a path has a quotation mark or a line break, for which mount(8) has no form", overlaystore.ErrUnsupported)
	}
	lower := m.lowerOptions(dir)
	if err := fits(strings.Join(append(m.Flags(), append(lower, m.otherOptions()...)...), ",")); err != nil {
		return err
	}
	for _, o := range append(lower, m.otherOptions()...) {
		if _, value, _ := strings.Cut(o, "="); len(value) > maxFsconfig {
			return fmt.Errorf("%w: an option of %d bytes, and util-linux from 2.39 on hands over %d (a comma keeps layers in one option)", overlaystore.ErrUnsupported, len(value), maxFsconfig)
		}
	}
	if len(lower) > 1 && !takesLowerOneByOne() {
		return fmt.Errorf("%w: more than 255 bytes of layers take lowerdir+, which this kernel's overlay has not (Linux 6.8)", overlaystore.ErrUnsupported)
	}
	return nil
}

// takesLowerOneByOne reports whether the kernel has lowerdir+. It is true if this
// process may not find out.
func takesLowerOneByOne() bool {
	c, err := mounts.OpenContext("overlay")
	if err != nil {
		return true
	}
	defer c.Close()
	// A kernel that accepts any key is older than lowerdir+.
	return !c.TakesAnything() && c.Option("lowerdir+=/") == nil
}

// helperOptions returns the options for mount.layerctl. Flags such as nosuid are
// written as option=nosuid, because busybox does not pass flags on.
func (m *Mount) helperOptions(flags []string) []string {
	o := []string{"store=" + quoting.Percent(m.store.Path())}
	if m.platform != "" {
		o = append(o, "platform="+quoting.Percent(m.platform))
	}
	if m.writable() {
		o = append(o, "upper="+quoting.Percent(m.upper), "work="+quoting.Percent(m.work))
	}
	if m.volatile {
		o = append(o, "volatile")
	}
	for _, i := range m.idmap {
		o = append(o, "idmap="+i.String())
	}
	for _, flag := range flags {
		o = append(o, "option="+flag)
	}
	for _, name := range m.chosen.unguarded {
		o = append(o, "option="+name)
	}
	return append(o, m.chosen.overlay...)
}

// needed returns the directories whose filesystems must be mounted before.
func (m *Mount) needed() []string {
	if m.writable() && m.pair == "" {
		return []string{m.store.Path(), m.upper}
	}
	return []string{m.store.Path()}
}

// maxFsconfig is how many bytes the value of an option for fsconfig(2) can have.
const maxFsconfig = 255

// lowerOptions returns options with the absolute paths of the lower directories: one
// option if it is short enough for fsconfig(2) or if a comma must be escaped, else one
// for each directory.
func (m *Mount) lowerOptions(dir string) []string {
	lower, each := make([]string, len(m.names)), make([]string, len(m.names))
	for i, name := range m.names {
		path := filepath.Join(dir, name)
		lower[i], each[i] = quoting.Lower(path), "lowerdir+="+path
	}
	one := strings.Join(lower, ":")
	if len(one) <= maxFsconfig || strings.Contains(dir, ",") {
		return []string{"lowerdir=" + one}
	}
	return each
}
