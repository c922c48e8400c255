// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"errors"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestChoose(t *testing.T) {
	tests := []struct {
		name, ask, index string
		want             int // index of the entry, -1 for a refusal
		warns            string
	}{
		{"levels, the highest", "linux/amd64/v4", "shapes/levels", 0, ""},
		{"levels, one between", "linux/amd64/v3", "shapes/levels", 2, ""},
		{"levels, none asked for", "linux/amd64", "shapes/levels", 1, ""},
		{"levels, v1", "linux/amd64/v1", "shapes/levels", 1, ""},
		{"levels, arm64 v8", "linux/arm64", "shapes/levels", 6, ""},
		{"levels, arm64 v8.1", "linux/arm64/v8.1", "shapes/levels", 7, ""},
		{"levels, v9 runs v8.5 and below", "linux/arm64/v9", "shapes/levels-high-only", 1, ""},
		{"levels, too high", "linux/amd64/v2", "shapes/levels-high-only", -1, ""},
		{"386 for 386", "linux/386", "shapes/386-only", 0, ""},
		{"synonyms in the index", "linux/amd64", "shapes/synonyms", 0, ""},
		{"synonyms in the index, arm64", "linux/arm64/v8", "shapes/synonyms", 1, ""},
		{"synonyms in the index, arm", "linux/arm/v7", "shapes/synonyms", 2, ""},
		{"synonyms in the question", "linux/x86_64", "alpine-3.20/index", 0, ""},
		{"OS version, the newest of none asked for", "windows/amd64", "shapes/os-version", 2, "no version of Windows"},
		{"OS version, the build is what counts", "windows(10.0.17763.9999)/amd64", "shapes/os-version", 0, ""},
		{"OS version, another build", "windows(10.0.19041.1)/amd64", "shapes/os-version", -1, ""},
		{"OS version, of no interest to another OS", "linux/amd64", "shapes/os-version", 3, ""},
		{"OS feature that is missing", "linux/amd64", "shapes/os-features", 1, ""},
		{"OS feature that was asked for", "linux(+erofs)/amd64", "shapes/os-features", 0, ""},
		{"riscv64 profile that nobody knows of", "linux/riscv64", "shapes/riscv64-profiles", 1, ""},
		{"riscv64 profile that was asked for", "linux/riscv64/rva23u64", "shapes/riscv64-profiles", 0, ""},
		{"the only image, without a platform", "linux/amd64", "shapes/no-platform", 0, "names no platform"},
		{"two images without a platform", "linux/amd64", "shapes/no-platform-two", -1, ""},
		{"a nested index that names its platform", "linux/amd64", "shapes/nested", 2, ""},
		{"beside a nested index", "linux/arm64", "shapes/nested", 1, ""},
		{"only a nested index that names none could hold it", "linux/s390x", "shapes/nested", -1, ""},
		{"artifacts and schema 1 beside an image", "linux/amd64", "shapes/artifacts", 4, ""},
		{"nothing", "linux/amd64", "shapes/empty", -1, ""},
		{"a 2018 list", "linux/arm/v7", "traefik-2018/docker-manifest-inspect", 1, ""},
		{"arm/v8 takes v8 before v7", "linux/arm/v8", "shapes/wrong-order", 4, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			entries := readIndex(t, tt.index)
			c, err := Choose(wanted(t, "", tt.ask), entries)
			if tt.want < 0 {
				var none *NoMatchError
				if !errors.As(err, &none) || !errors.Is(err, ErrNoMatch) || len(none.Verdicts) != len(entries) {
					t.Fatalf("got entry %d, %v; want a refusal with %d verdicts", c.Index, err, len(entries))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.Index != tt.want {
				t.Errorf("got entry %d, want %d: %+v", c.Index, tt.want, c.Verdicts)
			}
			warnings := strings.Join(c.Warnings, "; ")
			if (tt.warns == "") != (warnings == "") || !strings.Contains(warnings, tt.warns) {
				t.Errorf("warnings: got %q, want %q", warnings, tt.warns)
			}
		})
	}
}

// The order of the index must not matter: each rotation gives the same entry.
func TestChooseWhateverTheOrder(t *testing.T) {
	for _, index := range columns {
		entries := readIndex(t, index)
		for _, row := range rows {
			w := wanted(t, row.machines[0], "")
			want, wantErr := Choose(w, entries)
			for i := range entries {
				turned := slices.Concat(entries[i:], entries[:i])
				got, err := Choose(w, turned)
				if (err == nil) != (wantErr == nil) || got.Descriptor.Digest != want.Descriptor.Digest {
					t.Errorf("%s of %s from entry %d on: got %v, want %v", row.machines[0], index, i, got.Descriptor.Platform, want.Descriptor.Platform)
				}
			}
		}
	}
}

