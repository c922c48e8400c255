// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/imagetest"
)

// TestFullDisk pulls what a real, small filesystem cannot hold: what is needed
// and where is said, and the store is as before.
func TestFullDisk(t *testing.T) {
	needsFull(t)
	const size = 24 << 20
	noise := imagetest.Noise(40 << 20) // does not compress, so that it is seen at once
	var many []imagetest.Entry
	for i := range 2000 {
		many = append(many, imagetest.File(fmt.Sprint("d/", i), ""))
	}
	tests := []struct {
		name    string
		mkfs    []string
		entries []imagetest.Entry
		args    []string
		says    []string
	}{
		{"bytes, seen before the first is written", nil, []imagetest.Entry{imagetest.File("f", noise)}, nil,
			[]string{"bytes free and 4", "are needed at the least"}},
		{"bytes, seen while they are written", nil, []imagetest.Entry{
			imagetest.File("small", "x"), imagetest.File("f", strings.Repeat("x", 15<<20)), imagetest.File("g", strings.Repeat("y", 15<<20))}, []string{"--reserve", "1"},
			[]string{"is full (", "the layer needs more than 157"}},
		{"bytes, of which some are kept in reserve", nil, []imagetest.Entry{imagetest.File("f", "x")}, []string{"--reserve", "64Mi"},
			[]string{"are free, and 67108864 are kept in reserve"}},
		{"inodes", []string{"-N", "256"}, many, []string{"--reserve", "1"},
			[]string{"has no inodes left", "the layer needs more than 0 bytes and "}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			disk := disktest.New(t, size, "mkfs.ext4", append([]string{"-q", "-F"}, test.mkfs...)...)
			store := filepath.Join(disk.Dir, "store")
			layout := imagetest.NewLayout(disktest.Memory(t))
			layout.Tag(layout.Image(amd64, imagetest.Tar(test.entries...)), "latest")
			common := []string{"--quiet", "--store", store, "--platform", "linux/amd64"}
			before := layerctlCommand(t, append([]string{"pull", "--reserve", "1", "oci:" + helloLayout}, common...)...)
			if code := before.code(t); code != exitOK {
				t.Fatalf("the pull before: exit %d: %s", code, &before.stderr)
			}
			want := storeNames(t, store)
			c := layerctlCommand(t, append(append([]string{"pull", "oci:" + layout.Dir}, test.args...), common...)...)
			if code := c.code(t); code != exitFilesystem {
				t.Errorf("exit %d, want %d", code, exitFilesystem)
			}
			checkFailure(t, c, append(test.says, store))
			t.Logf("%s", &c.stderr)
			if got := storeNames(t, store); got != want {
				t.Errorf("the store has\n%s, want\n%s", got, want)
			}
			verify := layerctlCommand(t, append([]string{"verify"}, common...)...)
			if code := verify.code(t); code != exitOK {
				t.Errorf("verify: exit %d: %s%s", code, &verify.stdout, &verify.stderr)
			}
		})
	}
}

// storeNames tells what is in the directories of a store.
func storeNames(t *testing.T, store string) string {
	t.Helper()
	var lines []string
	for _, dir := range []string{"layers", "fix", "l", "images", "refs", "staging", "trash", "leases", "unsynced"} {
		lines = append(lines, fmt.Sprintf("%s: %q", dir, entries(t, filepath.Join(store, dir))))
	}
	return strings.Join(lines, "\n")
}

// A store of a format that this version does not know is left alone.
func TestNewerStoreIsRefused(t *testing.T) {
	store := filepath.Join(t.TempDir(), "store")
	if err := os.Mkdir(store, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(store, "store.json"), []byte(`{"format":3,"new":"thing"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"images"}, {"verify"}, {"prune"}, {"pull", "oci:" + helloLayout}} {
		c := layerctlCommand(t, append(args, "--store", store)...)
		if code := c.code(t); code != exitFilesystem {
			t.Errorf("%s: exit %d, want %d", args, code, exitFilesystem)
		}
		checkFailure(t, c, []string{"unknown store format 3", "use a newer one", store})
	}
	if got := entries(t, store); len(got) != 1 {
		t.Errorf("the refused store has %q, want store.json alone", got)
	}
}
