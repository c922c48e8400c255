// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/engine/containerd"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// Giver gives images of a store to the engine that --into names.
type Giver struct {
	c      *cli.Context
	engine *containerd.Engine
	store  *overlaystore.Store
}

// NewGiver reaches the engine, before anything is fetched for it. It is nil,
// and does nothing, without --into.
func NewGiver(c *cli.Context, store *overlaystore.Store) (*Giver, error) {
	if c.String("into") == "" {
		return nil, nil
	}
	if c.Bool("no-sync") {
		return nil, &args.UsageError{Problem: "--no-sync and --into do not go together", Advice: "an engine takes for good what it is told once"}
	}
	engine, err := connect(c)
	if err != nil {
		return nil, err
	}
	return &Giver{c: c, engine: engine, store: store}, nil
}

// Close ends the connection.
func (g *Giver) Close() error {
	if g == nil {
		return nil
	}
	return g.engine.Close()
}

// Give gives img, which ref names, with the documents that client reads.
func (g *Giver) Give(client *layerctl.Client, ref string, img overlaystore.Image, root digest.Digest) error {
	if g == nil {
		return nil
	}
	parsed, err := registry.Parse(ref)
	if err != nil {
		return err
	}
	d, err := g.documents(client, parsed, img, root)
	if err != nil {
		return err
	}
	name, err := g.name(parsed)
	if err != nil {
		return err
	}
	image := containerd.Image{
		Image: img, Root: d.Root, RootBytes: d.RootBytes,
		ManifestBytes: d.ManifestBytes, ConfigBytes: d.ConfigBytes,
	}
	if !image.RootNamesIt() {
		// An index of indexes, which engines do not follow.
		image.Root, image.RootBytes = d.Manifest, d.ManifestBytes
	}
	image.Names = g.names(name, image.Root.Digest)
	if parsed.Transport() == registry.Docker {
		image.OriginHost, image.OriginRepository = parsed.Host(), parsed.Repository()
	}
	given, err := g.engine.Give(g.c.Context, g.store, image, containerd.GiveOptions{HandOver: g.c.Bool("hand-over")})
	if err != nil {
		return &engineError{err}
	}
	g.tell(name, given)
	if g.HandsOver() {
		// Its layers go with the next prune.
		return g.store.Remove(g.c.Context, parsed.String(), img.Manifest)
	}
	return nil
}

// HandsOver says that what is given is no longer in the store.
func (g *Giver) HandsOver() bool { return g != nil && g.c.Bool("hand-over") }

// documents are those of img: of what ref names now, if that is it, and else
// of its digest.
func (g *Giver) documents(client *layerctl.Client, ref registry.Reference, img overlaystore.Image, root digest.Digest) (layerctl.Documents, error) {
	if img.Platform.OS != "" {
		client = client.For(platform.Format(img.Platform))
	}
	tries := []string{ref.String()}
	if ref.Transport() == registry.Docker {
		tries = append(tries, ref.WithDigest(img.Manifest).String())
		if root != "" {
			tries[0] = ref.WithDigest(root).String()
		}
	}
	var errs []error
	for _, try := range tries {
		d, err := client.Documents(g.c.Context, try)
		if err == nil && d.Manifest.Digest != img.Manifest {
			err = fmt.Errorf("%s is another image now than the store has; pull it again", try)
		}
		if err == nil {
			return d, nil
		}
		errs = append(errs, err)
	}
	return layerctl.Documents{}, errors.Join(errs...)
}

// name is what the engine shall call the image: a name with a tag.
func (g *Giver) name(ref registry.Reference) (registry.Reference, error) {
	word := g.c.String("engine-name")
	if word == "" {
		if ref.Transport() == registry.Docker {
			return ref, nil
		}
		return ref, &args.UsageError{Problem: fmt.Sprintf("an engine has no name for %s", ref), Advice: "--engine-name NAME:TAG gives it one"}
	}
	named, err := registry.Parse(word)
	if err == nil && (named.Transport() != registry.Docker || named.Tag() == "") {
		err = &args.UsageError{Problem: fmt.Sprintf("--engine-name %q is no name with a tag", word)}
	}
	return named, err
}

// names are the records' names: the tag last, for who sees it takes the image
// for complete.
func (g *Giver) names(name registry.Reference, root digest.Digest) []string {
	var list []string
	if g.engine.Namespace() == "k8s.io" || name.Tag() == "" {
		list = append(list, name.WithDigest(root).String())
	}
	if name.Tag() != "" {
		list = append(list, name.Tagged().String())
	}
	return list
}

// tell says what was done, in a line, and in another what it cost.
func (g *Giver) tell(name registry.Reference, given containerd.Given) {
	if g.c.Bool("quiet") {
		return
	}
	console := terminal.NewConsole(g.c.App.ErrWriter)
	console.Say("%s is in containerd's namespace %s (%s), with %d of %d layers new there", name, given.Namespace, given.Engine, given.Made, given.Layers)
	if given.Reason != nil {
		console.Warn("%d files were cloned and %d copied, %s, for they cannot be linked: %v", given.Clones, given.Copies, terminal.Bytes(given.Bytes), given.Reason)
	}
}
