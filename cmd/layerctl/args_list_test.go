// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/errkind"
)

func TestReadList(t *testing.T) {
	got, err := args.ReadList(strings.NewReader("# a lab\n\nalpine:3.20\t# and\n  oci:/srv/x linux/arm/v7\nreg.test:5000/a@sha256:" + strings.Repeat("0", 64)))
	want := []args.Listed{{Ref: "alpine:3.20"}, {Ref: "oci:/srv/x", Platform: "linux/arm/v7"}, {Ref: "reg.test:5000/a@sha256:" + strings.Repeat("0", 64)}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

// A list is refused before the first of its images is pulled, by the line.
func TestReadListRefuses(t *testing.T) {
	for list, says := range map[string]string{
		"alpine\n\nBad:1\n":               `line 3: invalid reference "Bad:1"`,
		"alpine@sha256:12":                "line 1: invalid reference",
		"alpine\nhttps://reg.test/x":      "line 2: ",
		"\n\noci:":                        "line 3: ",
		"alpine\nalpine arm/nonsense/x/y": "line 2: ",
		"a b c":                           "line 1 has 3 words",
	} {
		got, err := args.ReadList(strings.NewReader(list))
		if !errors.Is(err, errkind.Usage) || !strings.Contains(err.Error(), says) || got != nil {
			t.Errorf("%q: got %v, %v, want %q", list, got, err, says)
		}
	}
}
