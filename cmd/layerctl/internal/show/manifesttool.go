// SPDX-License-Identifier: Apache-2.0

package show

import (
	"fmt"
	"io"
	"strings"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/inspect"
	"github.com/layerctl/layerctl/manifest"
)

// ManifestTool prints the output of "manifest-tool inspect". The form is that of
// manifest-tool 2.2, v2/cmd/manifest-tool/inspect.go. typed is the reference as the user
// wrote it.
func ManifestTool(w io.Writer, typed string, found *inspect.Result) error {
	f := &manifestToolForm{Painter: terminal.NewPainter(w)}
	if found.Kind == "index" {
		f.list(typed, found)
	} else {
		f.image(typed, found)
	}
	_, err := io.WriteString(w, f.String())
	return err
}

type manifestToolForm struct {
	strings.Builder
	terminal.Painter
}

func (f *manifestToolForm) printf(format string, args ...any) { fmt.Fprintf(f, format, args...) }

func (f *manifestToolForm) list(ref string, found *inspect.Result) {
	attestations := 0
	for _, m := range found.Manifests {
		if m.Kind == "attestation" && m.Annotations[referenceType] == attestationManifest {
			attestations++
		}
	}
	images := len(found.Manifests) - attestations
	f.printf("Name:   %s (Type: %s)\n", f.Green(terminal.Escape(ref)), f.Green(terminal.Escape(found.MediaType)))
	f.printf("Digest: %s\n", f.Yellow(found.Digest.String()))
	f.printf(" * Contains %s manifest references (%s %s, %s %s):\n",
		f.Red(fmt.Sprint(len(found.Manifests))), f.Red(fmt.Sprint(images)), plural(images, "image"),
		f.Red(fmt.Sprint(attestations)), plural(attestations, "attestation"))
	for i := range found.Manifests {
		f.entry(i+1, &found.Manifests[i])
	}
}

// BuildKit's mark of an attestation, which manifest-tool shows as it is.
const (
	referenceType       = "vnd.docker.reference.type"
	attestationManifest = "attestation-manifest"
)

// plural leaves 0 in the singular, as manifest-tool does.
func plural(n int, noun string) string {
	if n > 1 {
		return noun + "s"
	}
	return noun
}

func (f *manifestToolForm) entry(n int, m *inspect.Manifest) {
	note := ""
	if m.Annotations[referenceType] == attestationManifest {
		note = " (" + referenceType + "=" + attestationManifest + ")"
	}
	f.printf("[%d]     Type: %s%s\n", n, f.Green(terminal.Escape(m.MediaType)), f.Green(note))
	f.printf("[%d]   Digest: %s\n", n, f.Yellow(m.Digest.String()))
	f.printf("[%d]   Length: %s\n", n, f.Blue(fmt.Sprint(m.Size)))
	switch {
	case !manifest.IsManifest(m.MediaType):
		f.printf("Unknown media type for further display: %s\n", terminal.Escape(m.MediaType))
	case note != "":
		f.printf("[%d]       >>> Attestation for digest: %s\n\n", n, f.Yellow(terminal.Escape(m.AttestationOf)))
	default:
		f.platform(n, m)
		f.layers(n, m)
	}
}

func (f *manifestToolForm) platform(n int, m *inspect.Manifest) {
	p := dockerPlatform(m.Platform)
	f.printf("[%d] Platform:\n", n)
	f.printf("[%d]    -      OS: %s\n", n, f.Green(terminal.Escape(p.OS)))
	if p.OSVersion != "" {
		f.printf("[%d]    - OS Vers: %s\n", n, f.Green(terminal.Escape(p.OSVersion)))
	}
	if len(p.OSFeatures) > 0 {
		f.printf("[%d]    - OS Feat: %s\n", n, f.Green(terminal.Escape(fmt.Sprint(p.OSFeatures))))
	}
	f.printf("[%d]    -    Arch: %s\n", n, f.Green(terminal.Escape(p.Architecture)))
	if p.Variant != "" {
		f.printf("[%d]    - Variant: %s\n", n, f.Green(terminal.Escape(p.Variant)))
	}
}

func (f *manifestToolForm) layers(n int, m *inspect.Manifest) {
	f.printf("[%d] # Layers: %s\n", n, f.Red(fmt.Sprint(len(m.Layers))))
	for i, l := range m.Layers {
		f.printf("     layer %s: digest = %s\n", f.Red(fmt.Sprintf("%02d", i+1)), f.Yellow(l.Digest.String()))
		f.printf("                 type = %s\n", f.Green(terminal.Escape(l.MediaType)))
	}
	f.printf("\n")
}

func (f *manifestToolForm) image(ref string, found *inspect.Result) {
	m := &found.Manifests[0]
	p := dockerPlatform(m.Platform)
	f.printf("Name: %s (Type: %s)\n", f.Green(terminal.Escape(ref)), f.Green(terminal.Escape(found.MediaType)))
	f.printf("      Digest: %s\n", f.Yellow(found.Digest.String()))
	f.printf("        Size: %s\n", f.Blue(fmt.Sprint(found.Size)))
	f.printf("          OS: %s\n", f.Green(terminal.Escape(p.OS)))
	f.printf("        Arch: %s\n", f.Green(terminal.Escape(p.Architecture)))
	f.printf("    # Layers: %s\n", f.Red(fmt.Sprint(len(m.Layers))))
	for i, l := range m.Layers {
		f.printf("      layer %s: digest = %s\n", f.Red(fmt.Sprintf("%02d", i+1)), f.Yellow(l.Digest.String()))
	}
}
