// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/internal/imagetest"
)

// What an image's author wrote reaches neither a terminal nor a pipe as a
// control, a mark of direction or a line separator, whichever command prints it.
func TestNothingOfAnImageActsOnATerminal(t *testing.T) {
	kinds := map[string]string{
		"C1, bidi, DEL":     "\u009b31m\u202e\u2066\x7f",
		"separators, NEL":   "\u2028x\u2029y\u0085",
		"marks, escape":     "\u200e\u200f\u061c\x1b]0;x\a",
		"tags, BOM, hyphen": "\U000e0041\ufeff\u00ad",
	}
	if !full() {
		kinds = map[string]string{"all": strings.Join(slices.Collect(maps.Values(kinds)), "")}
	}
	for name, evil := range kinds {
		t.Run(name, func(t *testing.T) {
			ref := evilImage(t, evil)
			store := filepath.Join(t.TempDir(), "store")
			for i, command := range []string{
				"pull --json REF", "pull REF", "pull --verbose REF", "pull --dry-run --json REF", "pull --dry-run REF",
				"images --json", "images", "images --format={{json_.}}", "df --json", "df",
				"ls --json REF", "ls REF", "ls -l REF", "ls -R --json REF",
				"inspect --json REF", "inspect REF", "inspect --configs REF", "inspect --manifest-tool REF",
				"inspect --format={{json_.}} REF", "inspect --stored REF", "inspect --stored --json REF",
				"mount --format json REF", "mount --format systemd REF", "mount --format fstab REF", "mount --format containerd REF",
				"resolve --json REF", "resolve --explain REF", "platforms REF", "platforms --json REF",
				"verify --json", "verify", "mounts --json", "prune --dry-run --json", "unpack --json REF DIR",
			} {
				run := func(print func(*testing.T, ...string) string) {
					args := []string{"--store", store, "--quiet", "--platform", "linux/arm/v7"}
					for _, word := range strings.Fields(command) {
						switch word {
						case "REF":
							word = ref
						case "DIR":
							word = filepath.Join(t.TempDir(), "tree")
						}
						args = append(args, strings.ReplaceAll(word, "json_", "json "))
					}
					checkPlain(t, command, print(t, args...))
				}
				// The short form has one of the two for each command.
				if full() || i%2 == 0 {
					run(onTerminal)
				}
				if full() || i%2 != 0 {
					run(output)
				}
			}
		})
	}
}

// checkPlain allows what colours do.
func checkPlain(t *testing.T, what, got string) {
	t.Helper()
	for _, line := range strings.FieldsFunc(got, func(r rune) bool { return r == '\n' || r == '\t' }) {
		for _, code := range []string{"0", "1", "2", "1;31", "1;32", "1;33", "1;34"} {
			line = strings.ReplaceAll(line, "\x1b["+code+"m", "")
		}
		if terminal.Escape(line) != line {
			t.Errorf("%s: it got through: %q", what, line)
			return
		}
	}
}

// evilImage is a layout with an image that says evil wherever an author can.
func evilImage(t *testing.T, evil string) string {
	t.Helper()
	layout := imagetest.NewLayout(filepath.Join(t.TempDir(), "evil"))
	file := imagetest.File("n"+evil, evil)
	file.PAXRecords = map[string]string{"SCHILY.xattr.user." + evil: evil}
	link := imagetest.Symlink("link", "to"+evil)
	image := layout.Image(ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7", OSVersion: evil}, imagetest.Tar(file, link))
	image.Annotations = map[string]string{evil: evil}
	image.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7", OSVersion: evil, OSFeatures: []string{evil}}
	layout.Tag(image, "latest")
	return "oci:" + layout.Dir
}
