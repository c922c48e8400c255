// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cache"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/disktest"
	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/imagelist"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/layertest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/internal/syncreport"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
)

func TestMain(m *testing.M) { os.Exit(disktest.Apart(m.Run)) }

// place is a registry, a store and engines.
type place struct {
	t        *testing.T
	registry *registrytest.Registry
	host     string
	store    *overlaystore.Store
	client   *layerctl.Client

	given  map[string]digest.Digest // what an engine has, by its name and the image's
	users  map[digest.Digest][]string
	down   bool   // no engine answers
	asked  func() // is called where engines are asked for users
	pruned int
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, registry: registrytest.NewRegistry(), given: map[string]digest.Digest{}, users: map[digest.Digest][]string{}}
	t.Cleanup(p.registry.Close)
	p.host = p.registry.Host
	dir := filepath.Join(layertest.MemoryDir(t), "store")
	var err error
	if p.store, err = overlaystore.Open(t.Context(), dir, overlaystore.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.store.Close() })
	kept, err := cache.Open(t.Context(), filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kept.Close() })
	o := layerctl.Options{Cache: kept, Platform: "linux/amd64"}
	o.Registry.PlainHTTP, o.Registry.Retries = []string{p.host}, -1
	p.client = layerctl.New(o)
	return p
}

// push makes an image of so many bytes, and gives it a tag.
func (p *place) push(tag string, bytes int) digest.Digest {
	p.t.Helper()
	l := imagetest.NewLayout(p.t.TempDir())
	l.Tag(l.Image(ocispec.Platform{OS: "linux", Architecture: "amd64"}, imagetest.Tar(imagetest.File("f", tag+imagetest.Noise(bytes)))), tag)
	return p.registry.AddLayout(l.Dir, tag).Digest
}

// list reads lines in which HOST is the registry.
func (p *place) list(text string) []imagelist.Image {
	p.t.Helper()
	list, err := imagelist.Read(strings.NewReader(strings.ReplaceAll(text, "HOST", p.host)))
	if err != nil {
		p.t.Fatal(err)
	}
	return list
}

func (p *place) options() Options {
	w, err := platform.ParseWanted("linux/amd64")
	if err != nil {
		p.t.Fatal(err)
	}
	return Options{Client: p.client, Store: p.store, Engines: p, Wanted: w, Into: []string{"one"}}
}

// sync runs, and says what became of each image: "STATE NAME".
func (p *place) sync(text string, change func(*Options)) ([]string, error) {
	p.t.Helper()
	o := p.options()
	if change != nil {
		change(&o)
	}
	r, err := Run(p.t.Context(), p.list(text), o)
	var rows []string
	for _, i := range r.Images {
		name := strings.TrimPrefix(i.Reference, p.host+"/")
		name, _, _ = strings.Cut(name, "@")
		rows = append(rows, string(i.State)+" "+name)
	}
	return rows, err
}

// want runs and compares what became of each image.
func (p *place) want(text string, change func(*Options), want ...string) error {
	p.t.Helper()
	rows, err := p.sync(text, change)
	if !slices.Equal(rows, want) {
		p.t.Errorf("%q: got %q, want %q (%v)", text, rows, want, err)
	}
	return err
}

func (p *place) Give(into string, _ *layerctl.Client, image imagelist.Image, stored overlaystore.Image, root digest.Digest) error {
	if p.down {
		return errkind.With(errkind.Network, errors.New("the engine is down"))
	}
	if root != stored.Manifest {
		p.t.Errorf("%s is given as %s", stored.Manifest, root)
	}
	p.given[into+" "+strings.TrimPrefix(image.Reference, p.host+"/")] = stored.Manifest
	return nil
}

func (p *place) Users(_ context.Context, stored overlaystore.Image) ([]string, error) {
	if p.down {
		return nil, errors.New("the engine is down")
	}
	if p.asked != nil {
		p.asked()
	}
	return p.users[stored.Manifest], nil
}

func (p *place) Take(manifest digest.Digest) error {
	for name, m := range p.given {
		if m == manifest {
			delete(p.given, name)
		}
	}
	return nil
}

func (p *place) Prune() (int64, error) {
	p.pruned++
	pruned, err := p.store.Prune(p.t.Context(), overlaystore.PruneOptions{})
	for name, m := range p.given {
		if _, err := p.store.Image(m); err != nil {
			delete(p.given, name)
		}
	}
	return pruned.Bytes, err
}

// has says whether an engine has an image.
func (p *place) has(m digest.Digest) bool {
	for _, g := range p.given {
		if g == m {
			return true
		}
	}
	return false
}

