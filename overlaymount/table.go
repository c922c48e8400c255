// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/quoting"
	"github.com/layerctl/layerctl/overlaystore"
)

// Spec is a mount in JSON: containerd's mount, and with a destination that of the OCI
// runtime-spec.
type Spec struct {
	Type    string   `json:"type"`
	Source  string   `json:"source"`
	Options []string `json:"options"`
}

// Spec returns the mount with absolute paths, for programs that call mount(2) and
// shorten long options themselves, as containerd does.
func (m *Mount) Spec() (Spec, error) {
	if len(m.idmap) > 0 {
		return Spec{}, m.noIDMap("a list of mounts")
	}
	if m.byProgram() {
		return Spec{}, m.noFUSE("a list of mounts")
	}
	if m.indexed && m.writable() {
		return Spec{}, fmt.Errorf("%w: a list of mounts cannot say a writable mount of layers that are tars: it is two; print the line for sh, or mount by layerctl", overlaystore.ErrUnsupported)
	}
	if m.indexed {
		return Spec{mounts.EROFSType, m.source, append(m.Flags(), m.indexOptions()...)}, nil
	}
	lower := make([]string, len(m.names))
	for i, name := range m.names {
		lower[i] = quoting.Lower(filepath.Join(m.LinkDir(), name))
	}
	o := append(m.Flags(), "lowerdir="+strings.Join(lower, ":"))
	return Spec{"overlay", m.source, append(o, m.absolute(m.otherOptions())...)}, nil
}

// absolute replaces the relative paths of upper and work by absolute ones.
func (m *Mount) absolute(options []string) []string {
	for i, o := range options {
		switch key, _, _ := strings.Cut(o, "="); key {
		case "upperdir":
			options[i] = key + "=" + quoting.Option(m.upper)
		case "workdir":
			options[i] = key + "=" + quoting.Option(m.work)
		}
	}
	return options
}

func (m *Mount) noFUSE(what string) error {
	return fmt.Errorf("%w: %s is for what the kernel mounts, and not for %s; print the line for sh, or mount by layerctl", overlaystore.ErrUnsupported, what, m.driver)
}

func (m *Mount) noIDMap(what string) error {
	return fmt.Errorf("%w: %s cannot say an id map for layers; print the line for sh, or mount by layerctl", overlaystore.ErrUnsupported, what)
}

// checkLasting refuses mounts that a form for every boot cannot describe.
func (m *Mount) checkLasting(what string) error {
	switch {
	case m.byProgram():
		return m.noFUSE(what)
	case len(m.idmap) > 0:
		return m.noIDMap(what)
	case m.pair != "":
		return &TemporaryUpperError{For: what}
	}
	return m.checkPrintable()
}

// TemporaryUpperError says that a form for every boot was asked for, and that the
// mount's upper directory is in the store, where it is removed with the mount.
type TemporaryUpperError struct {
	For string // the form, in words
}

func (e *TemporaryUpperError) Error() string {
	return e.For + " is for every boot, and an upper dir in the store goes with its mount"
}

// Unwrap returns [overlaystore.ErrUnsupported].
func (e *TemporaryUpperError) Unwrap() error { return overlaystore.ErrUnsupported }
