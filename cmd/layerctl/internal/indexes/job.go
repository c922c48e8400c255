// SPDX-License-Identifier: Apache-2.0

package indexes

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/progress"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/manifest"
	"github.com/layerctl/layerctl/multiarch"
	"github.com/layerctl/layerctl/platform"
	steps "github.com/layerctl/layerctl/progress"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/transfer"
)

// job makes one index.
type job struct {
	c      *cli.Context
	client *registry.Client
	show   progress.Display
	asTool bool // the output is that of manifest-tool
	from   *setup.Origins
}

// begin prepares a job for the registries of the references.
func begin(c *cli.Context, refs []string) (*job, error) {
	logins, err := setup.LoginsFor(c, refs)
	if err != nil {
		return nil, err
	}
	show, err := setup.NewProgress(c)
	if err != nil {
		return nil, err
	}
	o := setup.RegistryOptions(c, logins)
	o.OnRetry = show.Retry
	from, err := setup.OpenOrigins(c, o, refs, nil)
	if err != nil {
		return nil, err
	}
	return &job{c: c, client: registry.New(o), show: show, from: from}, nil
}

// Close closes the sources of the images.
func (j *job) Close() error { return j.from.Close() }

// make makes the index of the list, and writes the digests of the images into the list.
func (j *job) make(l *list, o multiarch.Options) (*multiarch.Made, error) {
	o.Open = j.from.Open
	o.Docker, o.KeepNested, o.Annotations = l.Docker, l.KeepNested, l.Annotations
	var members []multiarch.Member
	for _, m := range l.Members {
		ref, err := registry.Parse(m.Ref)
		if err != nil {
			return nil, err
		}
		if m.Digest != "" && ref.Transport() == registry.Docker {
			ref = ref.WithDigest(m.Digest)
		}
		members = append(members, multiarch.Member{Ref: ref, Platform: m.Platform, Annotations: m.Annotations})
	}
	made, err := multiarch.Make(j.c.Context, j.client, members, o)
	if err != nil {
		return nil, err
	}
	for i, m := range members {
		l.Members[i].Digest = made.Digests[m.Ref]
	}
	if !j.c.Bool("quiet") {
		for _, w := range made.Warnings {
			terminal.NewConsole(j.c.App.ErrWriter).Warn("%s", w)
		}
	}
	return made, nil
}

// send writes the index, and the images that the destination lacks, to where its name
// says, and prints the index.
func (j *job) send(l list, made *multiarch.Made, to registry.Reference, tags []string) error {
	_, err := transfer.Send(j.c.Context, j.client, made.Documents, to, tags, transfer.Options{
		DryRun: j.c.Bool("dry-run"), Open: j.from.Open,
		Progress: func(e steps.Event) { j.show.Event(l.Name, e) },
	})
	j.show.Finish()
	if err != nil {
		return err
	}
	return j.print(l, made, "sent")
}

// index is what "index --json" prints.
type index struct {
	Name      string   `json:"name"`
	MediaType string   `json:"mediaType"`
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	Sent      bool     `json:"sent"`
	Manifests []entry  `json:"manifests"`
	Missing   []string `json:"missing"`
	Warnings  []string `json:"warnings"`
}

type entry struct {
	Platform  string `json:"platform"`
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

func (j *job) print(l list, made *multiarch.Made, sent string) error {
	w := j.c.App.Writer
	if j.c.Bool("json") {
		x := index{
			Name: l.Name, MediaType: made.Descriptor.MediaType, Digest: made.Descriptor.Digest.String(), Size: made.Descriptor.Size,
			Sent: sent != "" && !j.c.Bool("dry-run"), Manifests: []entry{}, Missing: []string{}, Warnings: append([]string{}, made.Warnings...),
		}
		for _, e := range made.Entries {
			x.Manifests = append(x.Manifests, entry{describe(e), e.MediaType, e.Digest.String(), e.Size})
		}
		for _, m := range made.Missing {
			x.Missing = append(x.Missing, m.String())
		}
		return terminal.WriteJSON(w, x)
	}
	if j.asTool {
		return terminal.Printf(w, "Digest: %s %d\n", made.Descriptor.Digest, made.Descriptor.Size)
	}
	if err := terminal.Printf(w, "%s@%s\n", terminal.Escape(l.Name), made.Descriptor.Digest); err != nil {
		return err
	}
	for _, e := range made.Entries {
		if err := terminal.Printf(w, "%-16s %s\n", terminal.Escape(describe(e)), e.Digest); err != nil {
			return err
		}
	}
	if sent == "" && !j.c.Bool("quiet") {
		terminal.NewConsole(j.c.App.ErrWriter).Hint("'layerctl index push %s' sends it", l.Name)
	}
	return nil
}

// describe returns the platform of an entry, or in a word what else it is.
func describe(e ocispec.Descriptor) string {
	if _, is := manifest.IsAttestation(e); is {
		return "attestation"
	}
	if manifest.IsIndex(e.MediaType) {
		return "index"
	}
	if e.Platform == nil {
		return "unknown"
	}
	return platform.Format(*e.Platform)
}
