// SPDX-License-Identifier: Apache-2.0

package platform

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

// Sources that fail or contradict each other, which no board in testdata has.
func TestARMVariantOfFewSources(t *testing.T) {
	const vfp3 = "Features: half thumb fastmult vfp edsp neon vfpv3\n"
	tests := []struct {
		name, uname, at, cpuinfo string
		want                     string
	}{
		{"all silent", "arm", "", "", "v5"},
		{"only uname", "armv7l", "", "", "v7"},
		{"only AT_PLATFORM", "arm", "v6l", "", "v6"},
		{"only cpuinfo", "arm", "", "CPU architecture: 7\n" + vfp3, "v7"},
		{"a CPU part of ARM's own against 7", "arm", "", "CPU implementer: 0x41\nCPU architecture: 7\nCPU part: 0xb76\n" + vfp3, "v6"},
		{"the same part of another maker", "arm", "", "CPU implementer: 0x51\nCPU architecture: 7\nCPU part: 0xb76\n" + vfp3, "v7"},
		{"a model name against 7", "arm", "", "model name: ARMv6-compatible processor rev 7 (v6l)\nCPU architecture: 7\n" + vfp3, "v6"},
		{"a model name of old kernels against 7", "arm", "", "Processor: ARMv6-compatible processor rev 7 (v6l)\nCPU architecture: 7\n" + vfp3, "v6"},
		{"CPUs of two kinds", "armv8l", "", "CPU architecture: 8\nCPU architecture: 7\n" + vfp3, "v7"},
		{"an architecture without a name yet", "arm", "", "CPU architecture: ?(14)\n" + vfp3, "v7"},
		{"letters after the number", "arm", "", "CPU architecture: 5TEJ\n", "v5"},
		{"ARMv4T", "armv4tl", "v4l", "CPU architecture: 4T\n", "v4"},
		{"a microcontroller", "arm", "", "CPU architecture: 7M\n" + vfp3, "v7"},
		{"no VFPv3", "armv7l", "v7l", "CPU architecture: 7\nFeatures: half thumb fastmult vfp edsp\n", "v6"},
		{"VFPv3 with half the registers", "armv7l", "v7l", "CPU architecture: 7\nFeatures: half thumb vfp vfpv3d16\n", "v7"},
		{"no VFP at all", "armv7l", "v7l", "CPU architecture: 7\nFeatures: half thumb\n", "v5"},
		{"a 64-bit host's features under qemu-arm", "armv7l", "v7l", "CPU architecture: 8\nFeatures: fp asimd\n", "v7"},
		{"rubbish", "armv\x1b", "\x1b", "CPU architecture: \x1b\nCPU architecture\n: 7\n", "v5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Inputs{
				Root:  fstest.MapFS{"proc/cpuinfo": {Data: []byte(tt.cpuinfo)}},
				Uname: func(Personality) (string, error) { return tt.uname, nil },
				ATPlatform: func() (string, error) {
					if tt.at == "" {
						return "", errors.New("none")
					}
					return tt.at, nil
				},
			}
			if got := Detect(in).Platform; got.Architecture != "arm" || got.Variant != tt.want {
				t.Errorf("got %s, want %s", Format(got), tt.want)
			}
		})
	}
}

// No cpuinfo, however odd, may break the detection.
func FuzzDetect(f *testing.F) {
	f.Add("armv7l", "CPU architecture: 7\nCPU part: 0xb76\nCPU implementer: 0x41\n")
	f.Add("aarch64", "Features: fp asimd atomics\nCPU architecture: AArch64\n")
	f.Add("x86_64", "flags: cx16 lahf_lm popcnt\n")
	f.Add("mips", "::\n\n:")
	f.Fuzz(func(t *testing.T, machine, cpuinfo string) {
		h := Detect(Inputs{
			Root:       fstest.MapFS{"proc/cpuinfo": {Data: []byte(cpuinfo)}},
			Uname:      func(Personality) (string, error) { return machine, nil },
			ATPlatform: func() (string, error) { return machine, nil },
		})
		if strings.ContainsAny(Format(h.Platform), "\x1b\n") {
			t.Errorf("got %s", Format(h.Platform))
		}
		if _, err := Choose(h.Wanted(), nil); !errors.Is(err, ErrNoMatch) {
			t.Errorf("got %v", err)
		}
	})
}
