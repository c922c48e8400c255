// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Spec is a mount as runtimes write it down: containerd's mount, and with a
// destination that of the OCI runtime-spec.
type Spec struct {
	Type    string   `json:"type"`
	Source  string   `json:"source"`
	Options []string `json:"options"`
}

// Spec describes the mount with absolute paths, for programs that call
// mount(2) and shorten long options themselves, as containerd does.
func (m *Mount) Spec() (Spec, error) {
	if len(m.idmap) > 0 {
		return Spec{}, m.noIDMap("a list of mounts")
	}
	lower := make([]string, len(m.names))
	for i, name := range m.names {
		lower[i] = escapeLower(filepath.Join(m.LinkDir(), name))
	}
	o := append(m.Flags(), "lowerdir="+strings.Join(lower, ":"))
	return Spec{"overlay", m.source, append(o, m.absolute(m.otherOptions())...)}, nil
}

// absolute replaces the upper and work of a pair, which are relative.
func (m *Mount) absolute(options []string) []string {
	for i, o := range options {
		switch key, _, _ := strings.Cut(o, "="); key {
		case "upperdir":
			options[i] = key + "=" + escapeOption(m.upper)
		case "workdir":
			options[i] = key + "=" + escapeOption(m.work)
		}
	}
	return options
}

func (m *Mount) noIDMap(what string) error {
	return fmt.Errorf("%w: %s cannot say an id map for layers; print the line for sh, or mount by layerctl", ErrUnsupported, what)
}

// FSTab is a line of fstab(5) that mounts the image at target at boot, once
// the store's filesystem is there; a failure does not stop the boot.
//
// There is no working directory to be relative to, so that the options are
// longer: about 120 layers go into the 4095 bytes of mount(2). Above 255 bytes
// it takes a kernel with lowerdir+ (Linux 6.8), which the mounts of util-linux
// and busybox pass on. Busybox reads no more than the first 1023 bytes of a
// line, and says nothing. With systemd the line says what must be mounted
// before, which busybox takes for an option of the filesystem; without, the
// order of the lines does.
func (m *Mount) FSTab(target string, systemd bool) (string, error) {
	line, err := m.fstab(target, systemd)
	if err != nil {
		return "", fmt.Errorf("print the fstab line: %w", err)
	}
	return line, nil
}

func (m *Mount) fstab(target string, systemd bool) (string, error) {
	if err := m.checkLasting("an fstab line"); err != nil {
		return "", err
	}
	abs, err := filepath.Abs(target)
	if err != nil {
		return "", err
	}
	dir := m.LinkDir()
	if strings.ContainsAny(dir+m.upper+m.work, "\"\n") {
		return "", fmt.Errorf("%w: a path has a quotation mark or a line break, for which fstab has no form", ErrUnsupported)
	}
	options := append(m.lowerOptions(dir), m.otherOptions()...)
	if err := fits(strings.Join(append(m.Flags(), options...), ",")); err != nil {
		return "", fmt.Errorf("%w: an image of so many layers mounts at boot by the systemd unit, or by 'layerctl mount'", err)
	}
	all := append(m.Flags(), "nofail")
	if systemd {
		// The kernel never sees it, so that nothing in it can be escaped.
		if strings.Contains(m.store.path+m.upper, ",") {
			return "", fmt.Errorf("%w: a path has a comma, with which no line can say that its filesystem comes first; use the systemd unit", ErrUnsupported)
		}
		for _, dir := range m.needed() {
			all = append(all, "x-systemd.requires-mounts-for="+dir)
		}
	}
	all = append(all, options...)
	return strings.Join([]string{fstabField(m.source), fstabField(abs), "overlay", fstabField(strings.Join(all, ",")), "0", "0"}, " "), nil
}

// needed are the directories whose filesystems must be there before the mount.
func (m *Mount) needed() []string {
	if m.writable() && m.pair == "" {
		return []string{m.store.path, m.upper}
	}
	return []string{m.store.path}
}

// lowerOptions are the lower dirs by absolute paths, in the form that most
// mounts take: one option while that is short (fsconfig(2) takes 255 bytes),
// or where a comma must be escaped.
func (m *Mount) lowerOptions(dir string) []string {
	lower, each := make([]string, len(m.names)), make([]string, len(m.names))
	for i, name := range m.names {
		path := filepath.Join(dir, name)
		lower[i], each[i] = escapeLower(path), "lowerdir+="+path
	}
	one := strings.Join(lower, ":")
	if len(one) <= 255 || strings.Contains(dir, ",") {
		return []string{"lowerdir=" + one}
	}
	return each
}

// fstabField escapes a field as getmntent(3) undoes it.
func fstabField(s string) string {
	return strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace(s)
}

// checkLasting refuses to write down for every boot what ends with a mount.
func (m *Mount) checkLasting(what string) error {
	switch {
	case len(m.idmap) > 0:
		return m.noIDMap(what)
	case m.pair != "":
		return fmt.Errorf("%w: %s is for every boot, and an upper dir in the store goes with its mount; name one with --upper and --work", ErrUnsupported, what)
	}
	return m.checkPrintable()
}
