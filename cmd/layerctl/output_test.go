// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
)

// Until an output is whole its directory has nothing of it, so that whoever
// kills the process leaves nothing; then it has the name, in place of what had
// it before.
func TestOutputHasNoNameUntilItIsWhole(t *testing.T) {
	dir := t.TempDir()
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Skip("needs a filesystem that makes files without a name: ", err)
	}
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.String("output", file, "")
	flags.Bool("no-sync", true, "")
	c := cli.NewContext(cli.NewApp(), flags, nil)
	names := func() []os.DirEntry {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	for n, text := range []string{"one", "another"} {
		err := setup.WriteOutput(c, func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			if got := names(); len(got) != n {
				t.Errorf("while it is written there are %v", got)
			}
			return err
		})
		raw, rerr := os.ReadFile(file)
		if err := errors.Join(err, rerr); err != nil || string(raw) != text || len(names()) != 1 {
			t.Errorf("got %q, %v, beside %v", raw, err, names())
		}
	}
	broken := errors.New("broken")
	if err := setup.WriteOutput(c, func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if raw, err := os.ReadFile(file); err != nil || string(raw) != "another" || len(names()) != 1 {
		t.Errorf("after a failure: %q, %v, beside %v", raw, err, names())
	}
}
