// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/platform"
)

func platformsCommand() *cli.Command {
	return &cli.Command{
		Name:      "platforms",
		Usage:     "list what an image runs on, one os/arch[/variant] a line",
		ArgsUsage: "REF",
		Description: `Each line can be given to --platform. Attestations and other data in an index
are left out. --json prints an object for each image, with its digest.
It costs one request, or two where REF names a single image.`,
		Action: runPlatforms,
	}
}

func runPlatforms(c *cli.Context) error {
	refs, err := arguments(c, 1, 1, "one REF")
	if err != nil {
		return err
	}
	found, err := inspectQuietly(c, refs[0], layerctl.InspectOptions{Detail: layerctl.DetailPlatforms})
	if err != nil {
		return err
	}
	if err := found.Refusal(); err != nil && !errors.Is(err, platform.ErrNoMatch) {
		return fmt.Errorf("platforms %s: %w", refs[0], err)
	}
	lines := platformLines(found.Manifests)
	if c.Bool("json") {
		return printShape(c, lines)
	}
	_, err = io.WriteString(c.App.Writer, platformNames(lines))
	return err
}

// platformLine is one image of an index.
type platformLine struct {
	Name      string                     `json:"name"` // os/arch[/variant]
	Platform  layerctl.InspectedPlatform `json:"platform"`
	Digest    digest.Digest              `json:"digest"`
	MediaType string                     `json:"mediaType"`
	Size      int64                      `json:"size"`
	Chosen    bool                       `json:"chosen"`
}

// platformLines lists the images of an index, and of those in it.
func platformLines(entries []layerctl.InspectedManifest) []platformLine {
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

// platformNames has each platform once.
func platformNames(lines []platformLine) string {
	var b strings.Builder
	seen := map[string]bool{}
	for _, l := range lines {
		if !seen[l.Name] {
			b.WriteString(l.Name + "\n")
		}
		seen[l.Name] = true
	}
	return b.String()
}
