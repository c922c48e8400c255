// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
)

func TestCheckPlatform(t *testing.T) {
	for spec, want := range map[string]string{
		"linux/arm/v7": "", "arm64": "", "linux/amd64": "", "windows/amd64": "",
		"linux/armv7": "linux/arm/v7", "armv6l": "linux/arm/v6", "linux/arm64v8": "linux/arm64/v8", "freebsd/armv7": "freebsd/arm/v7",
		"linux": "os/arch", "linux/": "os/arch",
	} {
		err := args.CheckPlatform(spec)
		var usage *args.UsageError
		if want == "" && err != nil || want != "" && (!errors.As(err, &usage) || !strings.Contains(usage.Advice, want)) {
			t.Errorf("%q: error %v, want advice with %q", spec, err, want)
		}
	}
}
