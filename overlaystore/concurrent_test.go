// SPDX-License-Identifier: Apache-2.0

package overlaystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/storedirs"
)

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) waitFor(t *testing.T, text string) {
	t.Helper()
	for range 6000 {
		b.mu.Lock()
		said := strings.Contains(b.buf.String(), text)
		b.mu.Unlock()
		if said {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("nobody said %q", text)
}

// One of two fetches a layer; the other says that it waits, and gets it when
// the first commits or takes over when the first gives up.
func TestSecondWaitsForTheFirst(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(s *Store, g *Staging) error
		want error
	}{
		{"commits", func(s *Store, g *Staging) error {
			return errors.Join(fillAndSeal(t.Context(), g, "base"), s.Commit(t.Context(), g))
		}, ErrExists},
		{"gives up", func(_ *Store, g *Staging) error { return g.Discard() }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log syncBuffer
			dir := filepath.Join(t.TempDir(), "store")
			first := reopen(t, dir, Options{})
			second := reopen(t, dir, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			g, err := first.Stage(t.Context(), layerID("base"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := second.TryStage(t.Context(), layerID("base")); !errors.Is(err, ErrBusy) {
				t.Errorf("without waiting: %v, want ErrBusy", err)
			}
			got := make(chan error)
			go func() {
				g, err := second.Stage(t.Context(), layerID("base"))
				if err == nil {
					err = g.Discard()
				}
				got <- err
			}()
			log.waitFor(t, "waiting for another process that is fetching the same layer")
			if err := c.end(first, g); err != nil {
				t.Fatal(err)
			}
			if err := <-got; !errors.Is(err, c.want) {
				t.Errorf("the second got %v, want %v", err, c.want)
			}
		})
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	s := openStore(t)
	g, err := s.Stage(t.Context(), layerID("base"))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Discard()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Stage(ctx, layerID("base")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want context.DeadlineExceeded", err)
	}
}

// A living process's staging is not rubbish.
func TestReapSparesTheLiving(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := reopen(t, dir, Options{})
	g, err := s.Stage(t.Context(), layerID("base"))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Discard()
	lease, err := s.Lease(t.Context(), "test", layerID("base"))
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	other := reopen(t, dir, Options{})
	if _, err := other.Prune(t.Context(), PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := fillAndSeal(t.Context(), g, "base"); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Prune(t.Context(), PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	if has, err := s.HasLayer(layerID("base")); err != nil || !has {
		t.Errorf("the leased layer is there: %v, error %v", has, err)
	}
}

// What another process prunes while it is verified is no damage; what it
// brings again meanwhile is looked at again.
func TestVerifyWhileOthersPrune(t *testing.T) {
	for _, again := range []bool{false, true} {
		s := openStore(t)
		if err := pullBoth(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		other := reopen(t, s.Path(), Options{})
		report, err := s.Verify(t.Context(), VerifyOptions{Progress: func(_ digest.Digest, number, _ int) {
			if number != 1 {
				return
			}
			err := other.Remove(t.Context(), "app", "")
			if err == nil {
				_, err = other.Prune(t.Context(), PruneOptions{})
			}
			if again && err == nil {
				err = pullApp(t.Context(), other)
			}
			if err != nil {
				t.Error(err)
			}
		}})
		if err != nil {
			t.Errorf("brought again %t: %v %v", again, err, report.Differences)
		}
	}
}

// The layers that two images share are wanted by all processes in different
// orders, while others remove, prune and verify.
func TestManyProcesses(t *testing.T) {
	openStore(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(memoryDir(t), "store")
	reopen(t, dir, Options{}).Close()
	if err := disktest.NumberLinks(dir); err != nil {
		t.Fatal(err)
	}
	times := 2
	if full() {
		times = 40
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range times {
				cmd := exec.Command(self)
				// Some are killed on their way; the others must not notice.
				step := 1 << 20
				if i < 3 {
					step = (7*n + 5*i) % 60
				}
				name := []string{"pull", "pull", "mix", "rm", "prune", "verify", "pull", "mix"}[i]
				cmd.Env = append(os.Environ(), crowdEnv+"=1", fmt.Sprintf("%s=%s %d %s", childEnv, name, step, dir))
				out, err := cmd.CombinedOutput()
				if err != nil && cmd.ProcessState.String() != "signal: killed" {
					t.Errorf("%s: %v: %s", name, err, out)
					return
				}
			}
		})
	}
	wg.Wait()
	s := reopen(t, dir, Options{})
	if err := pullBoth(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	verifySound(t, s, "in the end")
	if _, err := s.Prune(t.Context(), PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	checkEmpty(t, s, storedirs.Staging, storedirs.Trash, storedirs.Leases)
}

// crowd are the commands of TestManyProcesses beside the usual ones, with the
// answers that others' work may make.
func crowd(ctx context.Context, s *Store, name string) error {
	var err error
	switch name {
	case "pull":
		return pullApp(ctx, s)
	case "mix":
		return pullOneByOne(ctx, s)
	case "rm":
		time.Sleep(20 * time.Millisecond)
		if err = s.Remove(ctx, "app", ""); errors.Is(err, ErrNotFound) {
			return nil
		}
	case "prune":
		_, err = s.Prune(ctx, PruneOptions{})
	case "verify":
		var r Report
		if r, err = s.Verify(ctx, VerifyOptions{}); err != nil {
			err = fmt.Errorf("%w: %v", err, r.Differences)
		}
	}
	return err
}

// pullOneByOne wants the layers in the other order, and holds one at a time.
func pullOneByOne(ctx context.Context, s *Store) (err error) {
	names := []string{"app2", "app", "base"}
	ids := []digest.Digest{layerID("base"), layerID("app"), layerID("app2")}
	lease, err := s.Lease(ctx, "mix", ids...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lease.Release()) }()
	for _, name := range names {
		g, err := s.Stage(ctx, layerID(name))
		if errors.Is(err, ErrExists) {
			continue
		}
		if err != nil {
			return err
		}
		if err := fillAndSeal(ctx, g, name); err != nil {
			return errors.Join(err, g.Discard())
		}
		if err := s.Commit(ctx, g); err != nil {
			return err
		}
	}
	img, err := s.PutImage(ctx, Image{Manifest: digest.FromString("manifest mix"), Layers: ids})
	if err != nil {
		return err
	}
	return s.Tag(ctx, "mix", img.Manifest, TagOptions{})
}
