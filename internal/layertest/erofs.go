// SPDX-License-Identifier: Apache-2.0

package layertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// EROFSFile is one path of an index as a reader that is not ours tells it.
type EROFSFile struct {
	Path         []byte // "." is the root
	Mode         uint32 // as in stat(2)
	UID, GID     uint32
	Sec, Nsec    int64
	Size         int64
	Major, Minor uint32
	Ino          uint64
	Nlink        int
	Link         []byte
	Sum          []byte // SHA-256 of the content, where it has up to 64 MiB
	Content      []byte // the first 64 KiB of it
	Xattrs       [][2][]byte
}

// EROFS are the programs that look at indexes and are not ours. Each is used
// where the environment names it: LAYERCTL_EROFS_READER is test/erofsreader,
// LAYERCTL_EROFS_FSCK and LAYERCTL_EROFS_DUMP are those of erofs-utils 1.8.
type EROFS struct {
	reader, fsck, dump string
	in                 *json.Encoder
	out                *json.Decoder
}

// NewEROFS finds the programs, and starts the reader for the time of the test.
func NewEROFS(t testing.TB) *EROFS {
	t.Helper()
	e := &EROFS{reader: os.Getenv("LAYERCTL_EROFS_READER"), fsck: os.Getenv("LAYERCTL_EROFS_FSCK"), dump: os.Getenv("LAYERCTL_EROFS_DUMP")}
	if e.reader == "" {
		return e
	}
	cmd := exec.Command(e.reader)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Errorf("%s: %v", e.reader, err)
		}
	})
	e.in, e.out = json.NewEncoder(in), json.NewDecoder(out)
	return e
}

// Read tells what the reader reads of an index over devices. ok is false where
// there is no reader. It is for one goroutine.
func (e *EROFS) Read(index string, devices []string) (files []EROFSFile, ok bool, err error) {
	if e.in == nil {
		return nil, false, nil
	}
	if err := e.in.Encode(struct {
		Index   string
		Devices []string
	}{index, devices}); err != nil {
		return nil, false, err
	}
	var answer struct {
		Files []EROFSFile
		Error string
	}
	if err := e.out.Decode(&answer); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, false, fmt.Errorf("%s: %w", e.reader, err)
	}
	if answer.Error != "" {
		return nil, false, fmt.Errorf("%s: %s", e.reader, answer.Error)
	}
	return answer.Files, true, nil
}

// Check has fsck.erofs look at an index over devices, and dump.erofs count what
// is in it: the error is of the one that does not accept it.
func (e *EROFS) Check(index string, devices []string) error {
	var args []string
	for _, d := range devices {
		args = append(args, "--device="+d)
	}
	for program, options := range map[string][]string{e.fsck: nil, e.dump: {"-s", "-S"}} {
		if program == "" {
			continue
		}
		all := append(append(append([]string{}, options...), args...), index)
		if out, err := exec.Command(program, all...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %.1000s", program, err, out)
		}
	}
	return nil
}

// NeedsEROFSFUSE skips where no erofsfuse is in $PATH, or the kernel has no FUSE.
func NeedsEROFSFUSE(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("erofsfuse"); err != nil {
		t.Skipf("needs erofsfuse: %v", err)
	}
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs a kernel that has FUSE: %v", err)
	}
	f.Close()
}
