// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/layerctl/layerctl/registry/internal/failure"
)

// parseContentRange reads "bytes FIRST-LAST/TOTAL", see
// https://www.rfc-editor.org/rfc/rfc9110#name-content-range. An unknown total
// ("*") is an error: without it nobody knows whether the range is of the same blob.
func parseContentRange(s string) (first, last, total int64, err error) {
	bad := func() (int64, int64, int64, error) {
		return 0, 0, 0, fmt.Errorf("Content-Range %q", s) //nolint:staticcheck // a header's name
	}
	unit, rest, ok := strings.Cut(s, " ")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return bad()
	}
	span, all, ok := strings.Cut(rest, "/")
	if !ok {
		return bad()
	}
	from, to, ok := strings.Cut(span, "-")
	if !ok || !failure.Digits(from) || !failure.Digits(to) || !failure.Digits(all) {
		return bad()
	}
	for _, f := range []struct {
		text string
		n    *int64
	}{{from, &first}, {to, &last}, {all, &total}} {
		if *f.n, err = strconv.ParseInt(f.text, 10, 64); err != nil {
			return bad()
		}
	}
	if first > last || last >= total {
		return bad()
	}
	return first, last, total, nil
}
