// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/unpack"
)

// TestRandomStacks mounts random stacks of layers, each unpacked alone, and
// compares the view with what the image specification's words come to when the
// layers are applied one by one; and so it does with what the merged journals
// say, and with the flat trees that are made without a mount. LAYERCTL_STACKS says how many, and
// LAYERCTL_SEED where to begin, to see one again. The layers of every second
// stack are unpacked at once.
func TestRandomStacks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts overlays")
	}
	first, count := number(t, "LAYERCTL_SEED", 1), number(t, "LAYERCTL_STACKS", stacks())
	t.Logf("seeds %d to %d", first, first+count-1)
	for begin := first; begin < first+count; begin += storeFor {
		t.Run(fmt.Sprintf("from %d", begin), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, memory(t), overlaystore.Options{})
			for seed := begin; seed < min(begin+storeFor, first+count) && !t.Failed(); seed++ {
				b.check(seed)
			}
		})
	}
}

// storeFor is how many stacks are in one store, to keep its directories short.
const storeFor = 500

// stacks is how many are compared where nothing is said.
func stacks() uint64 {
	if full() {
		return 200
	}
	return 12
}

func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(variable)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// bench is a store and a place to mount from it.
type bench struct {
	*testing.T
	store  *overlaystore.Store
	target string
	dir    string // on the filesystem of the store
	ids    layer.IDs
	erofs  *layertest.EROFS // of a store of tars
	driver overlaymount.Driver
}

// memory is a filesystem in memory, where a sync costs nothing: no store here is
// to outlive the test.
func memory(t *testing.T) string {
	t.Helper()
	return mounted(t, "tmpfs", "")
}

