// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"bytes"
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

	"golang.org/x/sys/unix"
)

// daemon is a process of fuse-overlayfs or erofsfuse that layerctl or a line that
// it printed has started. mountinfo does not show the first one's layers; its
// arguments do, for as long as the mount lives.
type daemon struct {
	pid     string
	program string
	target  string
	source  string
	options []string // such as "lowerdir=2:1"
}

// daemons lists them, of every user whose processes show.
func daemons(ctx context.Context) ([]daemon, error) {
	list, err := processes()
	if err != nil {
		return nil, err
	}
	var found []daemon
	first := make([]byte, 4<<10)
	for _, pid := range list {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		name := "/proc/" + pid + "/cmdline"
		if n, err := readStart(name, first); err == nil && !startsAsDaemon(first[:n]) {
			continue
		}
		raw, _ := os.ReadFile(name) // it may have ended
		if one, ok := parseDaemon(string(raw)); ok {
			one.pid = pid
			found = append(found, one)
		}
	}
	return found, nil
}

// readStart reads a file's first bytes by three calls, where os.ReadFile makes
// nine: it is done for each process of the machine, and few have ended meanwhile.
func readStart(name string, buf []byte) (int, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	n, err := unix.Read(fd, buf)
	return n, errors.Join(err, unix.Close(fd))
}

// startsAsDaemon says whether arguments that begin so may be those of a daemon:
// the first of them tells, which may be longer than what was read.
func startsAsDaemon(start []byte) bool {
	program, _, whole := bytes.Cut(start, []byte{0})
	return len(start) > 0 && !whole || bytes.HasSuffix(program, []byte(FUSEProgram)) || bytes.HasSuffix(program, []byte(EROFSFUSEProgram))
}

// parseDaemon reads arguments of the form: fuse-overlayfs -o OPTIONS TARGET, or
// erofsfuse -o OPTIONS --device=FILE… FILE TARGET.
func parseDaemon(cmdline string) (daemon, bool) {
	args := strings.Split(strings.TrimSuffix(cmdline, "\x00"), "\x00")
	if len(args) < 4 || args[1] != "-o" {
		return daemon{}, false
	}
	d := daemon{program: filepath.Base(args[0]), target: args[len(args)-1], options: strings.Split(args[2], ",")}
	for _, o := range d.options {
		if source, ok := strings.CutPrefix(o, "fsname="); ok {
			d.source = source
		}
	}
	switch d.program {
	case FUSEProgram:
		return d, len(args) == 4 && strings.HasPrefix(d.source, sourcePrefix)
	case EROFSFUSEProgram:
		// The source ends with the index's path below the store.
		index := args[len(args)-2]
		ours, _ := filepath.Match("fix/*/*.erofs", index)
		return d, ours && slices.Contains(d.options, "subtype="+EROFSFUSEProgram) && strings.Contains(args[2]+",", "/"+index+",")
	}
	return d, false
}

// entry is the daemon's mount as if the kernel had made it. It is gone from
// the list of mounts before its process is. One that may not be looked at is
// believed to be there.
func (d daemon) entry(ctx context.Context) (Entry, bool) {
	e := Entry{Target: d.target, Type: FUSEType}
	list, err := readTable(ctx, d.pid)
	if !errors.Is(err, fs.ErrPermission) {
		i := slices.IndexFunc(list, func(m Entry) bool { return m.Type == FUSEType && m.Target == d.target })
		if i < 0 {
			return e, false
		}
		e = list[i]
	}
	e.daemon = d.pid
	e.Source, e.SuperOptions = d.source, append(e.SuperOptions, d.options...)
	return e, true
}

// eachFUSE calls f as Each does. Anybody may call a process so.
func eachFUSE(ctx, strangers context.Context, f func(proc string, e Entry)) error {
	list, err := daemons(ctx)
	if err != nil {
		return err
	}
	here, _ := namespace("self")
	for _, d := range list {
		if d.program != FUSEProgram {
			continue // Each has its mount
		}
		patient := ctx
		if uid, err := processOwner(d.pid); err == nil && uid != os.Geteuid() {
			patient = strangers
		}
		e, mounted := d.entry(patient)
		if !mounted {
			continue
		}
		proc := d.pid
		if there, err := namespace(d.pid); err == nil && there == here {
			proc = "self"
		}
		f(proc, e)
	}
	return nil
}

// withOptions adds to a mount in the caller's namespace what only the arguments
// of its daemon say.
func withOptions(ctx context.Context, found Entry) Entry {
	strangers, cancel := context.WithTimeout(ctx, forStrangers)
	defer cancel()
	_ = eachFUSE(ctx, strangers, func(proc string, e Entry) {
		if proc == "self" && e.Target == found.Target {
			found = e
		}
	})
	return found
}

// AwaitEnd waits until the processes of fuse-overlayfs have ended that had
// mounted at target: they hold the upper dir until then.
func AwaitEnd(ctx context.Context, target string) error {
	const long, step = 5 * time.Second, 5 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	for {
		list, err := daemons(ctx)
		if err != nil {
			return err
		}
		alive := func(d daemon) bool {
			if d.program != FUSEProgram || d.target != target {
				return false
			}
			_, mounted := d.entry(ctx)
			return !mounted
		}
		if !slices.ContainsFunc(list, alive) {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil // it is unmounted all the same
		case <-time.After(step):
		}
	}
}

// EndOrphans ends the processes of fuse-overlayfs and erofsfuse whose mounts nobody
// can see any more: one keeps its mount namespace alive, and the namespace its mount,
// also when the command is done that they were for.
func EndOrphans(ctx context.Context) error {
	found, err := daemons(ctx)
	if err != nil || len(found) == 0 {
		return err
	}
	list, err := processes()
	if err != nil {
		return err
	}
	inhabited := map[string]bool{}
	for _, pid := range list {
		isDaemon := slices.ContainsFunc(found, func(f daemon) bool { return f.pid == pid })
		if ns, err := os.Readlink("/proc/" + pid + "/ns/mnt"); err == nil && !isDaemon {
			inhabited[ns] = true
		}
	}
	for _, d := range found {
		ns, err := os.Readlink("/proc/" + d.pid + "/ns/mnt")
		pid, _ := strconv.Atoi(d.pid)
		if err == nil && !inhabited[ns] {
			_ = syscall.Kill(pid, syscall.SIGTERM) // it may have ended, or be another user's
		}
	}
	return nil
}
