// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/layerctl/layerctl/internal/erofsfuse"
)

func TestEROFSFUSEIsFound(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for _, c := range []struct {
		name, script string
		want, said   string
	}{
		{"as 1.8 says it, with an exit code", "echo erofsfuse 1.8.6; echo 'usage: [options]' >&2; exit 1", "1.8.6", ""},
		{"after the words of libfuse", "echo 'fusermount3 version: 3.14.0' >&2; echo erofsfuse 1.9.3-g7db7878", "1.9.3-g7db7878", ""},
		{"the first", "echo erofsfuse 1.7", "1.7", ""},
		{"one to come", "echo erofsfuse 2.0", "2.0", ""},
		{"too old", "echo erofsfuse 1.5", "", "erofsfuse is version 1.5, and the first that reads blocks of 512 bytes is 1.7"},
		{"much too old", "echo erofsfuse 0.9", "", "is version 0.9"},
		{"of another program", "echo fusermount3 version: 3.14.0", "", "tells no version"},
		{"escapes for a terminal", `printf 'erofsfuse 1.8\033[2J'`, "", "tells no version"},
		{"nothing", "exit 0", "", "tells no version"},
	} {
		if err := os.WriteFile(filepath.Join(dir, "erofsfuse"), []byte("#!/bin/sh\n"+c.script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		got, err := erofsfuse.Find(t.Context())
		if got != c.want || (err == nil) != (c.said == "") || err != nil && !strings.Contains(err.Error(), c.said) {
			t.Errorf("%s: %q, %v, want %q, %q", c.name, got, err, c.want, c.said)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if got, err := erofsfuse.Find(t.Context()); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("without the program: %q, %v", got, err)
	}
}

// No path becomes an option, and no part of one another.
func TestEROFSFUSEArguments(t *testing.T) {
	for _, c := range []struct {
		mount erofsfuse.Mount
		want  []string
		line  string
	}{
		{
			erofsfuse.Mount{Dir: "/store", Index: "fix/i.erofs", Devices: []string{"layers/a", "layers/b"}, Flags: []string{"nosuid", "noexec"}},
			[]string{"-o", "ro,nosuid,noexec,subtype=erofsfuse,fsname=/store/fix/i.erofs", "--dbglevel=0", "--device=layers/a", "--device=layers/b", "fix/i.erofs", "/t"},
			"erofsfuse -o ro,nosuid,noexec,subtype=erofsfuse,fsname=/store/fix/i.erofs $([ \"$(sed 's/.* //' /proc/self/uid_map)\" = 1 ] || echo -o allow_other,default_permissions) --dbglevel=0 --device=layers/a --device=layers/b fix/i.erofs /t >/dev/null && mountpoint -q /t",
		},
		{
			erofsfuse.Mount{Dir: `/a b,dev,c:d\,"$x`, Index: "i"},
			[]string{"-o", `ro,subtype=erofsfuse,fsname=/a b\,dev\,c:d\\\,"$x/i`, "--dbglevel=0", "i", "/t"},
			`erofsfuse -o 'ro,subtype=erofsfuse,fsname=/a b\,dev\,c:d\\\,"$x/i' $([ "$(sed 's/.* //' /proc/self/uid_map)" = 1 ] || echo -o allow_other,default_permissions) --dbglevel=0 i /t >/dev/null && mountpoint -q /t`,
		},
	} {
		if got, err := c.mount.Args("/t"); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q, %v, want %q", got, err, c.want)
		}
		if got, err := c.mount.Line("/t"); err != nil || got != c.line {
			t.Errorf("%q, %v, want %q", got, err, c.line)
		}
	}
	for n, ok := range map[int]bool{256: true, 257: false} {
		m := erofsfuse.Mount{Dir: "/", Index: "i", Devices: make([]string, n)}
		if _, err := m.Args("/t"); (err == nil) != ok {
			t.Errorf("%d devices: %v", n, err)
		}
	}
}

// Who has one id alone reads everything; where there are more the kernel checks.
func TestEROFSFUSEIsShared(t *testing.T) {
	const test = "EROFSFUSE_TEST_SHARED"
	if want := os.Getenv(test); want != "" {
		m := erofsfuse.Mount{Dir: "/", Index: "i"}
		line, lineErr := m.Line("/t")
		said, _ := exec.Command("sh", "-c", line).CombinedOutput() // it mounts nothing
		err := m.At(t.Context(), "/t")
		if lineErr != nil || err == nil || strconv.FormatBool(strings.Contains(err.Error(), "allow_other")) != want || strconv.FormatBool(strings.Contains(string(said), "allow_other")) != want {
			t.Errorf("by itself %v, by the line %q, %v, want %s", err, said, lineErr, want)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes user namespaces")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "erofsfuse"), []byte("#!/bin/sh\necho \"$@\" >&2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for name, c := range map[string]struct {
		ids  []syscall.SysProcIDMap
		want string
	}{
		"one id":          {[]syscall.SysProcIDMap{{Size: 1}}, "false"},
		"a range":         {[]syscall.SysProcIDMap{{Size: 2}}, "true"},
		"two of one each": {[]syscall.SysProcIDMap{{Size: 1}, {ContainerID: 1, HostID: 12345, Size: 1}}, "true"},
	} {
		cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), test+"="+c.want)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: c.ids, GidMappings: c.ids}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
