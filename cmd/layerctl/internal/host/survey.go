// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strings"

	"github.com/layerctl/layerctl/overlaymount"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/erofsfuse"
	"github.com/layerctl/layerctl/internal/userns"
)

// Rootless checks what a user without root needs.
func Rootless(ctx context.Context) []overlaymount.Check {
	list := []overlaymount.Check{{Name: "user namespaces", OK: true, Value: "allowed", Hint: "sysctl -w user.max_user_namespaces=15000"}}
	for file, bad := range map[string]string{
		"/proc/sys/user/max_user_namespaces":                     "0",
		"/proc/sys/kernel/unprivileged_userns_clone":             "0",
		"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
	} {
		raw, err := os.ReadFile(file)
		if err == nil && strings.TrimSpace(string(raw)) == bad {
			list[0].OK, list[0].Value, list[0].Hint = false, file+" is "+bad, "an administrator can change it with sysctl"
		}
	}
	for _, name := range []string{"newuidmap", "newgidmap"} {
		path, err := exec.LookPath(name)
		check := overlaymount.Check{Name: name, OK: err == nil, Value: path, Hint: "install the package uidmap (shadow-utils)"}
		list = append(list, check)
	}
	path, err := exec.LookPath(string(overlaymount.FUSEDriver))
	list = append(list, overlaymount.Check{Name: "fuse-overlayfs", OK: err == nil, Value: path, Hint: "only needed where the kernel mounts no overlayfs in user namespaces: before Linux 5.11"})
	version, err := erofsfuse.Find(ctx)
	if err != nil {
		version = err.Error()
	}
	list = append(list, overlaymount.Check{Name: erofsfuse.Program, OK: err == nil, Value: version, Hint: "only needed for layers as tars (--lower tar) where the kernel mounts no EROFS: for ordinary users, and before Linux 6.4"})
	return append(list, subordinateIDs())
}

func subordinateIDs() overlaymount.Check {
	check := overlaymount.Check{Name: "subordinate ids", Hint: "add a line such as NAME:100000:65536 to /etc/subuid and /etc/subgid"}
	mapping, err := userns.Subordinate()
	if err != nil {
		if u, err := user.Current(); err == nil {
			check.Value = "none for " + u.Username
		}
		return check
	}
	var ranges []string
	for _, r := range mapping.UIDs[1:] { // the first is the user's own
		ranges = append(ranges, fmt.Sprintf("%d:%d", r.Outside, r.Size))
	}
	check.OK, check.Value = true, strings.Join(ranges, ", ")
	return check
}

// Limits returns the limits of a process on this machine.
func Limits() []overlaymount.Check {
	var files unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &files) // zero says no
	list := []overlaymount.Check{
		{Name: "open files", OK: files.Cur >= 1024, Value: fmt.Sprintf("%d, at most %d", files.Cur, files.Max), Hint: "ulimit -n 1024"},
		{Name: "processors", OK: true, Value: fmt.Sprint(runtime.NumCPU())},
	}
	if raw, err := os.ReadFile("/proc/sys/fs/mount-max"); err == nil {
		list = append(list, overlaymount.Check{Name: "mounts", OK: true, Value: "at most " + strings.TrimSpace(string(raw))})
	}
	return append(list, overlaymount.Check{Name: "layers of an image", OK: true, Value: "at most 500"})
}
