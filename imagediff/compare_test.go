// SPDX-License-Identifier: Apache-2.0

package imagediff_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/imagediff"
	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/rootfs"
)

// image is one of layers, the lowest first, given as tars, with a config.
func image(t testing.TB, config string, layers ...[]byte) imagediff.Image {
	t.Helper()
	var i imagediff.Image
	var list []rootfs.Layer
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}
	var diffIDs []digest.Digest
	for _, raw := range layers {
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
		m.Layers, diffIDs = append(m.Layers, desc), append(diffIDs, desc.Digest)
		list = append(list, rootfs.Layer{Layer: manifest.Layer{Descriptor: desc, DiffID: desc.Digest}, Fetch: func(_ context.Context, use func(io.Reader) error) error {
			return use(bytes.NewReader(raw))
		}})
	}
	i.Manifest = &manifest.Image{Manifest: manifest.Manifest{Layers: m.Layers}}
	i.Config = &manifest.Config{DiffIDs: diffIDs, Raw: []byte(config)}
	files, err := rootfs.Read(t.Context(), list, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	i.Files = files
	return i
}

func with(h tar.Header, name string) imagetest.Entry {
	h.Name = name
	return imagetest.Entry{Header: h}
}

func TestFiles(t *testing.T) {
	base := imagetest.Tar(imagetest.Dir("d/", 0o755), imagetest.File("d/a", "one"), imagetest.File("d-b", "x"), imagetest.Symlink("l", "d/a"))
	tests := map[string]struct {
		a, b    [][]byte
		options imagediff.Options
		want    []string
	}{
		"the same":                  {a: [][]byte{base}, b: [][]byte{base}},
		"the same of two layers":    {a: [][]byte{base, imagetest.Tar(imagetest.File("e", "e"))}, b: [][]byte{imagetest.Tar(imagetest.File("e", "e")), base}},
		"one more, one less":        {a: [][]byte{base, imagetest.Tar(imagetest.File("d/.wh.a", ""))}, b: [][]byte{base, imagetest.Tar(imagetest.File("d/b", "b"))}, want: []string{"added /d/a", "added /d/b"}},
		"a directory goes":          {a: [][]byte{base}, b: [][]byte{base, imagetest.Tar(imagetest.File(".wh.d", ""))}, want: []string{"removed /d", "removed /d/a"}},
		"another content":           {a: [][]byte{base}, b: [][]byte{base, imagetest.Tar(imagetest.File("d/a", "two"))}, want: []string{"changed /d/a content"}},
		"another size":              {a: [][]byte{base}, b: [][]byte{base, imagetest.Tar(imagetest.File("d-b", "xx"))}, want: []string{"changed /d-b content"}},
		"another type":              {a: [][]byte{base}, b: [][]byte{base, imagetest.Tar(imagetest.Symlink("d-b", "l"))}, want: []string{"changed /d-b type,mode"}},
		"another target":            {a: [][]byte{base}, b: [][]byte{base, imagetest.Tar(imagetest.Symlink("l", "d"))}, want: []string{"changed /l target"}},
		"mode, owner, attributes":   {a: [][]byte{base}, b: [][]byte{base, imagetest.Tar(with(tar.Header{Typeflag: tar.TypeDir, Mode: 0o700, Uid: 5, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}}, "d/"))}, want: []string{"changed /d mode,owner,xattrs"}},
		"a time, which counts not":  {a: [][]byte{base}, b: [][]byte{base, imagetest.Tar(with(tar.Header{Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(5, 0)}, "d/"))}},
		"a time, which counts":      {a: [][]byte{base}, b: [][]byte{base, imagetest.Tar(with(tar.Header{Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(5, 0)}, "d/"))}, options: imagediff.Options{Times: true}, want: []string{"changed /d time"}},
		"a device":                  {a: [][]byte{imagetest.Tar(with(tar.Header{Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, "n"))}, b: [][]byte{imagetest.Tar(with(tar.Header{Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 5}, "n"))}, want: []string{"changed /n device"}},
		"a directory beside a name": {a: [][]byte{base}, b: [][]byte{imagetest.Tar(imagetest.File("d-b", "x"), imagetest.File("d", "f"), imagetest.Symlink("l", "d/a"))}, want: []string{"changed /d type,mode", "removed /d/a"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			found, err := imagediff.Compare(image(t, `{}`, test.a...), image(t, `{}`, test.b...), test.options)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range found.Files {
				got = append(got, c.String())
			}
			if !slices.Equal(got, test.want) || found.Equal() != (len(test.want) == 0) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestConfigs(t *testing.T) {
	tests := map[string]struct {
		a, b string
		want []string
	}{
		"the same in other words": {`{"os":"linux","config":{"Cmd":["a<b"],"Env":null}}`, `{"config":{"Cmd":[ "a\u003cb" ], "Env": []},"os":"linux"}`, nil},
		"layers and history":      {`{"rootfs":{"a":1},"history":[1]}`, `{"rootfs":{"a":2}}`, nil},
		"each by its name": {
			`{"config":{"Env":["A=1","B=2"],"Labels":{"x":"y"},"ExposedPorts":{"80/tcp":{}},"User":"root"}}`,
			`{"config":{"Env":["B=3","C"],"Labels":{"x":"z"},"ExposedPorts":{"81/tcp":{}}}}`,
			[]string{`config.Env.A "1" `, `config.Env.B "2" "3"`, `config.Env.C  ""`, `config.ExposedPorts.80/tcp {} `, `config.ExposedPorts.81/tcp  {}`, `config.Labels.x "y" "z"`, `config.User "root" `},
		},
		"of odd types": {`{"config":7,"os":["x"]}`, `{"config":{"Env":"x","Labels":3}}`, []string{`config.Env  "x"`, `config.Labels  3`, `os ["x"] `}},
		"none":         {``, `{"os":"linux"}`, []string{`os  "linux"`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			files := imagetest.Tar()
			found, err := imagediff.Compare(image(t, test.a, files), image(t, test.b, files), imagediff.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found.Config {
				got = append(got, f.Name+" "+f.A+" "+f.B)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestLayers(t *testing.T) {
	layers := map[rune][]byte{}
	for _, name := range "abcd" {
		layers[name] = imagetest.Tar(imagetest.File(string(name), "x"))
	}
	stack := func(names string) (list [][]byte) {
		for _, n := range names {
			list = append(list, layers[n])
		}
		return list
	}
	for _, test := range []struct{ a, b, want string }{
		{"ab", "ab", "ab||"}, {"ab", "acd", "a|b|cd"}, {"aab", "ab", "ab|a|"}, {"ab", "baa", "ab||a"}, {"a", "b", "|a|b"},
	} {
		found, err := imagediff.Compare(image(t, `{}`, stack(test.a)...), image(t, `{}`, stack(test.b)...), imagediff.Options{})
		if err != nil {
			t.Fatal(err)
		}
		names := func(list []imagediff.Layer) (text string) {
			for _, l := range list {
				for n, raw := range layers {
					if digest.FromBytes(raw) == l.DiffID {
						text += string(n)
					}
				}
			}
			return text
		}
		got := names(found.Layers.Shared) + "|" + names(found.Layers.OnlyA) + "|" + names(found.Layers.OnlyB)
		if got != test.want {
			t.Errorf("%s and %s: got %s, want %s", test.a, test.b, got, test.want)
		}
	}
}

// A config of whatever form is compared, with itself without a difference.
func FuzzConfigs(f *testing.F) {
	files := image(f, `{}`, imagetest.Tar())
	f.Add([]byte(`{"config":{"Env":["A=1"],"Labels":{"x":"y"}},"os":"linux"}`), []byte(`{"config":{"Env":[7]}}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, y := files, files
		x.Config, y.Config = &manifest.Config{Raw: a}, &manifest.Config{Raw: b}
		x.Manifest, y.Manifest = &manifest.Image{}, &manifest.Image{}
		if _, err := imagediff.Compare(x, y, imagediff.Options{}); err != nil {
			t.Error(err)
		}
		if found, err := imagediff.Compare(x, x, imagediff.Options{}); err != nil || !found.Equal() {
			t.Errorf("it differs from itself: %+v, %v", found, err)
		}
	})
}

func ExampleCompare() {
	read := func(body string) imagediff.Image {
		blob := imagetest.Tar(imagetest.File("etc/motd", body))
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(blob), Size: int64(len(blob))}
		files, err := rootfs.Read(context.Background(), []rootfs.Layer{{
			Layer: manifest.Layer{Descriptor: desc, DiffID: desc.Digest},
			Fetch: func(_ context.Context, use func(io.Reader) error) error { return use(bytes.NewReader(blob)) },
		}}, rootfs.Options{})
		if err != nil {
			panic(err)
		}
		return imagediff.Image{Files: files}
	}
	found, err := imagediff.Compare(read("hello\n"), read("hello, world\n"), imagediff.Options{})
	if err != nil {
		panic(err)
	}
	for _, change := range found.Files {
		fmt.Println(change)
	}
	// Output: changed /etc/motd content
}