// mounted mounts a filesystem for the test.
func mounted(t *testing.T, fstype, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("layerctl-test", dir, fstype, 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func newBench(t *testing.T, dir string, o overlaystore.Options) *bench {
	t.Helper()
	b := &bench{T: t, target: t.TempDir()}
	store, err := overlaystore.Open(t.Context(), filepath.Join(dir, "store"), o)
	if err != nil {
		t.Fatal(err)
	}
	b.store, b.dir, b.ids = store, dir, store.Format().IDs
	if want := os.Getenv(stacksIDs); want != "" && string(b.ids) != want {
		t.Fatalf("the store has %s ids, want %s", b.ids, want)
	}
	t.Cleanup(func() { store.Close() })
	return b
}

func (b *bench) check(seed uint64) {
	b.Helper()
	layers, want := stack(seed)
	image, err := b.put(layers, seed%2 == 0)
	if err != nil {
		b.Errorf("seed %d: %v\n%s", seed, err, tell(layers))
		return
	}
	compare := func(what string, list func() ([]string, error)) {
		b.Helper()
		got, err := list()
		if err != nil {
			b.Errorf("seed %d: %s: %v\n%s", seed, what, err, tell(layers))
			return
		}
		if diff := compare(got, want.listing()); diff != "" {
			b.Errorf("seed %d: %s is not what the layers mean:\n%s%s", seed, what, diff, tell(layers))
		}
	}
	compare("what the journals say", func() ([]string, error) { return b.merged(image.Layers) })
	if lines, ok, err := b.read(image, seed); ok || err != nil {
		compare("what others read", func() ([]string, error) { return lines, err })
	}
	flat := seed%flatOne < 2 // an odd one and an even one
	var raw []byte
	if flat {
		compare("the flat tar", func() (lines []string, err error) {
			lines, raw, err = b.tarred(layers)
			return lines, err
		})
		compare("what is written again", func() ([]string, error) { return b.written(image.Layers) })
	}
	var was map[*inode][2]int
	if b.ids == layer.SquashedIDs {
		was = want.squash()
	}
	if b.mounts(seed) {
		compare("the mounted view", func() ([]string, error) { return b.view(image) })
	}
	if !flat {
		return
	}
	var from *overlaystore.Store
	if seed%2 == 0 {
		from = b.store
	}
	clearSetID(was)
	compare("the unpacked tree", func() ([]string, error) { return b.flattened(layers, from) })
	if seed%extractOne == 0 && b.ids == layer.HostIDs {
		compare("the extracted tar", func() ([]string, error) { return b.extracted(raw) })
	}
}

const (
	// flatOne is of how many stacks two are unpacked and exported too.
	flatOne = 12
	// extractOne is of how many stacks the tar of one is extracted.
	extractOne = 3
)

// put unpacks the layers into the store, the highest first, or all at once:
// none of them may depend on another being there.
func (b *bench) put(layers [][]imagetest.Entry, atOnce bool) (overlaystore.Image, error) {
	image := overlaystore.Image{Manifest: digest.FromString(fmt.Sprint(layers))}
	var diffIDs []digest.Digest
	for _, entries := range layers {
		diffIDs = append(diffIDs, digest.FromBytes(imagetest.Tar(entries...)))
	}
	var group errgroup.Group
	if !atOnce {
		group.SetLimit(1)
	}
	for i, entries := range slices.Backward(layers) {
		if slices.Contains(diffIDs[i+1:], diffIDs[i]) {
			continue
		}
		has, err := b.store.HasLayer(diffIDs[i])
		if err != nil {
			return image, err
		}
		if has {
			continue
		}
		group.Go(func() error {
			if err := b.layer(entries, diffIDs[i]); err != nil {
				return fmt.Errorf("layer %d: %w", i+1, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return image, err
	}
	image.Layers = diffIDs
	return b.store.PutImage(b.Context(), image)
}

func (b *bench) layer(entries []imagetest.Entry, diffID digest.Digest) error {
	st, err := b.store.Stage(b.Context(), diffID)
	if err != nil {
		return err
	}
	defer st.Discard()
	options := unpack.Options{Form: b.store.Format().Form, WriteBehind: b.store.Syncs()}
	owners := recordedOwners{}
	options.Record = func(e layer.Entry) error { return errors.Join(owners.record(e), st.Record(e)) }
	result, err := b.unpack(st, options, bytes.NewReader(imagetest.Tar(entries...)), unpack.Source{
		MediaType: "application/vnd.oci.image.layer.v1.tar", DiffID: diffID,
	})
	if err != nil {
		return err
	}
	if err := owners.check(entries); err != nil {
		return err
	}
	if err := st.Seal(b.Context(), overlaystore.LayerRecord{Size: result.Size, DiskSize: result.Content, Facts: result.Facts}); err != nil {
		return err
	}
	return b.store.Commit(b.Context(), st)
}

// view mounts the image and lists it.
func (b *bench) view(image overlaystore.Image) ([]string, error) {
	mount, err := overlaymount.Assemble(b.Context(), b.store, image, overlaymount.Options{Driver: b.driver})
	if err != nil {
		return nil, err
	}
	if err := mount.Mount(b.Context(), b.target); err != nil {
		return nil, err
	}
	defer func() {
		if err := b.unmount(); err != nil {
			b.Error(err)
		}
	}()
	return listTree(b.T, b.target), nil
}

// unmount waits for processes that another stack's test starts: from its fork to
// its exec a child has every descriptor that was open, those of this mount, too.
func (b *bench) unmount() error {
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		err := overlaymount.Unmount(b.Context(), b.store, b.target, overlaymount.UnmountOptions{})
		if !errors.Is(err, unix.EBUSY) || time.Since(begun) > time.Minute {
			return err
		}
	}
}

// compare tells the lines that only one side has.
func compare(got, want []string) string {
	var diff string
	for _, line := range want {
		if !slices.Contains(got, line) {
			diff += "  want " + line + "\n"
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			diff += "  got  " + line + "\n"
		}
	}
	return diff
}

// tell shows layers to whoever has to find the fault.
func tell(layers [][]imagetest.Entry) string {
	var b bytes.Buffer
	for i, layer := range layers {
		fmt.Fprintf(&b, "  layer %d:\n", i+1)
		for _, e := range layer {
			fmt.Fprintf(&b, "    %c %04o %d:%d %s %s %v\n", e.Typeflag, e.Mode, e.Uid, e.Gid, e.Name, e.Linkname, e.PAXRecords)
		}
	}
	return b.String()
}
