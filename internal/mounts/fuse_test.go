// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestParseDaemon(t *testing.T) {
	for cmdline, want := range map[string]string{
		"fuse-overlayfs\x00-o\x00ro,fsname=layerctl:x@0,lowerdir=2:1\x00/mnt\x00":                                             "/mnt layerctl:x@0",
		"/usr/bin/fuse-overlayfs\x00-o\x00fsname=layerctl:x,lowerdir=1,upperdir=u\x00/a b\x00":                                "/a b layerctl:x",
		"fuse-overlayfs\x00-o\x00lowerdir=2:1\x00/mnt\x00":                                                                    "",
		"cat\x00-o\x00fsname=layerctl:x\x00/mnt\x00":                                                                          "",
		"fuse-overlayfs\x00-o\x00fsname=layerctl:x\x00":                                                                       "",
		strings.Repeat("/d", 4<<10) + "/fuse-overlayfs\x00-o\x00fsname=layerctl:x\x00/mnt\x00":                                "/mnt layerctl:x",
		"erofsfuse\x00-o\x00ro,subtype=erofsfuse,fsname=/a\\,b/fix/c/i.erofs\x00--device=a\x00fix/c/i.erofs\x00/mnt\x00":      `/mnt /a\`,
		"erofsfuse\x00-o\x00subtype=erofsfuse,fsname=/s/fix/c/i.erofs,allow_other\x00--device=a\x00fix/c/i.erofs\x00/mnt\x00": `/mnt /s/fix/c/i.erofs`,
		"erofsfuse\x00-o\x00ro,fsname=/s/fix/c/i.erofs\x00--device=a\x00fix/c/i.erofs\x00/mnt\x00":                            "",
		"erofsfuse\x00-o\x00ro,subtype=erofsfuse,fsname=/my/i.erofs\x00/my/i.erofs\x00/mnt\x00":                               "",
		"erofsfuse\x00-o\x00ro,subtype=erofsfuse,fsname=/s/fix/d/i.erofs\x00fix/c/i.erofs\x00/mnt\x00":                        "",
		"erofsfuse\x00-o\x00ro,subtype=erofsfuse\x00fix/c/i.erofs\x00/mnt\x00":                                                "",
		"erofsfuse\x00i\x00/mnt\x00": "",
		"":                           "",
	} {
		d, ok := parseDaemon(cmdline)
		got := d.target + " " + d.source
		if !ok {
			got = ""
		}
		if start := cmdline[:min(len(cmdline), 4<<10)]; ok && !startsAsDaemon([]byte(start)) {
			t.Errorf("%q is that of no daemon", start)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", cmdline, got, want)
		}
	}
}

// A mount by erofsfuse that a user made outside of a user namespace is the user's,
// whoever looks.
func TestOwnerOfEROFSFUSE(t *testing.T) {
	for option, want := range map[string]int{"user_id=0": os.Geteuid(), "user_id=12345": 12345, "rw": os.Geteuid()} {
		if got, err := Owner("self", Entry{Type: EROFSFUSEType, SuperOptions: []string{"ro", option}}); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", option, got, err, want)
		}
	}
	if got, err := Owner("self", Entry{Type: EROFSType, SuperOptions: []string{"user_id=12345"}}); err != nil || got != os.Geteuid() {
		t.Errorf("an option of another filesystem: %d, %v", got, err)
	}
}

// A user maps any number in a namespace of his own: what he mounts there is his,
// whatever number the kernel shows.
func TestOwnerOfEROFSFUSEOfAnotherNamespace(t *testing.T) {
	const stranger = 12345
	for _, claimed := range []string{"user_id=0", "user_id=777"} {
		proc := inNamespace(t, stranger, 777)
		if got, err := Owner(proc, Entry{Type: EROFSFUSEType, SuperOptions: []string{claimed}}); err != nil || got != stranger {
			t.Errorf("%s: %d, %v, want %d", claimed, got, err, stranger)
		}
	}
}

// What a user mounted before he became root of a namespace is his there as well, and
// what others did is not.
func TestOwnerOfEROFSFUSEAround(t *testing.T) {
	const test = "MOUNTS_TEST_OWNER"
	if os.Getenv(test) != "" {
		for option, want := range map[string]int{"user_id=0": 0, "user_id=12345": 0, "user_id=12346": 12346} {
			if got, err := Owner("self", Entry{Type: EROFSFUSEType, SuperOptions: []string{option}}); err != nil || got != want {
				t.Errorf("%s: %d, %v, want %d", option, got, err, want)
			}
		}
		return
	}
	needsNamespace(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), test+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 12345, Size: 1}}, GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 12345, Size: 1}}, Credential: &syscall.Credential{NoSetGroups: true}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func needsNamespace(t *testing.T) {
	t.Helper()
	if ids, err := os.ReadFile("/proc/self/uid_map"); os.Geteuid() != 0 || err != nil || strings.Join(strings.Fields(string(ids)), " ") != "0 0 4294967295" {
		t.Skip("needs root of the machine: it makes namespaces of other users")
	}
}

// inNamespace is a process of the user outside, who is inside in a namespace of his own.
func inNamespace(t *testing.T, outside uint32, inside int) (pid string) {
	t.Helper()
	needsNamespace(t)
	cmd := exec.Command("unshare", "--user", "--map-user", strconv.Itoa(inside), "--mount", "sh", "-c", "echo ready && exec cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: outside, Gid: outside}}
	cmd.Dir = "/"
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
		t.Skip("needs a kernel that lets users make namespaces: ", err)
	}
	return strconv.Itoa(cmd.Process.Pid)
}
