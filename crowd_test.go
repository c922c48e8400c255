// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// crowdImages share layers, in different places.
var crowdImages = []string{"one", "two", "three"}

func makeCrowdImages(t *testing.T) string {
	t.Helper()
	dir := disktest.Memory(t)
	tar := func(name string, more ...imagetest.Entry) []byte {
		entries := []imagetest.Entry{imagetest.Dir("d/", 0o711), imagetest.File(name+"/.wh..wh..opq", "")}
		for i := range 20 {
			entries = append(entries, imagetest.File(fmt.Sprintf("d/%s-%d", name, i), strings.Repeat(name, 1000*i)))
		}
		entries = append(entries, more...)
		return imagetest.Tar(append(entries, imagetest.File("etc/who", name))...)
	}
	a, b, c, d := tar("a", imagetest.Dir("etc/", 0o700)), tar("b"), tar("c"), tar("d")
	for name, layers := range map[string][][]byte{"one": {a, b, c}, "two": {c, b, d}, "three": {d, a}} {
		layout := imagetest.NewLayout(filepath.Join(dir, name))
		layout.Tag(layout.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, layers...), "latest")
	}
	return dir
}

// crowd is what the processes of TestManyProcesses do; another's removal is no
// fault.
func crowd(ctx context.Context, f *field, name string) error {
	switch name {
	case "prune all":
		_, err := f.store.Prune(ctx, overlaystore.PruneOptions{KeepStorage: 1})
		return err
	case "verify all":
		return isClean(f)
	}
	if what, ok := strings.CutPrefix(name, "cached "); ok {
		return cachedCrowd(ctx, f, what)
	}
	_, err := faultClient().Pull(ctx, f.store, f.ref(name))
	return err
}

// Eight processes pull, prune and verify the same three images some times, and
// some are killed at random moments. Nobody but those may fail, and in the end
// the store is what one quiet pull makes. LAYERCTL_CROWD says how long they go
// on, such as 60s.
func TestManyProcesses(t *testing.T) {
	t.Parallel()
	images := makeCrowdImages(t)
	lowers(t, func(t *testing.T, lower layer.Lower) {
		if lower == layer.Tars && !full() && os.Getenv(crowdEnv) == "" {
			t.Skip("runs eight processes once more: LAYERCTL_FULL=1 runs it, and so does " + crowdEnv)
		}
		t.Parallel()
		crowdOn(t, &field{images: images, lower: lower})
	})
}

func crowdOn(t *testing.T, first *field) {
	dir := newStoreDir(t)
	first.open(t, dir)
	if err := disktest.NumberLinks(dir); err != nil {
		t.Fatal(err)
	}
	first.close(t)
	// From here, for a machine of one processor runs one crowd after the other.
	more := crowdGoesOn(t)
	var runs, kills atomic.Int64
	var wg sync.WaitGroup
	for i, name := range []string{"one", "two", "three", "one", "two", "three", "prune all", "verify all"} {
		wg.Go(func() {
			for n := 0; more(n) && !t.Failed(); n++ {
				mortal := i < 3 || i == 6 && n%4 == 0
				if runInCrowd(t, name, mortal, dir, first.images) {
					kills.Add(1)
				}
				runs.Add(1)
			}
		})
	}
	wg.Wait()
	t.Logf("%d runs, %d of them killed", runs.Load(), kills.Load())
	if long := os.Getenv(crowdEnv) != ""; long && (kills.Load() == 0 || kills.Load() == runs.Load()) {
		t.Errorf("%d of %d runs were killed, want some", kills.Load(), runs.Load())
	}
	first.checkCrowd(t, dir)
}

// crowdEnv says for how long the crowd goes on.
const crowdEnv = "LAYERCTL_CROWD"

// crowdGoesOn says whether a process begins again that has run n times.
func crowdGoesOn(t *testing.T) func(n int) bool {
	t.Helper()
	if s := os.Getenv(crowdEnv); s != "" {
		lasts, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		until := time.Now().Add(lasts)
		return func(int) bool { return time.Now().Before(until) }
	}
	times := 1
	if full() {
		times = 15
	}
	return func(n int) bool { return n < times }
}

// runInCrowd reports whether the process was killed on its way.
func runInCrowd(t *testing.T, name string, mortal bool, dir, images string) bool {
	ctx := t.Context()
	if mortal {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(5+rand.IntN(200))*time.Millisecond)
		defer cancel() // CommandContext ends it with SIGKILL
	}
	cmd := childCommand(ctx, t, name, -1, dir, images)
	out, err := cmd.CombinedOutput()
	killed := mortal && cmd.ProcessState != nil && cmd.ProcessState.String() == "signal: killed"
	if err != nil && !killed && ctx.Err() == nil {
		t.Errorf("%s: %v: %s", name, err, out)
	}
	return killed
}

func (f *field) checkCrowd(t *testing.T, dir string) {
	t.Helper()
	quiet, tired := &field{images: f.images, lower: f.lower}, &field{images: f.images, lower: f.lower}
	quiet.open(t, newStoreDir(t))
	defer quiet.close(t)
	tired.open(t, dir)
	defer tired.close(t)
	for _, name := range crowdImages {
		if err := errors.Join(quiet.pull(t.Context(), name), tired.pull(t.Context(), name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(isClean(tired), pruneAll(t.Context(), tired)); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"layers", "fix", "images", "refs"} {
		got, want := crowdTree(t, tired, name), crowdTree(t, quiet, name)
		if diff := compare(got, want); diff != "" || len(want) < 2 {
			t.Errorf("%s/ is not what a quiet pull makes:\n%s", name, diff)
		}
	}
	for _, name := range []string{"staging", "trash", "leases"} {
		if list, err := os.ReadDir(filepath.Join(dir, name)); err != nil || len(list) != 0 {
			t.Errorf("%s/ holds %v, error %v; want nothing", name, list, err)
		}
	}
}

// crowdTree lists a directory of the store, without what tells when it was
// made.
func crowdTree(t *testing.T, f *field, name string) []string {
	t.Helper()
	var lines []string
	for _, line := range listTree(t, filepath.Join(f.store.Path(), name)) {
		if strings.Contains(line, "/fs") {
			lines = append(lines, line)
			continue
		}
		path, _, _ := strings.Cut(line, " ")
		lines = append(lines, path)
	}
	return lines
}
