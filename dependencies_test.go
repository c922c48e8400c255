// SPDX-License-Identifier: Apache-2.0

package layerctl_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// documentedModules are the modules of one table of docs/dependencies.md. It
// also checks that each row gives a licence and a reason.
func documentedModules(t *testing.T, heading string) []string {
	t.Helper()
	raw, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(raw), "\n## "+heading)
	if !ok {
		t.Fatalf("docs/dependencies.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var modules []string
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|(.*)$")
	for _, m := range row.FindAllStringSubmatch(section, -1) {
		modules = append(modules, m[1])
		if cells := strings.Split(m[2], "|"); len(cells) < 2 || strings.TrimSpace(cells[0]) == "" || strings.TrimSpace(cells[1]) == "" {
			t.Errorf("docs/dependencies.md: %s lacks a licence or a reason", m[1])
		}
	}
	return modules
}

// goList runs go list and returns its lines, sorted, once each and without
// this module.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, out)
	}
	lines := strings.Fields(string(out))
	slices.Sort(lines)
	return slices.DeleteFunc(slices.Compact(lines), func(s string) bool { return s == module })
}

// TestDependenciesAreDocumented holds that nothing is linked, and nothing
// required, of which docs/dependencies.md does not say why.
func TestDependenciesAreDocumented(t *testing.T) {
	const format = "-f={{with .Module}}{{.Path}}{{end}}"
	linked := documentedModules(t, "In the program")
	untagged := documentedModules(t, "Only with `go install`")
	tests := documentedModules(t, "Only in tests")
	type place struct {
		name      string
		got, want []string
	}
	places := []place{{"go.mod", slices.Concat(linked, untagged, tests), requiredModules(t)}}
	if os.Getenv("LAYERCTL_FULL") == "1" { // go list takes as long as many tests
		places = append(places,
			place{"the program", linked, goList(t, "-deps", "-tags=urfave_cli_no_docs,grpcnotrace", format, "./cmd/layerctl")},
			place{"the program without the tag", slices.Concat(linked, untagged), goList(t, "-deps", format, "./cmd/layerctl")})
	}
	for _, c := range places {
		got := slices.Sorted(slices.Values(c.got))
		for _, m := range c.want {
			if !slices.Contains(got, m) {
				t.Errorf("%s has %s, which docs/dependencies.md does not explain", c.name, m)
			}
		}
		for _, m := range got {
			if !slices.Contains(c.want, m) {
				t.Errorf("docs/dependencies.md explains %s, which %s does not have", m, c.name)
			}
		}
	}
}

func requiredModules(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v`).FindAllStringSubmatch(string(raw), -1) {
		modules = append(modules, m[1])
	}
	return modules
}

// TestNotices holds that the packages have the licence of all that is linked.
func TestNotices(t *testing.T) {
	if os.Getenv("LAYERCTL_FULL") != "1" {
		t.Skip("reads the licence of each module: LAYERCTL_FULL=1 runs it")
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("needs bash")
	}
	out, err := exec.Command(bash, "test/notices.sh").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range append(documentedModules(t, "In the program"), "Go's standard library") {
		_, text, found := strings.Cut(string(out), "==== "+m)
		text, _, _ = strings.Cut(text, "\n==== ")
		if !found || len(text) < 500 {
			t.Errorf("%s: its licence has %d bytes", m, len(text))
		}
	}
}

// TestWorkflowsArePinned holds that no action can be changed under its name,
// and that nothing is privileged that a stranger can start.
func TestWorkflowsArePinned(t *testing.T) {
	files, err := filepath.Glob(".github/workflows/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	pinned := regexp.MustCompile(`@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for _, file := range append(files, "examples/github-action.yml") {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			if line = strings.TrimSpace(line); strings.Contains(line, "uses: ") && !pinned.MatchString(line) {
				t.Errorf("%s: %s", file, line)
			}
		}
		var workflow struct {
			Jobs map[string]struct {
				If        string
				Container yaml.Node
			}
		}
		if err := yaml.Unmarshal(raw, &workflow); err != nil {
			t.Fatal(err)
		}
		for name, job := range workflow.Jobs {
			var container struct{ Options string }
			if job.Container.Kind != yaml.MappingNode || job.Container.Decode(&container) != nil || !strings.Contains(container.Options, "privileged") {
				continue
			}
			if !strings.Contains(job.If, "head.repo.full_name == github.repository") {
				t.Errorf("%s: job %s is privileged for pull requests of strangers", file, name)
			}
		}
	}
}
