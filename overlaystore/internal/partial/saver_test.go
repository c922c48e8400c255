// SPDX-License-Identifier: Apache-2.0

package partial

import (
	"context"
	"os"
	"testing"

	"github.com/layerctl/layerctl/internal/durable"
)

// Who ends does not wait for a slow disk: the sync that is under way is left, and
// writes nothing behind the back of the next one.
func TestSettleLeavesASlowSync(t *testing.T) {
	dir, err := durable.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	goes := make(chan struct{})
	slow := durable.WithFault(t.Context(), func(op string) error {
		if op == "syncfs" {
			<-goes
		}
		return durable.ErrLeaveOut
	})
	ended, cancel := context.WithCancel(slow)
	cancel()
	s := Saver{Dir: dir, Sync: true}
	if err := s.write(t.Context(), unsyncedNames[1], nil); err != nil {
		t.Fatal(err)
	}
	s.last, s.number = []byte("checkpoint"), 1
	if err := s.Settle(ended); err != nil {
		t.Fatal(err)
	}
	if err := s.wait(t.Context()); err != nil { // does not hang
		t.Fatal(err)
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	close(goes)
	<-s.under.ended
	if s.under.err != nil {
		t.Errorf("the sync ended with %v", s.under.err)
	}
	if _, err := os.Lstat(dir.Name() + "/" + durableName); !os.IsNotExist(err) {
		t.Errorf("a checkpoint was made durable: %v", err)
	}
}

// A checkpoint that came while an earlier one was synced is synced, too.
func TestSettleSyncsTheLast(t *testing.T) {
	dir, err := durable.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	s := Saver{Dir: dir, Sync: true, last: []byte("first"), number: 1}
	s.start(t.Context(), 0)
	s.last, s.number = []byte("second"), 2
	if err := s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(dir.Name() + "/" + durableName); err != nil || string(b) != "second" {
		t.Errorf("durable is %q, %v", b, err)
	}
}
