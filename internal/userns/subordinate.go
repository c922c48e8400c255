// SPDX-License-Identifier: Apache-2.0

package userns

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// subordinate is one range of /etc/subuid or /etc/subgid.
type subordinate struct{ start, count uint32 }

// subordinates reads the ranges in a file that belong to one of the names.
func subordinates(file string, names []string) ([]subordinate, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ranges, err := parseSubordinates(f, names)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(ranges) == 0 {
		return nil, fmt.Errorf("%s has no range for user %s", file, names[len(names)-1])
	}
	return ranges, nil
}

// parseSubordinates reads lines such as "alice:100000:65536"; the first field
// is a name or a number. As the programs that go by the file do, it passes
// over lines that make no sense.
func parseSubordinates(r io.Reader, names []string) ([]subordinate, error) {
	var ranges []subordinate
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Split(strings.TrimSpace(lines.Text()), ":")
		if len(fields) != 3 || !slices.Contains(names, fields[0]) {
			continue
		}
		start, err1 := strconv.ParseUint(fields[1], 10, 32)
		count, err2 := strconv.ParseUint(fields[2], 10, 32)
		if err1 != nil || err2 != nil || count == 0 || start+count > 1<<32-1 {
			continue
		}
		ranges = append(ranges, subordinate{uint32(start), uint32(count)})
	}
	return ranges, lines.Err()
}
