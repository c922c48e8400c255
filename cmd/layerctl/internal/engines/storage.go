// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/engine/containersstorage"
	"github.com/layerctl/layerctl/internal/given"
	"github.com/layerctl/layerctl/internal/storageconf"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
)

// storageFolder is where in a store its additional image store is by default: on the same
// filesystem, so that files can be linked.
const storageFolder = "engines/containers-storage"

// storage is an additional image store of podman and its kin.
type storage struct {
	c     *cli.Context
	store *overlaystore.Store
	to    *containersstorage.Store
	conf  storageconf.Conf
	told  bool // the hint about storage.conf was printed
}

// storageDir reports whether into names an additional image store, and returns its
// directory.
func storageDir(into string, store *overlaystore.Store) (dir string, is bool, err error) {
	word, dir, named := strings.Cut(into, "=")
	switch {
	case word != given.ContainersStorage:
		return "", false, nil
	case !named:
		return filepath.Join(store.Path(), storageFolder), true, nil
	case dir == "":
		return "", true, &args.UsageError{Problem: "--into containers-storage= names no directory"}
	}
	dir, err = filepath.Abs(dir)
	return dir, true, err
}

func openStorage(c *cli.Context, store *overlaystore.Store, dir string, existing bool) (*storage, error) {
	conf, err := storageConf(store)
	if err != nil {
		return nil, err
	}
	if !existing {
		// This makes the parent of the default directory.
		records, err := given.Open(c.Context, store.Dir())
		if err == nil {
			err = records.Close()
		}
		if err != nil {
			return nil, err
		}
	}
	to, err := containersstorage.Open(c.Context, dir, containersstorage.Options{Existing: existing, GraphRoots: conf.GraphRoots})
	if err != nil {
		return nil, err
	}
	return &storage{c: c, store: store, to: to, conf: conf}, nil
}

// storageConf reads the storage.conf of the store's user. A store with mapped ids is an
// ordinary user's, who is root in this user namespace.
func storageConf(store *overlaystore.Store) (storageconf.Conf, error) {
	o := storageconf.Options{Getenv: os.Getenv, UID: os.Geteuid()}
	if store.Format().IDs == layer.MappedIDs {
		var err error
		if o.UID, err = userOutside(); err != nil {
			return storageconf.Conf{}, err
		}
	}
	return storageconf.Read(o)
}

// userOutside returns the id that root of this user namespace has outside of it
// (user_namespaces(7)).
func userOutside() (int, error) {
	raw, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return 0, err
	}
	var inside, outside int
	if _, err := fmt.Fscan(bytes.NewReader(raw), &inside, &outside); err != nil || inside != 0 {
		return 0, fmt.Errorf("read /proc/self/uid_map: %q says nothing of root", raw)
	}
	return outside, nil
}

// surveyStorage describes the image stores that podman and its kin read. It returns false
// if there is no trace of these programs.
func surveyStorage() (overlaymount.Check, bool) {
	found := overlaymount.Check{Name: given.ContainersStorage, OK: true}
	conf, err := storageconf.Read(storageconf.Options{Getenv: os.Getenv, UID: os.Geteuid()})
	if err != nil {
		found.OK, found.Hint = false, err.Error()
		return found, true
	}
	used := slices.ContainsFunc(conf.GraphRoots, func(root string) bool {
		_, err := os.Stat(root)
		return err == nil
	})
	if found.Value = strings.Join(conf.ImageStores, ", "); found.Value == "" {
		found.Value = conf.File + " names no image store; --into containers-storage says what it needs"
	}
	return found, used || conf.Exists
}

// Close closes the store.
func (s *storage) Close() error { return s.to.Close() }

// admit admits all images; tellDepth warns of those that only a new podman runs.
func (s *storage) admit(context.Context, []digest.Digest) error { return nil }

// has returns false, because no image is handed over to an image store.
func (s *storage) has(context.Context, layerctl.Resolution, registry.Reference) (has bool, platform string, err error) {
	return false, "", nil
}

func (s *storage) clear(context.Context) error { return nil }

func (s *storage) record(g gift) given.Record {
	r := given.Record{
		Kind: given.ContainersStorage, Address: s.to.Path(), Manifest: g.image.Manifest, Root: g.documents.Root.Digest, Config: g.image.Config,
		Layers: g.image.Layers, Time: time.Now().UTC().Truncate(time.Second),
	}
	if g.name.Tag() != "" || g.name.Digest() != "" {
		r.Names = []string{g.name.String()}
	}
	return r
}

