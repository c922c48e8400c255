// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A survey makes nothing, agrees with the store that is made afterwards, and
// has a hint at each no.
func TestSurvey(t *testing.T) {
	dir := t.TempDir()
	before := survey(t, filepath.Join(dir, "not", "yet"))
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("the survey leaves %v, error %v", left, err)
	}
	s := reopen(t, filepath.Join(dir, "store"))
	after := survey(t, s.Path())
	for _, name := range []string{"whiteouts", "overlay attributes", "owners of files"} {
		if before[name].Value != after[name].Value || before[name].Value == "" {
			t.Errorf("%s: %q before there is a store, %q after", name, before[name].Value, after[name].Value)
		}
	}
	if got := after["overlay attributes"].Value; !strings.HasPrefix(got, string(s.Format().Xattrs)) {
		t.Errorf("overlay attributes %q in a store with %q", got, s.Format().Xattrs)
	}
}

func survey(t *testing.T, dir string) map[string]Check {
	t.Helper()
	byName := map[string]Check{}
	for _, c := range Survey(t.Context(), dir) {
		byName[c.Name] = c
		if !c.OK && c.Hint == "" {
			t.Errorf("%s is no, %q, and has no hint", c.Name, c.Value)
		}
	}
	return byName
}
