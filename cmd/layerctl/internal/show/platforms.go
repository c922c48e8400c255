// SPDX-License-Identifier: Apache-2.0

package show

import (
	"io"
	"strings"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/inspect"

	"github.com/opencontainers/go-digest"
)

// platformLine is one image of an index.
type platformLine struct {
	Name      string           `json:"name"` // os/arch[/variant]
	Platform  inspect.Platform `json:"platform"`
	Digest    digest.Digest    `json:"digest"`
	MediaType string           `json:"mediaType"`
	Size      int64            `json:"size"`
	Chosen    bool             `json:"chosen"`
}

// platformLines lists the images of an index, and of those in it.
func platformLines(entries []inspect.Manifest) []platformLine {
	lines := []platformLine{}
	for _, m := range entries {
		switch {
		case m.Kind == "index":
			lines = append(lines, platformLines(m.Manifests)...)
		case m.Kind == "image" && m.Platform != nil && m.Platform.OS != "unknown":
			lines = append(lines, platformLine{m.Platform.String(), *m.Platform, m.Digest, m.MediaType, m.Size, m.Chosen})
		}
	}
	return lines
}

// Platforms prints each platform once.
func Platforms(w io.Writer, entries []inspect.Manifest) error {
	return terminal.Printf(w, "%s", platformNames(platformLines(entries)))
}

// PlatformsJSON prints an object for each image.
func PlatformsJSON(w io.Writer, entries []inspect.Manifest) error {
	return terminal.WriteJSON(w, platformLines(entries))
}

func platformNames(lines []platformLine) string {
	var b strings.Builder
	seen := map[string]bool{}
	for _, l := range lines {
		if !seen[l.Name] {
			b.WriteString(terminal.Escape(l.Name) + "\n")
		}
		seen[l.Name] = true
	}
	return b.String()
}