func TestRun(t *testing.T) {
	p := newPlace(t)
	small, large := p.push("small", 10), p.push("large", 9000)
	var order []string
	begin := func(o *Options) {
		o.Begin = func(i imagelist.Image, _, _ int) { order = append(order, i.Reference[len(p.host)+3:]) }
	}
	p.push("pinned", 20_000)
	if err := p.want("HOST/a:large\nHOST/b:small\nHOST/c:none\nHOST/d:pinned pin into=two\nHOST/e:small linux/arm64\n", begin,
		"pulled a:large", "pulled b:small", "failed c:none", "pulled d:pinned", "failed e:small"); !errors.Is(err, errkind.NotFound) {
		t.Errorf("error %v", err)
	}
	if want := []string{"pinned", "none", "small", "small", "large"}; !slices.Equal(order, want) && order[0] != "pinned" || order[len(order)-1] != "large" {
		t.Errorf("order %q, want %q", order, want)
	}
	if p.given["one a:large"] != large || p.given["one b:small"] != small || p.given["two d:pinned"] == "" || len(p.given) != 3 {
		t.Errorf("given %v", p.given)
	}
	// The second run: one HEAD an image, and an engine that has lost one gets it.
	clear(p.given)
	p.registry.Requests()
	if err := p.want("HOST/a:large\nHOST/b:small\nHOST/d:pinned pin into=two\n", begin, "present a:large", "present b:small", "present d:pinned"); err != nil {
		t.Error(err)
	}
	requests := p.registry.Requests()
	if len(requests) != 3 || len(p.given) != 3 || slices.ContainsFunc(requests, func(r string) bool { return !strings.HasPrefix(r, "HEAD ") }) {
		t.Errorf("requests %q, given %v", requests, p.given)
	}
	// Without a registry what is there stays, and an engine gets it all the same.
	clear(p.given)
	p.registry.Fail("manifests", 503)
	if err := p.want("HOST/a:large\n", nil, "failed a:large", "dropped b:small", "dropped d:pinned"); !errors.Is(err, errkind.Network) {
		t.Errorf("error %v", err)
	}
	if p.given["one a:large"] != large {
		t.Errorf("given %v", p.given)
	}
}

// TestDrop: what goes and what stays.
func TestDrop(t *testing.T) {
	for _, c := range []struct {
		name, text string
		prepare    func(p *place, one digest.Digest)
		change     func(*Options)
		stays      bool // the first image, in the engine
		want       []string
	}{
		{"a line removed", `{"images":[]}`, nil, nil, false, []string{"dropped app:one"}},
		{"another tag", "HOST/app:two", nil, nil, false, []string{"pulled app:two", "dropped app:one"}},
		{"another tag that is not there", "HOST/app:none", nil, nil, true, []string{"failed app:none", "kept app:one"}},
		{"a tag that moved", "HOST/app:one", func(p *place, _ digest.Digest) { p.push("one", 30) }, nil, false, []string{"pulled app:one", "dropped app"}},
		{"an old version", "HOST/app:two", nil, func(o *Options) { o.Keep = 1 }, true, []string{"pulled app:two", "kept app:one"}},
		{"the old version of a tag", "HOST/app:one", func(p *place, _ digest.Digest) { p.push("one", 30) }, func(o *Options) { o.Keep = 1 }, false, []string{"pulled app:one", "kept app"}},
		{"no version of another repository", "HOST/other:two", nil, func(o *Options) { o.Keep = 1 }, false, []string{"pulled other:two", "dropped app:one"}},
		{"what a container uses", `{"images":[]}`, func(p *place, one digest.Digest) { p.users[one] = []string{"c"} }, nil, true, []string{"kept app:one"}},
		{"a tag that moved below a container", "HOST/app:one", func(p *place, one digest.Digest) { p.push("one", 30); p.users[one] = []string{"c"} }, nil, false, []string{"pulled app:one", "kept app"}},
		{"an engine that is down", `{"images":[]}`, func(p *place, _ digest.Digest) { p.down = true }, nil, true, []string{"kept app:one"}},
		{"a line without sense", "HOST/app:two\nHOST/app:one linux/amd46 x y", nil, nil, true, []string{"pulled app:two", "failed app:one", "kept app:one"}},
		{"a dry run", "HOST/app:two", nil, func(o *Options) { o.DryRun = true }, true, []string{"pulled app:two", "dropped app:one"}},
		{"another name of the image", "HOST/copy:one", nil, nil, true, []string{"pulled copy:one", "dropped app:one"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlace(t)
			one := p.push("one", 10)
			p.push("two", 20)
			if err := p.want("HOST/app:one", nil, "pulled app:one"); err != nil {
				t.Fatal(err)
			}
			if c.prepare != nil {
				c.prepare(p, one)
			}
			_ = p.want(c.text, c.change, c.want...)
			if p.has(one) != c.stays {
				t.Errorf("the engine has %v", p.given)
			}
			_, err := p.store.Image(one)
			kept := slices.ContainsFunc(c.want, func(w string) bool { return strings.HasPrefix(w, "kept") })
			if inStore := err == nil; inStore != (c.stays || kept) {
				t.Errorf("the store has it: %v", inStore)
			}
		})
	}
}

// TestDropBesideARemoval: a name that somebody removes while the engines are asked is
// gone as it should be.
func TestDropBesideARemoval(t *testing.T) {
	p := newPlace(t)
	one := p.push("one", 10)
	if err := p.want("HOST/app:one", nil, "pulled app:one"); err != nil {
		t.Fatal(err)
	}
	p.asked = func() {
		if err := p.store.Remove(t.Context(), p.host+"/app:one", ""); err != nil {
			t.Error(err)
		}
	}
	if err := p.want(`{"images":[]}`, nil, "dropped app:one"); err != nil {
		t.Error(err)
	}
	if p.has(one) {
		t.Errorf("the engine has %v", p.given)
	}
}

