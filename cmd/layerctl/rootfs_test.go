// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
)

// strange is a layout with an image whose names and contents are not for a
// terminal.
func strange(t *testing.T) string {
	t.Helper()
	layout := imagetest.NewLayout(filepath.Join(t.TempDir(), "strange"))
	layer := imagetest.Tar(
		imagetest.File("a\x1b[31m\nb", "red \x1b[31m\ttab\nnul \x00 \xff\n"), imagetest.Symlink("link", "\x07\xfe"),
		imagetest.Entry{Header: tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3, Mode: 0o666}},
		imagetest.Entry{Header: tar.Header{Name: "x", PAXRecords: map[string]string{"SCHILY.xattr.user.note": "\x01"}, Mode: 0o6644}},
		imagetest.Hardlink("y", "x"),
	)
	layout.Tag(layout.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, layer), "latest")
	return "oci:" + layout.Dir
}

func runFor(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(append([]string{"layerctl", "--store", filepath.Join(t.TempDir(), "none")}, args...), nil, &out, &errs); code != 0 {
		t.Fatalf("%q ends with %d: %s", args, code, errs.String())
	}
	return out.String()
}

func TestLsOfStrangeNames(t *testing.T) {
	image := strange(t)
	want := strings.Join([]string{
		`-rw-r--r-- 0:0  22 2024-01-02 03:04:05 /a\x1b[31m\nb`,
		`lrwxrwxrwx 0:0   0 2024-01-02 03:04:05 /link -> \a\xfe`,
		`crw-rw-rw- 0:0 1,3 2024-01-02 03:04:05 /null`,
		`-rwSr-Sr-- 0:0   0 2024-01-02 03:04:05 /x`,
		`-rwSr-Sr-- 0:0   0 2024-01-02 03:04:05 /y`,
	}, "\n") + "\n"
	if got := runFor(t, "ls", "-l", image); got != want {
		t.Errorf("ls -l =\n%s\nwant\n%s", got, want)
	}
	got := runFor(t, "ls", "--json", image)
	for _, part := range []string{
		`"path": "/a\u001b[31m\nb"`, `"target": "\u0007%FE"`, `"type": "chardev"`, `"major": 1,`, `"minor": 3`,
		`"mode": "6644"`, `"user.note": "AQ=="`, `"names": 2`,
	} {
		if !strings.Contains(got, part) {
			t.Errorf("ls --json has no %s:\n%s", part, got)
		}
	}
}

func TestCatToATerminal(t *testing.T) {
	image := strange(t)
	if got, want := runFor(t, "cat", image+":/a\x1b[31m\nb"), "red \x1b[31m\ttab\nnul \x00 \xff\n"; got != want {
		t.Errorf("cat = %q, want %q", got, want)
	}
	got := onTerminal(t, "cat", image+":/a\x1b[31m\nb")
	if want := "red \\x1b[31m\ttab\nnul \\x00 \\xff\n"; got != want {
		t.Errorf("cat to a terminal = %q, want %q", got, want)
	}
}
