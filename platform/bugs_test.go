// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What other tools chose wrong in the field, by the report of it.
func TestLiveBugs(t *testing.T) {
	tests := []struct {
		name    string
		machine string // in testdata/hosts, or
		ask     string // what --platform names
		index   string
		want    string // the entry, "-" for a refusal
		warns   string // what a warning says; empty: no warning
	}{
		{"moby#37647: a v6 machine takes the first ARM entry, v7", "pi-zero-w", "", "shapes/arm-v7-first", "linux/arm/v6", ""},
		{"moby#41017: a Pi Zero that says 7 is taken for v7", "pi-zero-w", "", "spegel-0.0.8/index", "-", ""},
		{"containerd#4530: the same under an old kernel, which has no model name", "pi-1-old-kernel", "", "alpine-3.20/index", "linux/arm/v6", ""},
		{"moby#34875: a v7 machine takes v5, which comes first", "pi-2", "", "shapes/debian-2017", "linux/arm/v7", ""},
		{"moby#36121: the memory model passes for the architecture", "arm1136-6tej", "", "shapes/busybox", "linux/arm/v6", ""},
		{"moby#44414: v5 is asked for, v6 comes", "", "linux/arm/v5", "alpine-3.20/index", "-", ""},
		{"containerd#2991, #3387: fetched for one variant, unpacked for another", "pi-2", "", "shapes/busybox", "linux/arm/v7", ""},
		{"containerd#3990: a 32-bit system on arm64 wants arm/v8, which nobody has", "pi-4-32-on-64", "", "shapes/debian-2017", "linux/arm/v7", ""},
		{"containerd#9980: armhf is asked for on an arm64 machine", "", "linux/armhf", "shapes/busybox", "linux/arm/v7", ""},
		{"containerd#12838: armv8l fits nothing", "graviton2-armv8l-container", "", "shapes/busybox", "linux/arm/v7", ""},
		{"LMDS#76: a 32-bit system on arm64 refuses an arm64 image", "pi-4-32-on-64", "", "shapes/arm64-only", "linux/arm64", "which the kernel runs too"},
		{"containerd#4932: arm/v7 comes for a CPU without 32-bit code", "apple-m1-vm", "", "shapes/arm-only-v7", "-", ""},
		{"containerd#4932: and is right where the kernel runs it", "pi-4-64", "", "shapes/arm-only-v7", "linux/arm/v7", "which the kernel runs too"},
		{"k3s#597: arm64 and arm64/v8 are no match", "graviton1", "", "grafana-6.7.1/docker-manifest-inspect", "linux/arm64", ""},
		{"image#898, podman#6507: arm64/v8 is asked for, the index says arm64", "", "linux/arm64/v8", "shapes/distroless-variantless", "linux/arm64", ""},
		{"image#864: amd64 is to have a variant", "x86-64-v3-epyc", "", "grafana-6.7.1/docker-manifest-inspect", "linux/amd64", ""},
		{"crane, oras: linux/arm takes v5, which comes first", "", "linux/arm", "shapes/debian-2017", "linux/arm/v7", ""},
		{"crane, oras: linux/arm takes v6, which comes first", "", "linux/arm", "alpine-3.20/index", "linux/arm/v7", ""},
		{"crane: amd64 where nothing was asked for", "graviton2", "", "scannerctl-0.1.1/index", "linux/arm64", ""},
		{"containerd: no variant passes for v7 before v5", "pi-2", "", "shapes/arm-v5-and-none", "linux/arm/v5", ""},
		{"no variant is worth a try on v7", "pi-2", "", "shapes/distroless-variantless", "linux/arm", "names no ARM variant"},
		{"no variant crashes on v6", "pi-zero-w", "", "shapes/distroless-variantless", "-", ""},
		{"no variant is taken by who asks for it", "", "linux/arm", "shapes/distroless-variantless", "linux/arm", "names no ARM variant"},
		{"no variant is not what v6 asks for", "", "linux/arm/v6", "shapes/distroless-variantless", "-", ""},
		{"dotnet-docker#510: armv7 is v7", "pi-2", "", "shapes/dotnet-2018", "linux/arm/armv7", ""},
		{"containers/image: no CPU architecture under qemu-user", "qemu-arm-arm1176-on-x86", "", "shapes/busybox", "linux/arm/v6", ""},
		{"regclient: no fall-back to uname under qemu-user", "qemu-arm-cortex-a7-on-x86", "", "shapes/busybox", "linux/arm/v7", ""},
		{"containerd: a level of arm64 that it does not know fits no arm64 at all", "", "linux/arm64/v8.10", "shapes/debian-2017", "linux/arm64/v8", ""},
		{"containerd: no v8.2 image is ever chosen", "graviton2", "", "shapes/levels", "linux/arm64/v8.2", ""},
		{"dragonfly#7904: code for v8.1 crashes on a Pi 4", "pi-4-64", "", "shapes/levels-high-only", "-", ""},
		{"containerd: 386 for amd64 that was asked for", "", "linux/amd64", "shapes/386-only", "-", ""},
		{"toxiproxy#580: one platform twice", "pi-zero-w", "", "shapes/toxiproxy-2.9.0", "linux/arm/v6", "more than one image"},
		{"buildx#1509: attestations", "x86-64-v2-nehalem", "", "shapes/debian-attested", "linux/amd64", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := wanted(t, tt.machine, tt.ask)
			entries := readIndex(t, tt.index)
			c, err := Choose(w, entries)
			if tt.want == "-" {
				if !errors.Is(err, ErrNoMatch) {
					t.Fatalf("got %v, %v; want a refusal", c.Descriptor.Platform, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := Format(*c.Descriptor.Platform); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if entries[c.Index].Digest != c.Descriptor.Digest || c.Verdicts[c.Index].Rank != 1 {
				t.Errorf("entry %d is not the chosen one: %+v", c.Index, c.Verdicts[c.Index])
			}
			warnings := strings.Join(c.Warnings, "; ")
			if (tt.warns == "") != (warnings == "") || !strings.Contains(warnings, tt.warns) {
				t.Errorf("warnings: got %q, want %q", warnings, tt.warns)
			}
			// Who asks again, about the chosen entry alone, is told the same.
			if _, err := Choose(w, []ocispec.Descriptor{c.Descriptor}); err != nil {
				t.Errorf("the chosen entry alone: %v", err)
			}
		})
	}
}

func wanted(t *testing.T, machine, ask string) Wanted {
	t.Helper()
	if machine != "" {
		return Detect(machineInputs(t, machine)).Wanted()
	}
	p, err := Parse(ask)
	if err != nil {
		t.Fatal(err)
	}
	return Want(p)
}

// The table of moby#37647, where Docker took one of two entries by their
// order: here the order never matters.
func TestTwoVariantsInEitherOrder(t *testing.T) {
	variants := []string{"", "v5", "v6", "v7"}
	best := map[string][]string{ // what runs, the best first
		"sheevaplug-qnap-ts419": {"v5"},
		"pi-zero-w":             {"v6", "v5"},
		"pi-2":                  {"v7", "v6", "v5", ""},
		"pi-4-64":               {"v7", "v6", "v5", ""},
	}
	for machine, order := range best {
		w := wanted(t, machine, "")
		for _, a := range variants {
			for _, b := range variants {
				if a == b {
					continue
				}
				want := "-"
				for _, v := range order {
					if v == a || v == b {
						want = v
						break
					}
				}
				got := "-"
				if c, err := Choose(w, []ocispec.Descriptor{image("linux", "arm", a), image("linux", "arm", b)}); err == nil {
					got = c.Descriptor.Platform.Variant
				}
				if got != want {
					t.Errorf("%s of %q, %q: got %q, want %q", machine, a, b, got, want)
				}
			}
		}
	}
}

func image(os, arch, variant string) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest,
		Digest:    digest.FromString(fmt.Sprint(os, arch, variant)),
		Size:      1022,
		Platform:  &ocispec.Platform{OS: os, Architecture: arch, Variant: variant},
	}
}
