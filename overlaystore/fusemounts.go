// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// fuseDaemon is a process of fuse-overlayfs that was started by this package
// or by a printed line. mountinfo does not show its layers; its arguments do,
// for as long as the mount lives.
type fuseDaemon struct {
	pid     string
	target  string
	source  string
	options []string // such as "lowerdir=2:1"
}

// fuseDaemons lists them, of every user whose processes show.
func fuseDaemons() ([]fuseDaemon, error) {
	list, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var daemons []fuseDaemon
	for _, d := range list {
		if _, err := strconv.Atoi(d.Name()); err != nil {
			continue
		}
		raw, _ := os.ReadFile("/proc/" + d.Name() + "/cmdline") // it may have ended
		if daemon, ok := parseDaemon(string(raw)); ok {
			daemon.pid = d.Name()
			daemons = append(daemons, daemon)
		}
	}
	return daemons, nil
}

// parseDaemon reads what runFUSE starts: fuse-overlayfs -o OPTIONS TARGET.
func parseDaemon(cmdline string) (fuseDaemon, bool) {
	args := strings.Split(strings.TrimSuffix(cmdline, "\x00"), "\x00")
	if len(args) != 4 || filepath.Base(args[0]) != string(FUSEDriver) || args[1] != "-o" {
		return fuseDaemon{}, false
	}
	d := fuseDaemon{target: args[3], options: strings.Split(args[2], ",")}
	for _, o := range d.options {
		if source, ok := strings.CutPrefix(o, "fsname="); ok {
			d.source = source
		}
	}
	return d, strings.HasPrefix(d.source, sourcePrefix)
}

// entry is the daemon's mount as if the kernel had made it. It is gone from
// the list of mounts before its process is. One that may not be looked at is
// believed to be there.
func (d fuseDaemon) entry() (mountEntry, bool) {
	e := mountEntry{target: d.target, fsType: fuseType}
	mounts, err := readMounts(d.pid)
	if !errors.Is(err, fs.ErrPermission) {
		i := slices.IndexFunc(mounts, func(m mountEntry) bool { return m.fsType == fuseType && m.target == d.target })
		if i < 0 {
			return e, false
		}
		e = mounts[i]
	}
	e.source, e.superOptions = d.source, append(e.superOptions, d.options...)
	return e, true
}

// everyFUSEMount calls f as everyMount does.
func everyFUSEMount(f func(proc string, e mountEntry)) error {
	daemons, err := fuseDaemons()
	if err != nil {
		return err
	}
	here, _ := mountNamespace("self")
	for _, d := range daemons {
		e, mounted := d.entry()
		if !mounted {
			continue
		}
		proc := d.pid
		if there, err := mountNamespace(d.pid); err == nil && there == here {
			proc = "self"
		}
		f(proc, e)
	}
	return nil
}

// fuseMountAt adds to a mount in the caller's namespace what only its process
// knows, where that is one of ours.
func fuseMountAt(found mountEntry) mountEntry {
	_ = everyFUSEMount(func(proc string, e mountEntry) {
		if proc == "self" && e.target == found.target {
			found = e
		}
	})
	return found
}

// awaitDaemon waits until the processes have ended that mounted at target: they
// hold the upper dir until then.
func awaitDaemon(ctx context.Context, target string) error {
	const long, step = 5 * time.Second, 5 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	for {
		daemons, err := fuseDaemons()
		if err != nil {
			return err
		}
		alive := func(d fuseDaemon) bool {
			_, mounted := d.entry()
			return d.target == target && !mounted
		}
		if !slices.ContainsFunc(daemons, alive) {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil // it is unmounted all the same
		case <-time.After(step):
		}
	}
}

// EndOrphans ends the processes of fuse-overlayfs whose mounts nobody can see
// any more: one keeps its mount namespace alive, and the namespace its mount,
// also when the command is done that they were for.
func EndOrphans() error {
	daemons, err := fuseDaemons()
	if err != nil || len(daemons) == 0 {
		return err
	}
	list, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	inhabited := map[string]bool{}
	for _, d := range list {
		isDaemon := slices.ContainsFunc(daemons, func(f fuseDaemon) bool { return f.pid == d.Name() })
		if ns, err := os.Readlink("/proc/" + d.Name() + "/ns/mnt"); err == nil && !isDaemon {
			inhabited[ns] = true
		}
	}
	for _, d := range daemons {
		ns, err := os.Readlink("/proc/" + d.pid + "/ns/mnt")
		pid, _ := strconv.Atoi(d.pid)
		if err == nil && !inhabited[ns] {
			_ = syscall.Kill(pid, syscall.SIGTERM) // it may have ended, or be another user's
		}
	}
	return nil
}
