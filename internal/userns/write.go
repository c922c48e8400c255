// SPDX-License-Identifier: Apache-2.0

package userns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// write gives the user namespace of the process pid its ids.
func (m Mapping) write(ctx context.Context, pid int) error {
	if total(m.UIDs) == 1 && total(m.GIDs) == 1 {
		return m.writeCaller(pid)
	}
	if err := newIDMap(ctx, "newuidmap", pid, m.UIDs); err != nil {
		return err
	}
	return newIDMap(ctx, "newgidmap", pid, m.GIDs)
}

// writeCaller maps the caller without help. A process that maps its own
// group only must give up setgroups(2) before: with it, it could drop groups that
// deny it access to files.
func (m Mapping) writeCaller(pid int) error {
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	for _, f := range []struct{ name, content string }{
		{"setgroups", "deny"},
		{"uid_map", m.UIDs[0].String()},
		{"gid_map", m.GIDs[0].String()},
	} {
		// Kernels before 3.19 have no setgroups here.
		err := os.WriteFile(dir+f.name, []byte(f.content), 0)
		if err != nil && !(f.name == "setgroups" && errors.Is(err, fs.ErrNotExist)) {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return nil
}

// newIDMap runs newuidmap(1) or newgidmap(1), which may write what the caller
// may not.
func newIDMap(ctx context.Context, program string, pid int, ranges []Range) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return fmt.Errorf("%w: %w: it is in the package uidmap or shadow-utils", ErrUnavailable, err)
	}
	args := []string{strconv.Itoa(pid)}
	for _, r := range ranges {
		args = append(args, strings.Fields(r.String())...)
	}
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s: %w: %s", ErrUnavailable, path, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// String is the range as a line of uid_map has it.
func (r Range) String() string { return fmt.Sprintf("%d %d %d", r.Inside, r.Outside, r.Size) }
