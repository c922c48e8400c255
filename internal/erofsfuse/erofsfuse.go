// SPDX-License-Identifier: Apache-2.0

// Package erofsfuse mounts an EROFS index with the files that it points into by
// the program erofsfuse of erofs-utils, for whom the kernel mounts none: ordinary
// users, and kernels without EROFS or with one before Linux 6.4. It takes
// /dev/fuse, and the right to mount FUSE, which root of a user namespace has.
//
// Reading is slower than by the kernel, and each mount is a process.
package erofsfuse

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/internal/quoting"
)

// Program is what is looked for in $PATH.
const Program = mounts.EROFSFUSEProgram

// maxDevices is how many files an index may point into: the program keeps them in
// an array of so many, and writes past its end when it is given more
// (include/erofs/internal.h of erofs-utils 1.5 to 1.9, blobfd).
const maxDevices = 256

// oldest is the first version that reads blocks of 512 bytes; it knows the option
// --device as well (lib/super.c and fuse/main.c of erofs-utils).
const oldest = "1.7"

// Find says which version of the program is there, such as "1.8.6". It is an error
// where none is, or one that is too old.
func Find(ctx context.Context) (version string, err error) {
	if _, err := exec.LookPath(Program); err != nil {
		return "", err
	}
	// Versions differ in the exit code, and in where what comes.
	out, _ := exec.CommandContext(ctx, Program, "-V").CombinedOutput()
	found := regexp.MustCompile(`(?m)^(?:<I> )?(?:\S*/)?` + Program + ` v?((\d{1,4})\.(\d{1,4})[\w.+~-]{0,32})\s*$`).FindSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("the option -V of erofsfuse tells no version: %.200q", out)
	}
	major, _ := strconv.Atoi(string(found[2])) // digits
	minor, _ := strconv.Atoi(string(found[3]))
	if major < 1 || major == 1 && minor < 7 {
		return "", fmt.Errorf("erofsfuse is version %s, and the first that reads blocks of 512 bytes is %s", found[1], oldest)
	}
	return string(found[1]), nil
}

// Mount is what is to be mounted.
type Mount struct {
	// Dir is the absolute path, without symbolic links, of the directory below which
	// the files are.
	Dir string
	// Index and Devices are paths below Dir, in the order in which the index has
	// them. They begin with a name, and not with a dash.
	Index   string
	Devices []string
	// Flags are those of the mount by their names in mount(8), such as "noexec".
	// Without "suid" and "dev" it has nosuid and nodev.
	Flags []string
}

// Source is what the list of mounts shows: the path of the index.
func (m Mount) Source() string { return filepath.Join(m.Dir, m.Index) }

// Args are the program's arguments for a mount at target, an absolute path, from
// the working directory Dir.
//
// In the list of options a backslash escapes a comma (libfuse's fuse_opt.c); other
// paths stand in arguments of their own.
func (m Mount) Args(target string) ([]string, error) {
	if len(m.Devices) > maxDevices {
		return nil, fmt.Errorf("the image has %d layers, and erofsfuse takes %d at most", len(m.Devices), maxDevices)
	}
	for _, flag := range []string{"nodiratime", "nosymfollow"} {
		if slices.Contains(m.Flags, flag) {
			return nil, fmt.Errorf("erofsfuse has no mount flag %s", flag)
		}
	}
	options := strings.Join(append([]string{"ro"}, m.Flags...), ",") + ",subtype=" + Program + ",fsname=" + quoting.Option(m.Source())
	args := []string{"-o", options, "--dbglevel=0"} // errors alone
	for _, device := range m.Devices {
		args = append(args, "--device="+device)
	}
	return append(args, m.Index, target), nil
}

// sharing lets everybody in the user namespace reach the mount, and has the kernel
// check modes and owners. Where the caller is alone there, with one id, nobody is to
// be kept out: he reads what other owners have closed as well.
const sharing = "allow_other,default_permissions"

// shared reports whether the user namespace has more ids than one (user_namespaces(7),
// uid_map). Line does the same by sed(1).
func shared() bool {
	ids, _ := os.ReadFile("/proc/self/uid_map")
	n := strings.Fields(string(ids)) // of each line inside, outside, how many
	return len(n) != 3 || n[2] != "1"
}

// Line is a shell command for the working directory Dir, with a target that is
// quoted already. It fails where nothing is mounted: the program ends with 0 then.
func (m Mount) Line(target string) (string, error) {
	args, err := m.Args("")
	if err != nil {
		return "", err
	}
	for i, arg := range args {
		args[i] = quoting.Shell(arg)
	}
	args[len(args)-1] = target
	args[1] += ` $([ "$(sed 's/.* //' /proc/self/uid_map)" = 1 ] || echo -o ` + sharing + ")"
	return Program + " " + strings.Join(args, " ") + " >/dev/null && mountpoint -q " + target, nil
}

// At mounts m at target, an absolute path without symbolic links. The program goes
// on in the background until it is unmounted. After an error, and when ctx ends,
// nothing of it is mounted.
func (m Mount) At(ctx context.Context, target string) error {
	args, err := m.Args(target)
	if err != nil {
		return err
	}
	if shared() {
		args[1] += "," + sharing
	}
	before, _, err := mounts.At(ctx, target)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, Program, args...)
	cmd.Dir = m.Dir
	out, err := cmd.CombinedOutput()
	// One that is killed may have mounted already.
	e, ok, atErr := mounts.At(context.WithoutCancel(ctx), target)
	mounted := ok && e.ID != before.ID && e.Type == mounts.EROFSFUSEType && e.Source == m.Source()
	if err == nil {
		err = errors.Join(ctx.Err(), atErr)
	}
	switch {
	case err == nil && mounted:
		return nil
	case err == nil:
		err = errors.New("it mounted nothing")
	case mounted:
		err = errors.Join(err, mounts.Detach(target))
	}
	const most = 500 // it is for a line of error
	return fmt.Errorf("erofsfuse (it takes /dev/fuse, and the right to open it): %w: %.*q", err, most, strings.TrimSpace(string(out)))
}

// Within mounts m at a directory that it makes in Dir, whose name begins with prefix,
// and calls use with that mount's root, open, and its path. Then nobody sees the mount
// any more: it lives for as long as something in it is open, or an overlay over it.
func (m Mount) Within(ctx context.Context, prefix string, use func(root *os.File, path string) error) (err error) {
	path, err := os.MkdirTemp(m.Dir, prefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(path)) }()
	if err := m.At(ctx, path); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mounts.Detach(path)) }()
	root, err := os.Open(path)
	if err != nil {
		return err
	}
	defer root.Close()
	return use(root, path)
}
