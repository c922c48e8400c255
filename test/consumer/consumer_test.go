// SPDX-License-Identifier: Apache-2.0

// Package consumer uses the public packages of layerctl from another module.
// It fails to compile where a public signature names a type that only layerctl
// itself may import.
package consumer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
	client "github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/rootfs"
	"github.com/layerctl/layerctl/unpack"
	"github.com/opencontainers/go-digest"
)

var modified = time.Unix(0, 0)

const ref = host + "/hello:1"

// options are those of a caller with a RoundTripper and credentials of its own.
func options(r *registry) layerctl.Options {
	return layerctl.Options{
		Platform: "linux/amd64",
		Registry: client.Options{
			Transport: r,
			Credentials: func(_ context.Context, asked string) (client.Login, error) {
				if asked != host {
					return client.Login{}, errors.New("credentials for " + asked)
				}
				return client.Login{Username: user, Password: password}, nil
			},
		},
	}
}

func openStore(t *testing.T) *overlaystore.Store {
	t.Helper()
	store, err := overlaystore.Open(t.Context(), filepath.Join(t.TempDir(), "store"), overlaystore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// requires says whether the kernel mounts for this process; CI has root.
func requiresRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts")
	}
}

func TestPullAndMount(t *testing.T) {
	r := newRegistry(t)
	store := openStore(t)
	c := layerctl.New(options(r))
	pulled, err := c.Pull(t.Context(), store, ref)
	if err != nil {
		t.Fatal(err)
	}
	if pulled.Fetched != 3 || len(pulled.Image.Layers) != 3 || pulled.Image.Platform.Architecture != "amd64" {
		t.Errorf("pulled %+v", pulled)
	}
	asked := r.requests
	if again, err := c.Pull(t.Context(), store, ref); err != nil || again.Fetched != 0 {
		t.Errorf("pulled once more: %d layers fetched, %v", again.Fetched, err)
	}
	if got := r.requests - asked; got > 4 {
		t.Errorf("%d requests for an image that is there", got)
	}
	mount, err := overlaymount.Assemble(t.Context(), store, pulled.Image, overlaymount.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if line, err := mount.Line("/mnt"); err != nil || !strings.Contains(line, "mount -t overlay") {
		t.Errorf("line %q, %v", line, err)
	}
	requiresRoot(t)
	target := t.TempDir()
	if err := mount.Mount(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := overlaymount.Unmount(context.Background(), store, target, overlaymount.UnmountOptions{}); err != nil {
			t.Error(err)
		}
	})
	content, err := os.ReadFile(filepath.Join(target, "etc", "hello"))
	if err != nil || string(content) != "hello from linux/amd64\n" {
		t.Errorf("/etc/hello says %q, %v", content, err)
	}
}

func TestKindsOfErrors(t *testing.T) {
	r := newRegistry(t)
	o := options(r)
	c := layerctl.New(o)
	if _, err := c.Resolve(t.Context(), host+"/hello:2"); !errors.Is(err, errkind.NotFound) {
		t.Errorf("a tag that is not there: %v", err)
	}
	if _, err := c.Resolve(t.Context(), "NO SUCH NAME"); errkind.Of(err) != errkind.Usage {
		t.Errorf("no reference: %v", err)
	}
	o.Registry.Credentials = func(context.Context, string) (client.Login, error) {
		return client.Login{Username: user, Password: "wrong"}, nil
	}
	if _, err := layerctl.New(o).Resolve(t.Context(), ref); !errors.Is(err, errkind.Denied) {
		t.Errorf("a wrong password: %v", err)
	}
}

