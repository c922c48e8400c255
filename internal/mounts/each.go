// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// forStrangers is how long the namespaces and daemons of other users are looked
// at, all together. The kernel takes a time that is quadratic in the mounts that
// somebody puts on top of each other, and a user may have 100,000 in each
// namespace. What a command does not get to see of them is theirs to lose.
const forStrangers = 5 * time.Second

// Each calls f for the overlay and EROFS mounts of every mount namespace that
// /proc shows, the caller's first. Of those of other users it calls f for what
// can be read in 5 seconds.
func Each(ctx context.Context, f func(proc string, e Entry)) error {
	strangers, cancel := context.WithTimeout(ctx, forStrangers)
	defer cancel()
	return each(ctx, strangers, readTable, f)
}

func each(ctx, strangers context.Context, read func(ctx context.Context, proc string) ([]Entry, error), f func(proc string, e Entry)) error {
	others, err := processes()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, proc := range append([]string{"self"}, others...) {
		// A process that ends meanwhile, or is another user's, shows nothing.
		ns, err := namespace(proc)
		if proc != "self" && (err != nil || seen[ns]) {
			continue
		}
		patient := ctx
		if uid, err := namespaceOwner(proc); proc != "self" && err == nil && uid != os.Geteuid() {
			patient = strangers
		}
		list, err := read(patient, proc)
		seen[ns] = err == nil // else another process in it may live longer
		if err := ctx.Err(); err != nil {
			return err
		}
		if proc == "self" && err != nil {
			return err
		}
		for _, e := range list {
			if e.Type == OverlayType || e.Type == EROFSType || e.Type == EROFSFUSEType {
				f(proc, e)
			}
		}
	}
	return eachFUSE(ctx, strangers, f)
}

// processes are the directories of all that run, by their numbers.
func processes() ([]string, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	names = slices.DeleteFunc(names, func(name string) bool {
		_, err := strconv.Atoi(name)
		return err != nil
	})
	return names, errors.Join(err, dir.Close())
}

// namespace tells mount namespaces apart. The caller may not look at that
// of its own process in another user namespace beside its own, as two shells
// of "layerctl unshare" are, but it may read the mounts; their ids are the
// machine's, so the first one tells as much.
func namespace(proc string) (string, error) {
	dir := "/proc/" + proc
	ns, err := os.Readlink(dir + "/ns/mnt")
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return ns, err
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", err
	}
	// What belongs to an id that the caller's namespace has not shows as the
	// overflow uid's (user_namespaces(7)): another user's.
	const overflow = 65534
	if euid := os.Geteuid(); int(st.Uid) != euid && (euid != 0 || st.Uid == overflow) {
		return "", err
	}
	f, err := os.Open(dir + "/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	id, err := bufio.NewReader(f).ReadString(' ')
	return "mount " + id, err
}
