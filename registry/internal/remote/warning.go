// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"net/http"
	"strings"

	"github.com/layerctl/layerctl/registry/internal/failure"
)

const (
	// maxWarning bounds the bytes of a warning, maxWarnings the warnings of one
	// answer, see
	// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#warnings
	maxWarning  = 4 << 10
	maxWarnings = 8
)

// warnings returns the texts of an answer's warnings, escaped for a terminal. Their
// form is 299 - "text"; warnings with other codes are about HTTP caches, and left out.
func warnings(h http.Header) []string {
	var all []string
	for _, v := range h.Values("Warning") {
		rest, ours := strings.CutPrefix(v, `299 - "`)
		if !ours || len(v) > maxWarning || len(all) == maxWarnings {
			continue
		}
		var b strings.Builder
		closed := false
		for i := 0; i < len(rest) && !closed; i++ {
			switch c := rest[i]; {
			case c == '"':
				closed = true
			case c == '\\' && i+1 < len(rest):
				i++
				b.WriteByte(rest[i])
			default:
				b.WriteByte(c)
			}
		}
		if text := strings.TrimSpace(b.String()); closed && text != "" {
			all = append(all, failure.OneLine(text))
		}
	}
	return all
}
