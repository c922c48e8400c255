// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
)

func TestSize(t *testing.T) {
	tests := []struct {
		text string
		want int64
		bad  bool
	}{
		{text: "0"},
		{text: "1234", want: 1234},
		{text: "500k", want: 500_000},
		{text: "1.5G", want: 1_500_000_000},
		{text: "64MiB", want: 64 << 20},
		{text: "512 Ki", want: 512 << 10},
		{text: "", bad: true},
		{text: "k", bad: true},
		{text: "-1", bad: true},
		{text: "1x", bad: true},
		{text: "1e40", bad: true},
		{text: "9223372036854775807", bad: true}, // rounds up to one too many
		{text: "NaN", bad: true},
	}
	for _, test := range tests {
		var f args.Size
		err := f.Set(test.text)
		if (err != nil) != test.bad || f.Bytes != test.want {
			t.Errorf("%q: got %d, %v; want %d, bad %v", test.text, f.Bytes, err, test.want, test.bad)
		}
	}
}
