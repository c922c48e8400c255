// SPDX-License-Identifier: Apache-2.0

package args

import (
	"fmt"
	"strings"

	"github.com/layerctl/layerctl/platform"
)

// CheckPlatform fails for a word that is no platform. For a platform in another
// program's spelling, such as linux/armv7, the error says how to write it.
func CheckPlatform(spec string) error {
	if meant := respelt(spec); meant != "" {
		return &UsageError{Problem: fmt.Sprintf("there is no platform %q", spec), Advice: fmt.Sprintf("did you mean %s?", meant)}
	}
	if _, err := platform.Parse(spec); err != nil {
		return &UsageError{Problem: err.Error(), Advice: "write it as os/arch[/variant], such as linux/arm/v7"}
	}
	return nil
}

// respelt returns the platform for the spelling of uname(1) and compilers, which have
// the variant in the architecture: linux/armv7, armv7l, linux/arm64v8.
func respelt(spec string) string {
	system, architecture, both := strings.Cut(spec, "/")
	if !both {
		system, architecture = "linux", spec
	}
	for _, family := range []string{"arm64", "arm"} {
		variant, found := strings.CutPrefix(architecture, family+"v")
		if variant = strings.TrimSuffix(variant, "l"); found && len(variant) == 1 && variant >= "5" && variant <= "9" {
			return system + "/" + family + "/v" + variant
		}
	}
	return ""
}