// The parts can be used without the Client: a layer's entries, as they are
// verified, from a source that the caller opened.
func TestEntriesOfALayer(t *testing.T) {
	parsed, err := client.Parse(host + "/hello:1")
	if err != nil {
		t.Fatal(err)
	}
	source, err := client.New(options(newRegistry(t)).Registry).Open(t.Context(), parsed)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	desc, raw, err := source.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	index, err := manifest.ParseIndex(raw, desc.MediaType)
	if err != nil {
		t.Fatal(err)
	}
	raw, err = source.Manifest(t.Context(), index.Manifests[0])
	if err != nil {
		t.Fatal(err)
	}
	image, err := manifest.ParseImage(raw, index.Manifests[0].MediaType)
	if err != nil {
		t.Fatal(err)
	}
	desc = image.Layers[2]
	blob, err := source.Blob(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	types := map[string]layer.Type{}
	var opaque layer.Opaque
	result, err := unpack.Read(t.Context(), blob, unpack.Source{MediaType: desc.MediaType, Size: desc.Size}, unpack.ReadOptions{
		Record: func(e layer.Entry) error {
			types[e.Path] = e.Type
			if e.Path == "var/cache" {
				opaque = e.Opaque
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Files != 1 || types["var/cache/fresh"] != layer.Regular || opaque != layer.Marked {
		t.Errorf("%d files: %v, var/cache is opaque as %q", result.Files, types, opaque)
	}
	var facts layer.Facts = result.Facts
	if len(facts.Implied) == 0 {
		t.Errorf("facts %+v", facts)
	}
}

func TestRootFS(t *testing.T) {
	r := newRegistry(t)
	c := layerctl.New(options(r))
	image, err := c.RootFS(t.Context(), ref, layerctl.RootFSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	if err := fstest.TestFS(image, "etc/hello", "etc/replaced", "srv/implied/parents.txt", "var/cache/fresh", "tmp"); err != nil {
		t.Error(err)
	}
	content, err := fs.ReadFile(image, "etc/replaced")
	if err != nil || string(content) != "from the second layer\n" {
		t.Errorf("etc/replaced says %q, %v", content, err)
	}
	seen := map[string]bool{}
	err = fs.WalkDir(image, ".", func(path string, _ fs.DirEntry, err error) error {
		seen[path] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen["etc/deleted"] || seen["var/cache/stale"] || !seen["etc/linked"] {
		t.Errorf("the walk saw %q", slices.Sorted(maps.Keys(seen)))
	}
	file, err := c.OpenFile(t.Context(), ref, "/etc/hello", layerctl.RootFSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := rootfs.Read(t.Context(), nil, rootfs.Options{}); err != nil {
		t.Errorf("no layers: %v", err)
	}
}

// Errors carry what went wrong as data, for whoever words it anew.
func TestTypedErrors(t *testing.T) {
	ctx := t.Context()
	_, err := unpack.Read(ctx, strings.NewReader(strings.Repeat("no tar", 1000)), unpack.Source{}, unpack.ReadOptions{})
	var malformed *unpack.MalformedError
	if !errors.As(err, &malformed) || malformed.Reason == "" || !errors.Is(err, errkind.Malformed) {
		t.Errorf("no tar: %v", err)
	}
	empty := strings.NewReader(strings.Repeat("\x00", 1024))
	_, err = unpack.Read(ctx, empty, unpack.Source{DiffID: "sha256:" + digest.Digest(strings.Repeat("0", 64))}, unpack.ReadOptions{})
	var mismatch *unpack.MismatchError
	if !errors.As(err, &mismatch) || mismatch.Got == mismatch.Want || !errors.Is(err, errkind.Mismatch) {
		t.Errorf("another tar: %v", err)
	}

	c := layerctl.New(options(newRegistry(t)))
	_, err = c.OpenFile(ctx, ref, "/etc/nothing", layerctl.RootFSOptions{})
	var path *rootfs.PathError
	if !errors.As(err, &path) || !errors.Is(err, errkind.NotFound) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err = c.OpenFile(ctx, ref, "/etc", layerctl.RootFSOptions{}); !errors.Is(err, rootfs.ErrDirectory) {
		t.Errorf("a directory: %v", err)
	}

	store := openStore(t)
	pulled, err := c.Pull(ctx, store, ref)
	if err != nil {
		t.Fatal(err)
	}
	_, err = overlaymount.Assemble(ctx, store, pulled.Image, overlaymount.Options{Options: []string{"lowerdir=/etc"}})
	var option *overlaymount.OptionError
	if !errors.As(err, &option) || option.Option != "lowerdir=/etc" || errkind.Of(err) != errkind.Usage {
		t.Errorf("an option that is not the caller's: %v", err)
	}
}

func TestRootFSErrors(t *testing.T) {
	one := func(headers ...tar.Header) []rootfs.Layer {
		var blob bytes.Buffer
		w := tar.NewWriter(&blob)
		for _, h := range headers {
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(blob.Bytes()), Size: int64(blob.Len())}
		return []rootfs.Layer{{
			Layer: manifest.Layer{Descriptor: desc, DiffID: desc.Digest},
			Fetch: func(_ context.Context, use func(io.Reader) error) error { return use(bytes.NewReader(blob.Bytes())) },
		}}
	}
	fifo := tar.Header{Name: "pipe", Typeflag: tar.TypeFifo, Mode: 0o644}
	if _, err := rootfs.Open(t.Context(), one(fifo), "/pipe", rootfs.Options{}); !errors.Is(err, rootfs.ErrNotRegular) {
		t.Errorf("a FIFO: %v", err)
	}
	if _, err := rootfs.Read(t.Context(), one(fifo), rootfs.Options{Memory: 1}); !errors.Is(err, rootfs.ErrLimit) {
		t.Errorf("more paths than fit: %v", err)
	}
	nowhere := tar.Header{Name: "name", Typeflag: tar.TypeLink, Linkname: "nowhere"}
	if _, err := rootfs.Read(t.Context(), one(nowhere), rootfs.Options{}); !errors.Is(err, rootfs.ErrMalformed) {
		t.Errorf("a link to nothing: %v", err)
	}
}

func TestStoreOfAnotherFormat(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "store.json"), []byte(`{"format":99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := overlaystore.Open(t.Context(), dir, overlaystore.Options{}); !errors.Is(err, overlaystore.ErrFormat) {
		t.Errorf("a store of tomorrow: %v", err)
	}
}
