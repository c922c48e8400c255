// SPDX-License-Identifier: Apache-2.0

package layerctl

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestReleaseTargets compares the platforms that are released with those that
// are promised, and with what CI reads of them.
func TestReleaseTargets(t *testing.T) {
	text, err := os.ReadFile(".goreleaser.yml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Builds []struct{ Targets []string }
		Nfpms  []struct{ Formats []string }
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	if len(config.Builds) != 1 || len(config.Nfpms) != 1 {
		t.Fatalf("got %d builds and %d kinds of packages, want one of each", len(config.Builds), len(config.Nfpms))
	}
	got := config.Builds[0].Targets
	want := []string{"linux_amd64", "linux_arm64", "linux_arm_5", "linux_arm_6", "linux_arm_7", "linux_386", "linux_riscv64"}
	if !slices.Equal(got, want) {
		t.Errorf("got targets %q, want %q", got, want)
	}
	if got, want := config.Nfpms[0].Formats, []string{"deb", "rpm", "apk"}; !slices.Equal(got, want) {
		t.Errorf("got packages %q, want %q", got, want)
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("needs bash")
	}
	out, err := exec.Command(bash, "test/targets.sh").Output()
	if err != nil {
		t.Fatal(err)
	}
	var read []string
	for _, target := range strings.Fields(string(out)) {
		read = append(read, "linux_"+strings.ReplaceAll(target, "/", "_"))
	}
	if !slices.Equal(read, want) {
		t.Errorf("test/targets.sh reads %q, want %q", read, want)
	}
}
