// SPDX-License-Identifier: Apache-2.0

package containersstorage

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
)

// The names of an image's documents (image/storage of container-libs).
const (
	manifestData       = "manifest"
	manifestDataPrefix = "manifest-"
)

// newImageRecord is the record of an image whose documents are checked.
func newImageRecord(img Image) (*imageRecord, error) {
	if err := checkNames(img.Names); err != nil {
		return nil, err
	}
	rec := &imageRecord{
		ID: img.Image.Config.Encoded(), Digest: img.Image.Manifest, Names: slices.Clone(img.Names), NamesHistory: slices.Clone(img.Names),
		Metadata: "{}", Created: time.Now().UTC(),
		BigDataSizes: map[string]int64{}, BigDataDigests: map[string]digest.Digest{},
	}
	for _, d := range documents(img) {
		rec.addData(d.name, d.raw)
	}
	if img.Index != nil {
		rec.Digest = digest.FromBytes(img.Index)
	}
	return rec, nil
}

type document struct {
	name string
	raw  []byte
}

// documents are what engines keep of an image, in their order.
func documents(img Image) []document {
	list := []document{{img.Image.Config.String(), img.Config}}
	if img.Index != nil {
		list = append(list, document{manifestDataPrefix + digest.FromBytes(img.Index).String(), img.Index})
	}
	return append(list, document{manifestDataPrefix + img.Image.Manifest.String(), img.Manifest}, document{manifestData, img.Manifest})
}

func (i *imageRecord) addData(name string, raw []byte) {
	i.BigDataNames = append(i.BigDataNames, name)
	i.BigDataSizes[name] = int64(len(raw))
	i.BigDataDigests[name] = digest.FromBytes(raw)
}

// manifests are the digests of the manifests that the image has.
func (i *imageRecord) manifests() (list []digest.Digest) {
	for _, name := range i.BigDataNames {
		if dgst, ok := strings.CutPrefix(name, manifestDataPrefix); ok {
			list = append(list, digest.Digest(dgst))
		}
	}
	return list
}

// dataFile is the name of the file that a document is in (makeBigDataBaseName
// in store.go of containers/storage).
func dataFile(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.") == "" {
		return name
	}
	return "=" + base64.StdEncoding.EncodeToString([]byte(name))
}

// publish puts the layers that were made in their place and names them, and
// then the image.
func (g *giving) publish(ctx context.Context, rec *imageRecord, img Image) (err error) {
	unlock, err := g.lockRecords(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if len(g.made) > 0 {
		if err := g.place(ctx); err != nil {
			return err
		}
		g.records.layers = append(g.records.layers, g.made...)
		if err := writeList(ctx, g.root, layersDir, layersFile, g.records.layers); err != nil {
			return err
		}
	}
	if err := g.writeData(ctx, rec, img); err != nil {
		return err
	}
	before := g.records.image(rec.ID)
	changed := g.records.moveNames(rec)
	if before == nil {
		g.records.images = append(g.records.images, rec)
	} else if !before.merge(rec) && !changed {
		return nil
	}
	return writeList(ctx, g.root, imagesDir, imagesFile, g.records.images)
}

// place moves the layers from staging to where engines look for them.
func (g *giving) place(ctx context.Context) error {
	overlay, err := durable.OpenDirAt(g.root, overlayDir)
	if err != nil {
		return err
	}
	defer overlay.Close()
	links, err := durable.OpenDirAt(overlay, linksDir)
	if err != nil {
		return err
	}
	defer links.Close()
	for _, l := range g.made {
		if err := durable.RenameNoReplace(ctx, g.staging, l.ID, overlay, l.ID); err != nil {
			return err
		}
		if err := symlink(ctx, "../"+l.ID+"/diff", links, linkName(l.ID)); err != nil {
			return err
		}
	}
	return errors.Join(durable.SyncDir(ctx, overlay), durable.SyncDir(ctx, links))
}

func symlink(ctx context.Context, target string, dir *os.File, name string) error {
	if err := durable.Fault(ctx, "symlink "+name); err != nil {
		return err
	}
	if err := unix.Symlinkat(target, int(dir.Fd()), name); err != nil {
		return &os.LinkError{Op: "symlink", Old: target, New: name, Err: err}
	}
	return nil
}

// writeData writes the documents that are not there. One that is there is never
// replaced: the record tells its size.
func (g *giving) writeData(ctx context.Context, rec *imageRecord, img Image) error {
	before := g.records.image(rec.ID)
	images, err := durable.OpenDirAt(g.root, imagesDir)
	if err != nil {
		return err
	}
	defer images.Close()
	if err := durable.Mkdir(ctx, images, rec.ID, 0o700); exists(err) != nil {
		return err
	}
	dir, err := durable.OpenDirAt(images, rec.ID)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, d := range documents(img) {
		if before != nil && slices.Contains(before.BigDataNames, d.name) {
			continue
		}
		if err := durable.WriteFile(ctx, dir, dataFile(d.name), d.raw, 0o600); err != nil {
			return err
		}
	}
	return durable.SyncDir(ctx, images)
}

// moveNames takes the names of an image from the others. It says whether any
// had one.
func (r *records) moveNames(to *imageRecord) (moved bool) {
	for _, i := range r.images {
		if i.ID != to.ID && i.dropNames(to.Names) {
			moved = true
		}
	}
	return moved
}

// dropNames says whether the image had any of the names.
func (i *imageRecord) dropNames(names []string) bool {
	had := len(i.Names)
	i.Names = slices.DeleteFunc(i.Names, func(name string) bool { return slices.Contains(names, name) })
	return len(i.Names) != had
}

// merge adds what another record of the same image has, and says whether that
// was anything.
func (i *imageRecord) merge(with *imageRecord) (changed bool) {
	if i.BigDataSizes == nil {
		i.BigDataSizes = map[string]int64{}
	}
	if i.BigDataDigests == nil {
		i.BigDataDigests = map[string]digest.Digest{}
	}
	for _, name := range with.BigDataNames {
		if !slices.Contains(i.BigDataNames, name) {
			i.BigDataNames = append(i.BigDataNames, name)
			i.BigDataSizes[name], i.BigDataDigests[name] = with.BigDataSizes[name], with.BigDataDigests[name]
			changed = true
		}
	}
	for _, name := range with.Names {
		if !slices.Contains(i.Names, name) {
			i.Names = append(i.Names, name)
			changed = true
		}
		if !slices.Contains(i.NamesHistory, name) {
			i.NamesHistory = append([]string{name}, i.NamesHistory...)
		}
	}
	return changed
}
