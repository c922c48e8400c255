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

// HelperType is the filesystem type that mount(8) leaves to the program
// /sbin/mount.layerctl, which is layerctl under that name.
const HelperType = "layerctl"

// FSTabOptions are how to write a line of fstab. The zero value is right where
// systemd does not run.
type FSTabOptions struct {
	// Systemd says in the line what must be mounted before; false leaves that
	// to the order of the lines.
	Systemd bool
	// Helper writes the form for mount.layerctl in any case; false only where
	// the form for overlayfs cannot be.
	Helper bool
}

// FSTabLine is a line of fstab(5).
type FSTabLine struct {
	Text string
	// Helper is nil for a line that every mount(8) takes by itself. Else the
	// line is of [HelperType], and this is why.
	Helper error
}

// FSTab is a line of fstab(5) that mounts the image at target at boot, once
// the store's filesystem is there; a failure does not stop the boot.
//
// There is no working directory to be relative to, so that the options are
// longer: about 120 layers go into the 4095 bytes of mount(2). Above 255 bytes
// it takes a kernel with lowerdir+ (Linux 6.8), which the mounts of util-linux
// and busybox pass on. Busybox reads no more than the first 511 bytes of a
// line, and says nothing. With systemd the line says what must be mounted
// before, which busybox takes for an option of the filesystem; without, the
// order of the lines does.
//
// Where that form cannot be, the line has the type layerctl, a reference in
// place of the layers, and mounts what the reference names at that time. It
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
		return FSTabLine{}, m.noPair("an fstab line")
	}
	if m.fuse() {
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

// afterOthers says to systemd what must be mounted before.
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

// fitsFSTab says why a line cannot be of overlayfs's own type.
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

// takesLowerOneByOne asks the kernel for lowerdir+. It says yes to a
// process that may not ask.
func takesLowerOneByOne() bool {
	c, err := mounts.OpenContext("overlay")
	if err != nil {
		return true
	}
	defer c.Close()
	// A kernel that takes any key is older than lowerdir+.
	return !c.TakesAnything() && c.Option("lowerdir+=/") == nil
}

// helperOptions are what mount.layerctl needs to know. Busybox keeps flags such
// as nosuid to itself, so that they go by another name.
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

// needed are the directories whose filesystems must be there before the mount.
func (m *Mount) needed() []string {
	if m.writable() && m.pair == "" {
		return []string{m.store.Path(), m.upper}
	}
	return []string{m.store.Path()}
}

// maxFsconfig is what fsconfig(2) takes for the value of an option.
const maxFsconfig = 255

// lowerOptions are the lower dirs by absolute paths, in the form that most
// mounts take: one option while that is short (fsconfig(2)),
// or where a comma must be escaped.
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