// TestDropSparesOthers: a sync drops no name that it has not made.
func TestDropSparesOthers(t *testing.T) {
	p := newPlace(t)
	p.push("one", 10)
	if _, err := p.client.Pull(t.Context(), p.store, p.host+"/mine:one"); err != nil {
		t.Fatal(err)
	}
	if err := p.want("HOST/app:one", nil, "pulled app:one"); err != nil {
		t.Fatal(err)
	}
	if err := p.want(`{"images":[]}`, nil, "dropped app:one"); err != nil {
		t.Fatal(err)
	}
	if images, err := p.store.Images(); err != nil || len(images) != 1 || len(images[0].Refs) != 1 {
		t.Errorf("images %+v, %v", images, err)
	}
}

// TestWindowEnds: what is not begun when the window ends is left, and is no error.
func TestWindowEnds(t *testing.T) {
	p := newPlace(t)
	p.push("one", 10)
	p.push("two", 20)
	now := time.Date(2026, 11, 29, 4, 59, 0, 0, time.UTC)
	late := func(o *Options) {
		o.Until = now.Add(time.Minute)
		o.Now = func() time.Time { return now }
		o.End = func(imagelist.Image, error) { now = now.Add(time.Minute) }
	}
	if err := p.want("HOST/a:two\nHOST/b:one", late, "postponed a:two", "pulled b:one"); err != nil {
		t.Error(err)
	}
	if err := p.want("HOST/a:two\nHOST/b:one", nil, "pulled a:two", "present b:one"); err != nil {
		t.Error(err)
	}
}

func TestOneAtATime(t *testing.T) {
	p := newPlace(t)
	s, err := openState(t.Context(), p.store.Dir(), true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.sync(`{"images":[]}`, nil); !errors.Is(err, ErrRunning) {
		t.Errorf("error %v", err)
	}
	waited := false
	if _, err := p.sync(`{"images":[]}`, func(o *Options) {
		o.Wait, o.Waiting = true, func() {
			waited = true
			if err := s.close(); err != nil {
				t.Error(err)
			}
		}
	}); err != nil || !waited {
		t.Errorf("waited %v, %v", waited, err)
	}
}

// TestMakeRoom: old versions that --keep leaves go for an image that has no room
// else, the oldest first.
func TestMakeRoom(t *testing.T) {
	p := newPlace(t)
	for i, tag := range []string{"one", "two", "three"} {
		p.push(tag, 10+i)
		if _, err := p.sync("HOST/app:"+tag, func(o *Options) { o.Keep = 9 }); err != nil {
			t.Fatal(err)
		}
	}
	r := &run{Options: p.options(), state: &state{}}
	r.Now = time.Now
	r.add(p.list("HOST/app:three")[0])
	r.rows[0].ready = true
	s, err := openState(t.Context(), p.store.Dir(), true, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.state = s
	defer s.close()
	r.part()
	if len(r.olds) != 2 || r.makeRoom(t.Context(), 1<<62) || len(r.olds) != 0 {
		t.Errorf("left %v", r.olds)
	}
	if len(r.gone) != 2 || !strings.Contains(r.gone[0].Reference, "app:one") || r.gone[0].State != syncreport.Dropped {
		t.Errorf("gone %+v", r.gone)
	}
}

// TestEachStepMayFail makes one durable step after the other fail: nothing that
// the list names is ever missing from the engine once it was there, and the next
// run brings all. In short it is one step in 37, in full one in 7.
func TestEachStepMayFail(t *testing.T) {
	first := newPlace(t)
	first.push("one", 10)
	first.push("two", 20)
	if err := first.want("HOST/app:one\nHOST/b:two", nil, "pulled app:one", "pulled b:two"); err != nil {
		t.Fatal(err)
	}
	steps, every := 0, 7
	if os.Getenv("LAYERCTL_FULL") != "1" {
		every = 37
	}
	for n := 0; n < 400; n += every {
		tag := fmt.Sprint("t", n)
		first.push(tag, 30+n)
		ctx, op := durable.WithFaultAt(t.Context(), n, func() error { return errors.New("broken") })
		_, _ = Run(ctx, first.list("HOST/app:"+tag+"\nHOST/b:two"), first.options())
		if first.given["one b:two"] == "" {
			t.Fatalf("step %d, %s: an image that the list names is gone", n, *op)
		}
		if rows, err := first.sync("HOST/app:"+tag+"\nHOST/b:two", nil); err != nil || !slices.Contains(rows, "present b:two") || first.given["one app:"+tag] == "" {
			t.Errorf("step %d, %s: %q, %v", n, *op, rows, err)
		}
		if images, err := first.store.Images(); err != nil || len(images) != 2 {
			t.Errorf("step %d, %s left %d images, %v", n, *op, len(images), err)
		}
		if *op == "" {
			return
		}
		steps++
	}
	t.Errorf("no end after %d steps", steps)
}
