// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"testing"

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
	for _, s := range []string{"linux/arm/v7", "arm64", "windows(10.0.1+win32k)/amd64", "linux(%2f)/x/y", "/", "linux/armhf"} {
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
			return // quoted, or an option that its text form cannot hold
		}
		if got := Format(again); got != text {
			t.Errorf("%q: got %s, then %s", s, text, got)
		}
	})
}
