// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Owner is the user who may have made a mount that the process proc sees: who
// owns the user namespace of its mount namespace, for there he is privileged,
// or for fuse-overlayfs whose process it is. It is the caller himself where that
// is the caller's namespace; where the caller may not ask, it is the owner of the
// process.
//
// Anybody may mount by erofsfuse outside of a user namespace, by fusermount(1), and
// the mounts there show in the namespaces of others as well. So of such a mount in a
// namespace of the caller's counts whose the kernel says it is. In anybody else's that
// number says nothing: each user maps in his namespace the ids that he likes.
func Owner(proc string, e Entry) (uid int, err error) {
	if e.Type == FUSEType {
		if e.daemon == "" {
			return os.Geteuid(), nil
		}
		return processOwner(e.daemon)
	}
	if proc == "self" {
		uid = os.Geteuid()
	} else if uid, err = namespaceOwner(proc); err != nil {
		uid, err = processOwner(proc)
	}
	if err != nil || uid != os.Geteuid() || e.Type != EROFSFUSEType {
		return uid, err
	}
	// 0 is root of the caller's namespace, or of the machine.
	if said, err := strconv.Atoi(e.Option("user_id")); err == nil && said != 0 && !isCaller(said) {
		return said, nil
	}
	return uid, nil
}

// isCaller reports whether uid is the caller's, in his user namespace or in the
// one around it, where he may have mounted before he entered his.
func isCaller(uid int) bool {
	euid := os.Geteuid()
	if uid == euid {
		return true
	}
	ids, _ := os.ReadFile("/proc/self/uid_map") // user_namespaces(7)
	for n := strings.Fields(string(ids)); len(n) > 2; n = n[3:] {
		inside, _ := strconv.Atoi(n[0])
		outside, _ := strconv.Atoi(n[1])
		count, _ := strconv.Atoi(n[2])
		if euid >= inside && euid-inside < count && uid-outside == euid-inside {
			return true
		}
	}
	return false
}

func processOwner(proc string) (int, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/"+proc, &st); err != nil {
		return 0, err
	}
	return int(st.Uid), nil
}

// The requests of ioctl_ns(2).
const (
	nsGetUserNS   = 0xb701
	nsGetOwnerUID = 0xb704
)

func namespaceOwner(proc string) (int, error) {
	mnt, err := os.Open("/proc/" + proc + "/ns/mnt")
	if err != nil {
		return 0, err
	}
	defer mnt.Close()
	fd, err := unix.IoctlRetInt(int(mnt.Fd()), nsGetUserNS)
	if err != nil {
		return 0, err
	}
	user := os.NewFile(uintptr(fd), "user namespace")
	defer user.Close()
	own, err := os.Stat("/proc/self/ns/user")
	if err != nil {
		return 0, err
	}
	if theirs, err := user.Stat(); err == nil && os.SameFile(own, theirs) {
		return os.Geteuid(), nil
	}
	uid, err := unix.IoctlGetUint32(int(user.Fd()), nsGetOwnerUID)
	return int(uid), err
}

// Identity is what tells one directory from all that a user can make. An
// overlay's root has that of its topmost directory. Nobody sets the time of a
// change, and a user gives nothing to another one.
type Identity struct {
	Changed        unix.Timespec
	UID, GID, Mode uint32
}

// IdentityOf is that of the directory at path.
func IdentityOf(path string) (Identity, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return Identity{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return Identity{st.Ctim, st.Uid, st.Gid, st.Mode}, nil
}

// patience bounds how long somebody else's filesystem may take to answer.
const patience = time.Second

// Root is the identity of a mount's root, as the process proc sees it. Its
// owner may answer as he likes, or never: then there is none.
func Root(ctx context.Context, proc string, e Entry) (Identity, bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	type answer struct {
		id  Identity
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		id, err := IdentityOf("/proc/" + proc + "/root" + e.Target)
		answers <- answer{id, err}
	}()
	select {
	case a := <-answers:
		return a.id, a.err == nil
	case <-ctx.Done():
		return Identity{}, false
	}
}
