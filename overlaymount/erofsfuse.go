// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/erofsfuse"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/probe"
	"github.com/layerctl/layerctl/internal/quoting"
	"github.com/layerctl/layerctl/overlaystore"
)

// indexDriver takes erofsfuse where the kernel mounts no index for the caller, and
// the program is there. Where it is not the kernel says why.
func indexDriver() Driver {
	if _, err := exec.LookPath(erofsfuse.Program); err != nil || probe.KernelTars() == nil {
		return KernelDriver
	}
	return EROFSFUSEDriver
}

// checkEROFSFUSE refuses what erofsfuse does not have.
func (m *Mount) checkEROFSFUSE(ctx context.Context, writable bool) error {
	lacks := func(what string) error {
		return fmt.Errorf("%w: erofsfuse has no %s; the kernel's EROFS has", overlaystore.ErrUnsupported, what)
	}
	switch {
	case !m.indexed:
		return fmt.Errorf("%w: erofsfuse mounts layers that are tars, and the store keeps directories", overlaystore.ErrUnsupported)
	case len(m.idmap) > 0:
		return lacks("id-mapped layers")
	case m.chosen.direct:
		return lacks("option " + directIO)
	case len(m.chosen.overlay) > 0 && !writable:
		return lacks("option " + m.chosen.overlay[0])
	}
	_, err := erofsfuse.Find(ctx)
	e, dirErr := m.erofs(writable)
	_, argsErr := e.Args("")
	if err = errors.Join(err, dirErr, argsErr); err != nil {
		return fmt.Errorf("%w: %w", overlaystore.ErrUnsupported, err)
	}
	return nil
}

// erofs is the mount of the index. The one below a writable overlay needs no flags.
func (m *Mount) erofs(writable bool) (erofsfuse.Mount, error) {
	dir, err := m.store.RealPath()
	e := erofsfuse.Mount{Dir: dir, Index: m.paths[0], Devices: m.paths[1:]}
	if !writable {
		e.Flags = slices.Concat(m.chosen.flags, m.chosen.unguarded)
	}
	return e, err
}

// mountByEROFSFUSE mounts the index at point, whose path is target, or an overlay
// over it.
func (m *Mount) mountByEROFSFUSE(ctx context.Context, point *os.File, target string) error {
	e, err := m.erofs(m.writable())
	if err = errors.Join(err, m.complete()); err != nil {
		return err
	}
	if !m.writable() {
		return e.At(ctx, target)
	}
	return e.Within(ctx, probe.Prefix, func(root *os.File, path string) error {
		if err := m.mountOver(point, root); !errors.Is(err, errNotThisWay) {
			return err
		}
		options := strings.Join(append([]string{"lowerdir=" + quoting.Lower(path)}, m.absolute(m.otherOptions())...), ",")
		if err := fits(options); err != nil {
			return err
		}
		return unix.Mount(m.source, mounts.DirPath(point), mounts.OverlayType, m.flagBits().ms, options)
	})
}

// erofsFUSELine is a shell command that mounts the index.
func (m *Mount) erofsFUSELine(target string) (string, error) {
	e, err := m.erofs(m.writable())
	if err != nil {
		return "", err
	}
	if !m.writable() {
		line, err := e.Line(quoting.Shell(target))
		return fmt.Sprintf("(cd %s && %s)", quoting.Shell(e.Dir), line), err
	}
	below, err := e.Line(`"$d"`)
	if err != nil {
		return "", err
	}
	line, err := m.overLine(below, target)
	return "(set -e; " + line, err
}
