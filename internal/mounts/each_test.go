// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// endless gives one line of mountinfo after the other, and ends a context with
// the third.
type endless struct {
	lines int
	end   func()
}

func (r *endless) Read(p []byte) (int, error) {
	if r.lines++; r.lines == 3 {
		r.end()
	}
	return copy(p, "22 1 0:20 / /proc rw,nosuid - proc proc rw\n"), nil
}

// A list that does not end is not waited for.
func TestReadingEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	list, err := parse(ctx, &endless{end: cancel})
	if !errors.Is(err, context.Canceled) || len(list) != 3 || list[0].Target != "/proc" {
		t.Errorf("got %d entries, %v", len(list), err)
	}
}

// What another user has in a namespace of his own counts while there is time
// for strangers; what is the caller's counts always.
func TestStrangersHaveALimit(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts as another user")
	}
	const script = `mkdir "$1/l" "$1/u" "$1/w" "$1/m" && mount -t overlay stranger -o "userxattr,lowerdir=$1/l,upperdir=$1/u,workdir=$1/w" "$1/m" && echo ready && cat`
	dir, err := os.MkdirTemp("", "strangers")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	cmd.Dir = "/"
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		_ = cmd.Wait()
	}()
	ready := make([]byte, 6)
	if _, err := io.ReadFull(out, ready); err != nil {
		t.Skip("needs a kernel that lets users mount overlayfs in a namespace of their own: ", said.String())
	}
	none, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		strangers context.Context
		seen      bool
	}{"with time": {t.Context(), true}, "without": {none, false}} {
		seen := false
		err := each(t.Context(), c.strangers, readTable, func(_ string, e Entry) {
			seen = seen || strings.HasPrefix(e.Target, dir)
		})
		if err != nil || seen != c.seen {
			t.Errorf("%s: seen %v, %v", name, seen, err)
		}
	}
}

// A process that ends before its mounts are read says nothing of its namespace, in
// which others go on.
func TestProcessEndsMeanwhile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes a mount namespace")
	}
	cmd := exec.Command("unshare", "--mount", "sh", "-c", "sleep 1000 & echo ready; read end; kill $!")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		_ = cmd.Wait()
	}()
	if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	theirs, err := namespace(strconv.Itoa(cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	reads, seen := 0, 0
	read := func(_ context.Context, proc string) ([]Entry, error) {
		ns, err := namespace(proc)
		if err != nil || ns != theirs {
			return nil, err
		}
		if reads++; reads == 1 {
			return nil, os.ErrProcessDone
		}
		return []Entry{{Type: OverlayType, Target: "theirs"}}, nil
	}
	err = each(t.Context(), t.Context(), read, func(_ string, e Entry) {
		if e.Target == "theirs" {
			seen++
		}
	})
	if err != nil || reads != 2 || seen != 1 {
		t.Errorf("read %d times, seen %d times, %v", reads, seen, err)
	}
}
