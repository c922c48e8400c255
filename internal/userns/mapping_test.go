// SPDX-License-Identifier: Apache-2.0

package userns

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestParseSubordinates(t *testing.T) {
	for _, c := range []struct {
		name, file string
		want       []subordinate
	}{
		{"by name", "alice:100000:65536\nbob:165536:65536\n", []subordinate{{100000, 65536}}},
		{"by number", "1000:100000:10\n", []subordinate{{100000, 10}}},
		{"several, in the order of the file", "1000:5000:1\nbob:1:1\nalice:300:7\n", []subordinate{{5000, 1}, {300, 7}}},
		{"blanks around and no last newline", " alice:1:2 ", []subordinate{{1, 2}}},
		{"not a prefix of a name", "alice2:1:2\nalic:1:2\n", nil},
		{"no number", "alice:one:2\nalice:1:-2\nalice:1\nalice:1:2:3\n", nil},
		{"no id at all", "alice:1:0\n", nil},
		{"beyond the last id", "alice:4294967290:10\nalice:1:4294967296\n", nil},
		{"empty", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseSubordinates(strings.NewReader(c.file), []string{"1000", "alice"})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestSubordinatesNamesTheUserWithoutARange(t *testing.T) {
	file := t.TempDir() + "/subuid"
	if err := os.WriteFile(file, []byte("bob:1:2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := subordinates(file, []string{"1000", "alice"})
	if want := "subuid has no range for user alice"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
}

func TestRangesFollowEachOther(t *testing.T) {
	caller := []Range{{0, 1000, 1}}
	got := appendRanges(caller, []subordinate{{100000, 65536}, {500000, 10}})
	want := []Range{{0, 1000, 1}, {1, 100000, 65536}, {65537, 500000, 10}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := (Mapping{UIDs: want, GIDs: want[:2]}).Size(); got != 65537 {
		t.Errorf("size %d, want 65537, what users and groups have alike", got)
	}
}

func TestRangesEndBeforeNoID(t *testing.T) {
	got := appendRanges([]Range{{0, 1000, 1}}, []subordinate{{1, 1<<32 - 3}, {7, 5}, {90, 1}})
	want := []Range{{0, 1000, 1}, {1, 1, 1<<32 - 3}, {1<<32 - 2, 7, 1}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	many := appendRanges(nil, make([]subordinate, 0))
	for range 400 {
		many = appendRanges(many, []subordinate{{1, 1}})
	}
	if len(many) != 340 {
		t.Errorf("%d ranges, want 340, which is what the kernel takes", len(many))
	}
}
