// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/disktest"
)

// What is given as 0 is 0, or refused where that makes no sense, and never the
// default.
func TestZeroIsNotTheDefault(t *testing.T) {
	image := "oci:" + helloLayout
	for _, words := range []string{
		"pull --jobs 0 REF", "verify --jobs 0", "ls --jobs 0 REF", "unpack --max-entries 0 REF DIR", "pull --max-depth 0 REF",
		"cat --max-size 0 REF:/a", "export --max-ratio 0 REF", "images --max-memory 0", "pull --stall-timeout 0 REF",
	} {
		var stdout, stderr bytes.Buffer
		args := []string{"layerctl", "--store", filepath.Join(t.TempDir(), "store")}
		for _, w := range strings.Fields(words) {
			args = append(args, strings.ReplaceAll(strings.ReplaceAll(w, "REF", image), "DIR", filepath.Join(t.TempDir(), "dir")))
		}
		if code := run(args, nil, &stdout, &stderr); code != exitUsage {
			t.Errorf("%s: exit %d, want %d: %s", words, code, exitUsage, &stderr)
		}
	}
	store := filepath.Join(t.TempDir(), "store")
	output(t, "pull", "--quiet", "--store", store, "--platform", "linux/amd64", image)
	if got := output(t, "prune", "--quiet", "--store", store, "--keep-storage", "0"); !strings.Contains(got, "image sha256:") {
		t.Errorf("prune --keep-storage 0 removed %q, want the image", got)
	}
}

// A volume that has less than the default reserve takes an image with none.
func TestReserveOfZero(t *testing.T) {
	dir := disktest.Memory(t)
	for flag, want := range map[string]int{"--reserve=0": exitOK, "--reserve=1G": exitFilesystem} {
		small := filepath.Join(dir, strings.TrimLeft(flag, "-"))
		if err := unix.Mkdir(small, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("small", small, "tmpfs", 0, "size=8m"); err != nil {
			t.Skip("needs a mount of its own: ", err)
		}
		for _, words := range []string{"pull REF", "unpack REF DIR"} {
			var stdout, stderr bytes.Buffer
			args := []string{"layerctl", "--quiet", "--store", filepath.Join(small, "store"), "--platform", "linux/amd64"}
			for _, w := range append(strings.Fields(words), flag) {
				args = append(args, strings.ReplaceAll(strings.ReplaceAll(w, "REF", "oci:"+helloLayout), "DIR", filepath.Join(small, "dir")))
			}
			if code := run(args, nil, &stdout, &stderr); code != want {
				t.Errorf("%s %s: exit %d, want %d: %s", words, flag, code, want, &stderr)
			}
		}
		if err := unix.Unmount(small, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
}
