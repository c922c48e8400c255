// SPDX-License-Identifier: Apache-2.0

package snapshotdir

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
)

// The kernel refuses to verify a file that somebody has open to be written
// (ETXTBSY), and the engine would have it do so.
func TestProbeIsOnlyRead(t *testing.T) {
	dir, err := durable.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	f, err := Probe(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() != 4096 {
		t.Errorf("%v, %v", st, err)
	}
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_ACCMODE != unix.O_RDONLY {
		t.Errorf("flags %o, %v", flags, err)
	}
}
