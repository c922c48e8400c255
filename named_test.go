// SPDX-License-Identifier: Apache-2.0

package layerctl_test

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNamedTests fails for a test that a document names and that is not there, or
// not in the room that SECURITY.md writes before it; without one it is this room.
func TestNamedTests(t *testing.T) {
	t.Parallel()
	rooms := map[string]string{}
	walkSource(t, func(s *parsed) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && strings.HasSuffix(s.path, "_test.go") {
				rooms[f.Name.Name] += " " + path.Dir(filepath.ToSlash(s.path)) + " "
			}
		}
	})
	for _, file := range []string{"SECURITY.md", "docs/decoders.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		room := ""
		for _, m := range regexp.MustCompile(`\||(?:([a-z/]+): )?((?:Test|Fuzz)[A-Z]\w*)`).FindAllStringSubmatch(string(text), -1) {
			switch {
			case m[2] == "":
				room = "."
			case m[1] != "":
				room = m[1]
			}
			if there := rooms[m[2]]; m[2] != "" && (there == "" || file == "SECURITY.md" && !strings.Contains(there, " "+room+" ")) {
				t.Errorf("%s names %s of %s, which is in%s", file, m[2], room, there)
			}
		}
	}
}