// give gives an image. It writes the record first, so that what an interruption leaves can
// be found.
func (s *storage) give(ctx context.Context, g gift) (err error) {
	if s.c.Bool("hand-over") {
		return &args.UsageError{Problem: "--hand-over is not for containers-storage", Advice: "podman removes nothing there; 'layerctl rm' and 'layerctl prune' do"}
	}
	records, err := given.Open(ctx, s.store.Dir())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	record := s.record(g)
	old, there, err := given.Find(s.store.Dir(), record)
	if err != nil {
		return err
	}
	if there {
		record.Complete, record.Copied = old.Complete, old.Copied // whatever becomes of this giving
	}
	if err := records.Put(ctx, record); err != nil {
		return err
	}
	img := containersstorage.Image{Image: g.image, Names: record.Names, Manifest: g.documents.ManifestBytes, Config: g.documents.ConfigBytes}
	if g.namesIt && record.Root != g.image.Manifest {
		img.Index = g.documents.RootBytes
	}
	from := s.store
	if g.beside != nil {
		from, img.Image = g.beside.Store, g.beside.Image
	}
	done, err := s.to.Give(ctx, from, img)
	if err != nil {
		return err
	}
	record.Complete, record.Copied = true, done.Bytes
	if err := records.Put(ctx, record); err != nil {
		return err
	}
	s.tell(g, done)
	return nil
}

func (s *storage) tell(g gift, done containersstorage.Given) {
	if s.c.Bool("quiet") {
		return
	}
	console := terminal.NewConsole(s.c.App.ErrWriter)
	console.Say("%s is in the image store %s as %s, with %s new there", g.name, s.to.Path(), done.ID[:12], terminal.Count(done.Layers, "layer"))
	tellCopies(console, done.Clones, done.Copies, done.Bytes, done.Reason)
	s.tellDepth(console, len(g.image.Layers))
	if missing := s.conf.Missing(s.to.Path()); missing != "" && !s.told {
		s.told = true
		console.Hint("podman, buildah, skopeo and CRI-O find it once %s says:", s.conf.File)
		fmt.Fprint(s.c.App.ErrWriter, missing) //nolint:errcheck // as the console's
	}
}

// Renew brings into the image stores for engines what a repair has mended. What
// was given of a store of tars shares no file with it, and was never damaged.
func Renew(c *cli.Context, store *overlaystore.Store, mended layerctl.Repaired) error {
	if store.Format().Lower == layer.Tars {
		return nil
	}
	list, err := given.List(store.Dir())
	if err != nil {
		return err
	}
	done := map[string]bool{}
	var errs []error
	for _, r := range list {
		if r.Kind == given.ContainersStorage && !done[r.Address] {
			done[r.Address] = true
			errs = append(errs, renew(c, store, r.Address, mended))
		}
	}
	return errors.Join(errs...)
}

func renew(c *cli.Context, store *overlaystore.Store, dir string, mended layerctl.Repaired) (err error) {
	s, err := openStorage(c, store, dir, true)
	if errors.Is(err, overlaystore.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, s) }()
	n, err := s.to.Renew(c.Context, store, mended.Layers, mended.Fixes)
	if err == nil && n > 0 && !c.Bool("quiet") {
		terminal.NewConsole(c.App.ErrWriter).Say("renewed %s in the image store %s; what runs from there goes on with the old files", terminal.Count(n, "layer"), dir)
	}
	return err
}

// tellDepth warns of images that an old podman cannot mount, because it writes the paths of
// all layers into one page.
func (s *storage) tellDepth(console *terminal.Console, layers int) {
	const page, link, container = 4096, len("/overlay/l/") + 26 + len(":"), 600
	if most := (page - container) / (len(s.to.Path()) + link); layers > most {
		console.Warn("podman before version 5 runs images of about %d layers from here, and this one has %d; a directory with a shorter path allows more", most, layers)
	}
}

// takeStorage takes an image back from an additional image store. What stands on
// it keeps it there, and the record of it here.
func takeStorage(c *cli.Context, store *overlaystore.Store, r given.Record, still unwanted) (err error) {
	if dir, is, err := storageDir(only(c), store); only(c) != "" && (err != nil || !is || dir != r.Address) {
		return err
	}
	s, err := openStorage(c, store, r.Address, true)
	if err != nil && !errors.Is(err, overlaystore.ErrNotFound) {
		return err
	}
	records, openErr := given.Open(c.Context, store.Dir())
	if openErr != nil {
		return openErr
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	if err != nil { // somebody removed the image store
		return records.Remove(c.Context, r)
	}
	defer func() { err = setup.Closing(err, s) }()
	now, there, err := given.Find(store.Dir(), r)
	if there && still != nil {
		there, err = still(now.Complete)
	}
	if err != nil || !there {
		return err
	}
	r = now // with the names that it has been given since
	taken, err := s.to.Take(c.Context, r.Manifest)
	if err != nil {
		return err
	}
	if len(taken.Kept) > 0 {
		r.Complete = false
		err = records.Put(c.Context, r)
	} else {
		err = records.Remove(c.Context, r)
	}
	if err == nil && !c.Bool("quiet") {
		tellTaken(terminal.NewConsole(c.App.ErrWriter), s.to.Path(), r.Manifest, taken)
	}
	return err
}

func tellTaken(console *terminal.Console, dir string, manifest digest.Digest, taken containersstorage.Taken) {
	if len(taken.Kept) > 0 {
		console.Say("%s lost its names in the image store %s, and stays until a prune finds no container on it", terminal.Short(manifest), dir)
		return
	}
	console.Say("took %s from the image store %s", terminal.Short(manifest), dir)
}