func TestVerdicts(t *testing.T) {
	c, err := Choose(wanted(t, "pi-4-64", ""), slices.Concat(readIndex(t, "shapes/debian-attested"), readIndex(t, "shapes/nested"), readIndex(t, "shapes/artifacts")))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"linux/amd64":    "is for amd64",
		"linux/arm/v5":   "ARMv5 code runs on ARMv8, and the kernel was seen to run such code",
		"linux/arm/v7":   "ARMv7 code runs on ARMv8, and the kernel was seen to run such code",
		"linux/arm64/v8": "is what this machine is",
		"linux/s390x":    "is for s390x",
	}
	for _, v := range c.Verdicts {
		if v.Reason == "" || v.Accepted != (v.Rank > 0) {
			t.Errorf("verdict says nothing: %+v", v)
		}
		if v.Descriptor.Platform == nil || v.Descriptor.ArtifactType != "" || v.Descriptor.MediaType != ocispec.MediaTypeImageManifest {
			continue
		}
		if reason, ok := want[Format(*v.Descriptor.Platform)]; ok && v.Reason != reason {
			t.Errorf("%s: got %q, want %q", Format(*v.Descriptor.Platform), v.Reason, reason)
		}
	}
	var reasons []string
	for _, v := range c.Verdicts {
		reasons = append(reasons, v.Reason)
	}
	for _, says := range []string{
		"is an attestation, no image",
		"is an index itself, without a platform",
		"is an artifact, no image: application/vnd.dev.cosign.artifact.sig.v1+json",
		"is a Docker schema 1 manifest",
		"names its platform unknown",
	} {
		if !slices.ContainsFunc(reasons, func(r string) bool { return strings.HasPrefix(r, says) }) {
			t.Errorf("no verdict says %q", says)
		}
	}
}

