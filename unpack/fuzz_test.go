// SPDX-License-Identifier: Apache-2.0

package unpack_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	. "github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/unpack"
	"golang.org/x/sys/unix"
)

// shm is where a fuzz target unpacks: in memory where that can be.
func shm() string {
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// repair makes the checksums of headers right, so that a fuzzer gets past
// them.
func repair(b []byte) []byte {
	b = bytes.Clone(b)
	for i := 0; i+512 <= len(b); i += 512 {
		blk := b[i : i+512]
		if len(bytes.Trim(blk, "\x00")) == 0 {
			continue
		}
		copy(blk[148:156], "        ")
		sum := 0
		for _, c := range blk {
			sum += int(c)
		}
		copy(blk[148:156], fmt.Sprintf("%06o\x00 ", sum))
	}
	return b
}

// FuzzLayer unpacks any tar: nothing outside may change, what was recorded
// must be what is there, the errors are of the kinds that are promised, and
// Read says the same.
func FuzzLayer(f *testing.F) {
	f.Add(rootlessLayer, byte(0))
	f.Add(RawTar(PAX("path", "../canary/keep"), RawEntry{Name: "a", Type: '0', Body: "pwned"}), byte(1))
	f.Add(Tar(File(".wh..wh.plnk/1.2", "x"), Hardlink("a/b", ".wh..wh.plnk/1.2"), Symlink("s", ".wh..wh.plnk"), Hardlink("s/c", "../canary/keep")), byte(0))
	f.Add(Tar(Symlink("l", "../canary"), File("l/keep", "pwned"), Hardlink("h", "l/keep"), File("h", "pwned")), byte(2))
	f.Add(Tar(File("d/.wh..wh..opq", ""), File(".wh.d", ""), File("d/a", ""), Dir("d", 0o555), File("d/e/.wh.x", "")), byte(3))
	f.Add(xattred('0', "f", "user.x", "y", "system.posix_acl_access", acl(aclUser, aclGroup, aclOther)), byte(1))
	f.Fuzz(func(t *testing.T, b []byte, n byte) {
		form := forms[int(n)%len(forms)]
		if os.Geteuid() != 0 && form.o.IDs != layer.SquashedIDs {
			return
		}
		fuzzOne(t, b, form)
		fuzzOne(t, repair(b), form)
	})
}

func fuzzOne(t *testing.T, b []byte, form form) {
	t.Helper()
	top, err := os.MkdirTemp(shm(), "unpack")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = removeAll(top) }()
	c := newCanary(t, filepath.Join(top, "canary"))
	dir := filepath.Join(top, "layer")
	mkdir(t, dir)
	j := make(journal)
	o := form.o
	o.Limits = unpack.Limits{Entries: 1000, Bytes: 4 << 20, Depth: 50, Reserve: -1}
	o.Record = j.record
	r, err := layerInto(t, dir, b, "", o)
	c.check(t)
	var errno unix.Errno
	if form.name == forms[0].name && !errors.As(err, &errno) {
		checkRead(t, b, "", o, unpacked{j, r, err})
	}
	switch {
	case err == nil:
		if os.Geteuid() == 0 { // others may be kept out by the layer's modes
			j.check(t, dir, form.o)
		}
	case errors.Is(err, unpack.ErrMalformed), errors.Is(err, unpack.ErrLimit), errors.As(err, &errno):
	default:
		t.Fatalf("error of no kind: %v", err)
	}
}
