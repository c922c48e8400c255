// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
)

// No command makes, replaces or mounts anything where a link leads that another
// user made; where the caller's own does, it does.
func TestLinksOfOthersLeadNowhere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes links of another user")
	}
	l := imagetest.NewLayout(t.TempDir())
	tar := imagetest.Tar(imagetest.File("made", "a"))
	l.Tag(l.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, tar), "latest")
	store := filepath.Join(t.TempDir(), "store")
	layerctl := func(args ...string) (int, string) {
		var stdout, stderr bytes.Buffer
		args = slices.Concat([]string{"layerctl", "--quiet", "--store", store, "--platform", "linux/amd64"}, args)
		return run(args, nil, &stdout, &stderr), stderr.String()
	}
	ref := "oci:" + l.Dir
	if code, said := layerctl("pull", ref); code != exitOK {
		t.Fatal(said)
	}
	for name, command := range map[string]func(link string) []string{
		"unpack":          func(link string) []string { return []string{"unpack", ref, link + "/dir"} },
		"unpack below":    func(link string) []string { return []string{"unpack", ref, link + "/dir/new"} },
		"export":          func(link string) []string { return []string{"export", "-o", link + "/file", ref} },
		"export of a new": func(link string) []string { return []string{"export", "-o", link + "/none", ref} },
		"mount":           func(link string) []string { return []string{"mount", ref, link + "/dir"} },
		"upper of a mount": func(link string) []string {
			return []string{"mount", "--upper", link + "/dir", "--work", link + "/work", ref, link + "/mnt"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			links := filepath.Join(base, "links")
			for _, dir := range []string{"links", "links/mnt", "links/work", "outside"} {
				if err := os.Mkdir(filepath.Join(base, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for link, to := range map[string]string{"dir": "../outside", "file": "../file", "none": "../new", "fifo": "/dev/full"} {
				if err := os.Symlink(to, filepath.Join(links, link)); err != nil {
					t.Fatal(err)
				}
				if err := os.Lchown(filepath.Join(links, link), 12345, 12345); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(base, "file"), []byte("precious"), 0o644); err != nil {
				t.Fatal(err)
			}
			code, said := layerctl(command(links)...)
			if code != exitFilesystem || !strings.Contains(said, "is a symbolic link that user 12345 made, and is not followed") {
				t.Errorf("exit %d: %s", code, said)
			}
			left, err := os.ReadDir(filepath.Join(base, "outside"))
			raw, rerr := os.ReadFile(filepath.Join(base, "file"))
			if _, nerr := os.Lstat(filepath.Join(base, "new")); err != nil || rerr != nil || len(left) > 0 || string(raw) != "precious" || nerr == nil {
				t.Errorf("outside are %v, %q, %v; %v, %v", left, raw, nerr, err, rerr)
			}
		})
	}
}

// Who has no home has no store and no cache, and looks at images all the same.
func TestLookingTakesNoHome(t *testing.T) {
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	r.AddLayout(helloLayout, "latest")
	ref := r.Host + "/hello:latest"
	for _, test := range []struct {
		args []string
		want int
	}{
		{[]string{"inspect", ref}, exitOK},
		{[]string{"platforms", ref}, exitOK},
		{[]string{"resolve", "--platform", "linux/arm64", ref}, exitOK},
		{[]string{"ls", "--platform", "linux/arm64", ref}, exitOK},
		{[]string{"unpack", "-q", "--platform", "linux/arm64", ref, filepath.Join(t.TempDir(), "tree")}, exitOK},
		{[]string{"inspect", "--offline", ref}, exitUsage},
		{[]string{"images"}, exitUsage},
	} {
		c := layerctlCommand(t, test.args...)
		c.Env = []string{"PATH=" + os.Getenv("PATH")}
		if os.Geteuid() == 0 { // who has a store without a home
			c.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, Size: 1}},
			}
		}
		if got := c.code(t); got != test.want {
			t.Errorf("%s: exit code %d, want %d: %s", test.args, got, test.want, &c.stderr)
		}
	}
}
