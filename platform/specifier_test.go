// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestParse(t *testing.T) {
	tests := []struct{ in, want string }{
		{"linux/amd64", "linux/amd64"},
		{"linux/arm/v7", "linux/arm/v7"},
		{"linux/arm/7", "linux/arm/v7"},
		{"linux/arm/armv6", "linux/arm/v6"},
		{"linux/arm", "linux/arm"},
		{"linux/armel", "linux/arm/v6"},
		{"linux/arm64/v8", "linux/arm64"},
		{"linux/arm64/8", "linux/arm64"},
		{"linux/arm64/v8.2", "linux/arm64/v8.2"},
		{"Linux/ARM64", "linux/arm64"},
		{"arm64", "linux/arm64"},
		{"aarch64", "linux/arm64"},
		{"x86_64", "linux/amd64"},
		{"amd64", "linux/amd64"},
		{"riscv64", "linux/riscv64"},
		{"linux/amd64/v1", "linux/amd64"},
		{"linux/amd64/v3", "linux/amd64/v3"},
		{"windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"},
		{"", ""},
		{"linux", ""},
		{"windows", ""},
		{"nonsense", ""},
		{"linux/amd64/v1/x", ""},
		{"linux//v7", ""},
		{"linux/*", ""},
		{"linux/am d64", ""},
		{"linux/amd64\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			p, err := Parse(tt.in)
			if tt.want == "" {
				if err == nil {
					t.Fatalf("got %s, want an error", Format(p))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := Format(p); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestFormat(t *testing.T) {
	tests := []struct {
		in   ocispec.Platform
		want string
	}{
		{ocispec.Platform{}, "unknown"},
		{ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, "linux/arm64/v8"},
		{ocispec.Platform{OS: "unknown", Architecture: "unknown"}, "unknown/unknown"},
		{ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.1", OSFeatures: []string{"win32k"}}, "windows(10.0.1+win32k)/amd64"},
		{ocispec.Platform{OS: "linux", Architecture: "a/b"}, `linux/"a/b"`},
		{ocispec.Platform{OS: "linux"}, `linux/""`},
		{ocispec.Platform{OS: "linux", Architecture: "amd64", OSFeatures: []string{"b", "", "a", "b"}}, "linux(+a+b)/amd64"},
		{ocispec.Platform{OS: "linux", Architecture: "amd64", OSVersion: "1 (x)/y+z%\n"}, "linux(1%20%28x%29%2Fy%2Bz%25%0A)/amd64"},
	}
	for _, tt := range tests {
		if got := Format(tt.in); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestParseUserland(t *testing.T) {
	for in, want := range map[string]Userland{"": UserlandAuto, "auto": UserlandAuto, "32": Userland32, "64": Userland64, "16": ""} {
		if got, err := ParseUserland(in); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
}

// What a user types never panics, and what is understood reads the same again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"linux/arm/v7", "arm64", "windows(10.0.1+win32k)/amd64", "linux(%2f)/x/y", "/", "linux/armhf", "ux/nux/armarm",
		strings.Repeat("u", 900) + "x/a", `linux/"` + strings.Repeat("x", 62) + `äöü"`, `linux/"` + strings.Repeat("x", 61) + `\U0001f600abc"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			return
		}
		text := Format(p)
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("%q: %s cannot be read: %v", s, text, err)
		}
		if got := Format(again); got != text {
			t.Errorf("%q: got %s, then %s", s, text, got)
		}
	})
}

// TestWhatIsListedCanBeAskedFor holds that each entry of an index is chosen by
// the line that Format makes of it, whatever stands beside it.
func TestWhatIsListedCanBeAskedFor(t *testing.T) {
	entries := []ocispec.Platform{
		{OS: "linux", Architecture: "arm", Variant: "v6"},
		{OS: "linux", Architecture: "arm"},
		{OS: "linux", Architecture: "arm", Variant: "v7"},
		{OS: "linux", Architecture: "arm", Variant: "7"},
		{OS: "linux", Architecture: "arm64"},
		{OS: "linux", Architecture: "arm64", Variant: "v8"},
		{OS: "linux", Architecture: "aarch64"},
		{OS: "linux", Architecture: "amd64"},
		{OS: "linux", Architecture: "amd64", Variant: "v1"},
		{OS: "linux", Architecture: "amd64", Variant: "v3"},
		{OS: "linux", Architecture: "amd64", OSVersion: "5.4"},
		{OS: "linux", Architecture: "amd64", OSFeatures: []string{"sse4"}},
		{OS: "linux", Architecture: "amd64", OSFeatures: []string{"sse4", "a+b", "c/d"}},
		{OS: "linux", Architecture: "amd64", OSVersion: "with blanks (and more)", OSFeatures: []string{"ü%"}},
		{OS: "windows", Architecture: "amd64"},
		{OS: "windows", Architecture: "amd64", OSVersion: "10.0.17763.1"},
		{OS: "windows", Architecture: "amd64", OSVersion: "10.0.17763.2"},
		{OS: "windows", Architecture: "amd64", OSVersion: "10.0.20348.9", OSFeatures: []string{"win32k"}},
		{OS: "my.os", Architecture: "amd64"},
		{OS: "linux", Architecture: "a/b\n", Variant: `"`},
		{OS: "linux", Architecture: strings.Repeat("x", 1000)},
		{OS: "linux", Architecture: "amd64", OSVersion: strings.Repeat("9", 1000)},
		{OS: "", Architecture: "amd64"},
		{OS: "linux", Architecture: ""},
		{},
	}
	var candidates []ocispec.Descriptor
	for i := range entries {
		candidates = append(candidates, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Platform: &entries[i]})
	}
	for i, p := range entries {
		line := Format(p)
		w, err := ParseWanted(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		c, err := Choose(w, candidates)
		if err != nil || c.Index != i {
			t.Errorf("%s takes entry %d (%v), want %d", line, c.Index, err, i)
		}
	}
}

// TestParseAsContainerd holds that what containerd/platforms writes is read as
// it reads it.
func TestParseAsContainerd(t *testing.T) {
	for _, p := range []ocispec.Platform{
		{OS: "linux", Architecture: "arm", Variant: "v6"},
		{OS: "windows", Architecture: "amd64", OSVersion: "10.0.17763.1", OSFeatures: []string{"win32k"}},
		{OS: "linux", Architecture: "amd64", OSFeatures: []string{"a", "b"}},
		{OS: "linux", Architecture: "amd64", OSVersion: "1+(2)/3%", OSFeatures: []string{"x+y", "z/(%)"}},
	} {
		text := platforms.FormatAll(p)
		want, err := platforms.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Parse(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
		if got := Format(p); got != text {
			t.Errorf("got %s, want %s", got, text)
		}
	}
}
