// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/layerctl/layerctl/overlaystore"
	"golang.org/x/sys/unix"
)

// IDMapping shows Size ids of the image, from Inside on, as the ids from Outside on,
// for users and for groups (user_namespaces(7)).
type IDMapping struct{ Inside, Outside, Size uint32 }

func (i IDMapping) String() string { return fmt.Sprintf("%d:%d:%d", i.Inside, i.Outside, i.Size) }

// maxIDMappings is the kernel's limit for one user namespace.
const maxIDMappings = 340

// ParseIDMap parses INSIDE:OUTSIDE:SIZE, such as "0:100000:65536", or several
// of them with commas between.
func ParseIDMap(s string) ([]IDMapping, error) {
	var list []IDMapping
	for part := range strings.SplitSeq(s, ",") {
		fields := strings.Split(part, ":")
		if len(fields) != 3 {
			return nil, fmt.Errorf("id map %q: want INSIDE:OUTSIDE:SIZE, such as 0:100000:65536", part)
		}
		var n [3]uint32
		for i, f := range fields {
			v, err := strconv.ParseUint(f, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("id map %q: %q is no number below 4294967296", part, f)
			}
			n[i] = uint32(v)
		}
		m := IDMapping{n[0], n[1], n[2]}
		if m.Size == 0 || m.Inside > ^uint32(0)-m.Size || m.Outside > ^uint32(0)-m.Size {
			return nil, fmt.Errorf("id map %q: the size must be at least 1 and the ids end below 4294967295", part)
		}
		for _, o := range list {
			if overlap(m.Inside, o.Inside, m.Size, o.Size) || overlap(m.Outside, o.Outside, m.Size, o.Size) {
				return nil, fmt.Errorf("id map %q overlaps %q", part, o)
			}
		}
		list = append(list, m)
	}
	if len(list) > maxIDMappings {
		return nil, fmt.Errorf("the id map has %d parts, and the kernel takes %d", len(list), maxIDMappings)
	}
	return list, nil
}

func overlap(a, b, sizeA, sizeB uint32) bool { return a < b+sizeB && b < a+sizeA }

// shift returns how the mount shows an owner and a group of the image. An id without a
// mapping stays as it is; the kernel shows it as nobody's.
func (m *Mount) shift(uid, gid uint32) (uint32, uint32) {
	one := func(id uint32) uint32 {
		for _, i := range m.idmap {
			if id >= i.Inside && id-i.Inside < i.Size {
				return id - i.Inside + i.Outside
			}
		}
		return id
	}
	return one(uid), one(gid)
}

// mappedStore opens the store's directory through an id-mapped mount that is attached
// nowhere. Every layer that is opened below it is mapped, and no file is changed
// (mount_setattr(2), Linux 5.12; overlayfs takes such layers from 5.19 on).
func (m *Mount) mappedStore() (*os.File, error) { return mappedDir(m.store.Dir(), m.idmap) }

func mappedDir(dir *os.File, list []IDMapping) (*os.File, error) {
	fd, err := unix.OpenTree(int(dir.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, unmappable("clone the store's mount (open_tree)", err)
	}
	root := os.NewFile(uintptr(fd), dir.Name())
	if err := mapMount(root, list); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// mapMount maps the owners of a mount that is attached nowhere.
func mapMount(root *os.File, list []IDMapping) error {
	ns, err := userNamespace(list)
	if err != nil {
		return err
	}
	defer ns.Close()
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}
	if err := unix.MountSetattr(int(root.Fd()), "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return unmappable("map the store's mount (mount_setattr)", err)
	}
	return nil
}

// unmappable adds to an error what an id map needs and what to do instead.
func unmappable(what string, err error) error {
	reason := "it takes Linux 5.19 and a filesystem that can: ext4, xfs, btrfs, tmpfs since 6.3"
	if errors.Is(err, unix.EPERM) {
		reason = "it takes root outside any user namespace; inside one mount without an id map, from a store pulled in it"
	}
	return fmt.Errorf("%w: %s: %w: %s; or keep a second store for the container, pulled in its user namespace", overlaystore.ErrUnsupported, what, err, reason)
}

// userNamespace makes a user namespace with the map. That needs a process in it: this
// one is stopped before its first instruction, and killed once the namespace is open.
func userNamespace(list []IDMapping) (*os.File, error) {
	var ids []syscall.SysProcIDMap
	for _, i := range list {
		ids = append(ids, syscall.SysProcIDMap{ContainerID: int(i.Inside), HostID: int(i.Outside), Size: int(i.Size)})
	}
	// Only the thread that started the process traces it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, err := os.StartProcess("/proc/self/exe", []string{"layerctl-userns"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids, Ptrace: true, Pdeathsig: syscall.SIGKILL,
	}})
	if err != nil {
		return nil, unmappable("make a user namespace", err)
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", p.Pid))
	killErr := p.Kill()
	_, waitErr := p.Wait()
	if err := errors.Join(err, killErr, waitErr); err != nil {
		return nil, fmt.Errorf("make a user namespace: %w", err)
	}
	return ns, nil
}
