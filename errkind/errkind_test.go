// SPDX-License-Identifier: Apache-2.0

package errkind_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"testing"

	"github.com/layerctl/layerctl/errkind"
)

func TestOf(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want errkind.Kind
	}{
		{"nothing", nil, 0},
		{"nobody's", io.ErrUnexpectedEOF, errkind.Failure},
		{"a kind alone", errkind.Busy, errkind.Busy},
		{"a kind in a chain", fmt.Errorf("pull: %w", fmt.Errorf("layer: %w", errkind.NotFound)), errkind.NotFound},
		{"a sentinel", fmt.Errorf("x: %w", errkind.New(errkind.Malformed, "bad")), errkind.Malformed},
		{"the operating system's", &fs.PathError{Op: "open", Path: "x", Err: syscall.EIO}, errkind.Filesystem},
		{"a full disk beside a wrong digest", errors.Join(syscall.ENOSPC, errkind.Mismatch), errkind.Mismatch},
		{"no network and nothing found", errors.Join(errkind.Network, errkind.NotFound), errkind.NotFound},
		{"a refused file that is missing", errkind.With(errkind.Denied, fs.ErrNotExist), errkind.Denied},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := errkind.Of(c.err); got != c.want {
				t.Errorf("kind %d, want %d", got, c.want)
			}
		})
	}
}

func TestWithKeepsTheTextAndTheCause(t *testing.T) {
	err := errkind.With(errkind.Network, fmt.Errorf("read: %w", io.EOF))
	if err.Error() != "read: EOF" || !errors.Is(err, io.EOF) || !errors.Is(err, errkind.Network) || errors.Is(err, errkind.Busy) {
		t.Errorf("error %q", err)
	}
	if errkind.With(errkind.Network, nil) != nil {
		t.Error("nil became an error")
	}
	if errkind.New(errkind.Busy, "x") == errkind.New(errkind.Busy, "x") {
		t.Error("two sentinels are one")
	}
}

func ExampleOf() {
	err := fmt.Errorf("layer sha256:4bcf…: %w", errkind.Mismatch)
	fmt.Println(int(errkind.Of(err)), err)
	// Output: 6 layer sha256:4bcf…: verification failed
}