func TestNoMatchSaysWhatThereIs(t *testing.T) {
	tests := []struct{ machine, ask, index, want string }{
		{"pi-zero-w", "", "shapes/arm-only-v7", "no image for linux/arm/v6: there is linux/arm/v7; nearest is linux/arm/v7: needs ARMv7, and this machine is ARMv6"},
		{"sheevaplug-qnap-ts419", "", "alpine-3.20/index", "no image for linux/arm/v5: there are linux/amd64, linux/386, linux/arm64/v8, linux/arm/v6, linux/arm/v7, linux/ppc64le, linux/riscv64 and linux/s390x; nearest is linux/arm/v6: needs ARMv6, and this machine is ARMv5"},
		{"apple-m1-vm", "", "shapes/arm-only-v7", "no image for linux/arm64/v8.4: there is linux/arm/v7; nearest is linux/arm/v7: is for arm: its CPUs or its kernel run no 32-bit code"},
		{"pi-zero-w", "", "shapes/distroless-variantless", "no image for linux/arm/v6: there are linux/amd64, linux/arm64, linux/arm, linux/s390x and linux/ppc64le; nearest is linux/arm: names no variant: by convention v7, and this machine is v6; who asks for linux/arm gets it all the same"},
		{"", "darwin/arm64", "shapes/arm64-only", "no image for darwin/arm64: there are linux/amd64 and linux/arm64; nearest is linux/arm64: is for linux"},
		{"", "linux/mips64le", "shapes/arm64-only", "no image for linux/mips64le: there are linux/amd64 and linux/arm64"},
		{"", "linux/amd64", "shapes/empty", "no image for linux/amd64: it names no platform at all"},
		{"", "windows(10.0.1)/amd64", "shapes/os-version", "no image for windows(10.0.1)/amd64: there are windows(10.0.17763.2300)/amd64, windows(10.0.20348.2340)/amd64, windows(10.0.20348.1906+win32k)/amd64 and linux/amd64; nearest is windows(10.0.17763.2300)/amd64: is for version 10.0.17763.2300 of windows, and what was asked for is 10.0.1"},
		{"", "linux/amd64/v2", "shapes/levels-high-only", "no image for linux/amd64/v2: there are linux/amd64/v3 and linux/arm64/v8.2; nearest is linux/amd64/v3: needs amd64/v3, and what was asked for is amd64/v2"},
	}
	for _, tt := range tests {
		t.Run(tt.machine+tt.ask+" of "+tt.index, func(t *testing.T) {
			_, err := Choose(wanted(t, tt.machine, tt.ask), readIndex(t, tt.index))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// One image without an index: its config says what it is for.
func TestJudge(t *testing.T) {
	tests := []struct {
		machine  string
		platform ocispec.Platform
		want     bool
		reason   string
	}{
		{"pi-zero-w", ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}, true, "is what this machine is"},
		{"pi-zero-w", ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}, false, "needs ARMv7, and this machine is ARMv6"},
		{"pi-4-64", ocispec.Platform{OS: "linux", Architecture: "amd64"}, false, "is for amd64"},
		{"pi-4-64", ocispec.Platform{OS: "linux", Architecture: "arm64"}, true, "is what this machine is"},
		{"pi-4-64", ocispec.Platform{}, false, "names no operating system"},
	}
	for _, tt := range tests {
		if v := wanted(t, tt.machine, "").judge(ocispec.Descriptor{Platform: &tt.platform, MediaType: ocispec.MediaTypeImageManifest}); v.Accepted != tt.want || v.Reason != tt.reason {
			t.Errorf("%s on %s: got %v, %q", Format(tt.platform), tt.machine, v.Accepted, v.Reason)
		}
	}
}

// A platform is the author's text: it must not reach a terminal as it is.
func TestHostilePlatformIsQuoted(t *testing.T) {
	evil := "amd64\x1b]0;owned\a\n"
	entries := []ocispec.Descriptor{image("linux", evil, ""), image(evil, "amd64", evil), image("linux", "arm", "v9"+evil)}
	entries[2].Platform.OSVersion = evil
	entries[2].Platform.OSFeatures = []string{evil}
	entries = append(entries, ocispec.Descriptor{MediaType: evil}, ocispec.Descriptor{MediaType: entries[0].MediaType, ArtifactType: evil})
	_, err := Choose(wanted(t, "pi-2", ""), entries)
	var none *NoMatchError
	if !errors.As(err, &none) {
		t.Fatal(err)
	}
	text := none.Error()
	for _, v := range none.Verdicts {
		text += v.Reason
	}
	if strings.ContainsAny(text, "\x1b\a\n") {
		t.Errorf("got %q", text)
	}
}

func TestCompare(t *testing.T) {
	p := func(s string) ocispec.Platform {
		if s == "" {
			return ocispec.Platform{}
		}
		f := append(strings.Split(s, "/"), "", "")
		return ocispec.Platform{OS: f[0], Architecture: f[1], Variant: f[2]}
	}
	tests := []struct {
		name, entry, config string
		want                []string
	}{
		{"equal", "linux/arm/v6", "linux/arm/v6", nil},
		{"arm64 is arm64/v8", "linux/arm64", "linux/arm64/v8", nil},
		{"and the other way", "linux/arm64/v8", "linux/arm64", nil},
		{"armv7 is v7", "linux/arm/armv7", "linux/arm/v7", nil},
		{"common#1295: busybox's config names no variant", "linux/arm/v6", "linux/arm", nil},
		{"the entry names no variant", "linux/arm", "linux/arm/v6", nil},
		{"AgentBaker#8815, k3s#2198: arm64 in the index, amd64 in the config", "linux/arm64", "linux/amd64", []string{`architecture: the index says "arm64", the image's config "amd64"`}},
		{"another variant", "linux/arm/v6", "linux/arm/v7", []string{`variant: the index says "v6", the image's config "v7"`}},
		{"another OS", "linux/amd64", "windows/amd64", []string{`os: the index says "linux", the image's config "windows"`}},
		{"no entry", "", "linux/amd64", nil},
		{"an empty config", "linux/amd64", "", []string{`os: the index says "linux", the image's config ""`, `architecture: the index says "amd64", the image's config ""`}},
		{"all of it", "linux/arm/v6", "windows/amd64", []string{`os: the index says "linux", the image's config "windows"`, `architecture: the index says "arm", the image's config "amd64"`}},
		{"escapes", "linux/amd64", "linux/\x1b[2J", []string{`architecture: the index says "amd64", the image's config "\x1b[2J"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			entry := p(tt.entry)
			at := &entry
			if tt.entry == "" {
				at = nil
			}
			var got []string
			for _, c := range Compare(at, p(tt.config)) {
				got = append(got, c.String())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	conflicts := Compare(&ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.17763.1"}, ocispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.20348.1"})
	if len(conflicts) != 1 || conflicts[0].Field != "os.version" {
		t.Errorf("os.version: got %v", conflicts)
	}
}

func TestOldManifestsAreNamed(t *testing.T) {
	for _, mediaType := range []string{"application/vnd.docker.distribution.manifest.v1+json", "application/vnd.docker.distribution.manifest.v1+prettyjws"} {
		p := ocispec.Platform{OS: "linux", Architecture: "amd64"}
		_, err := Choose(Want(p), []ocispec.Descriptor{{MediaType: mediaType, Platform: &p}})
		if !errors.Is(err, ErrNoMatch) || !strings.Contains(err.Error(), "schema 1") {
			t.Errorf("%s: got %v, want an error that says schema 1", mediaType, err)
		}
	}
}
