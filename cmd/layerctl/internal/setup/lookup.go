// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/internal/words"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
	"github.com/layerctl/layerctl/registry"
)

// Lookup finds a stored image that runs on the wanted platform. arg is a reference,
// REPOSITORY@DIGEST of its manifest, or that digest or its first digits, as the command
// images prints them. Lookup also returns the reference, or "" for a digest alone.
func Lookup(c *cli.Context, store *overlaystore.Store, arg string) (overlaystore.Image, string, error) {
	return lookup(c, store, arg, store.Lookup)
}

// LookupToRead is [Lookup] for a command that only reads the image: an image that is the
// only one of its name need not fit this machine.
func LookupToRead(c *cli.Context, store *overlaystore.Store, arg string) (overlaystore.Image, string, error) {
	return lookup(c, store, arg, store.LookupToRead)
}

func lookup(c *cli.Context, store *overlaystore.Store, arg string, in func(string, platform.Wanted) (overlaystore.Image, error)) (overlaystore.Image, string, error) {
	image, name, err := named(c, arg, in)
	if !errors.Is(err, overlaystore.ErrNotFound) && !errors.Is(err, registry.ErrReference) {
		return image, name, failure.Concerns(arg, err)
	}
	found, name, foundErr := byDigest(store, arg)
	if foundErr != nil || found.Manifest != "" {
		return found, name, foundErr
	}
	return image, "", failure.Concerns(arg, err)
}

// named finds an image by its reference.
func named(c *cli.Context, arg string, in func(string, platform.Wanted) (overlaystore.Image, error)) (overlaystore.Image, string, error) {
	if _, err := digest.Parse(arg); err == nil {
		return overlaystore.Image{}, "", overlaystore.ErrNotFound // by the grammar it might be a name
	}
	ref, err := registry.Parse(arg)
	if err != nil {
		return overlaystore.Image{}, "", err
	}
	w, err := Wanted(c)
	if err != nil {
		return overlaystore.Image{}, "", err
	}
	image, err := in(ref.String(), w)
	return image, ref.String(), err
}

// shortDigest matches a digest or its beginning, of at least six digits, which two images
// hardly share by chance.
var shortDigest = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:sha256:|sha512:)?([0-9a-f]{6,128})$`)
})

// byDigest finds an image by its manifest's digest. If there are several the error names
// each; if there is none the image is the zero value.
func byDigest(store *overlaystore.Store, arg string) (overlaystore.Image, string, error) {
	repository, begin := "", arg
	if ref, err := registry.Parse(arg); err == nil && ref.Digest() != "" {
		repository, begin = repositoryOf(ref), string(ref.Digest())
	}
	m := shortDigest().FindStringSubmatch(begin)
	if m == nil {
		return overlaystore.Image{}, "", nil
	}
	images, err := store.Images()
	if err != nil {
		return overlaystore.Image{}, "", err
	}
	var found []overlaystore.Image
	var names, digests []string
	for _, image := range images {
		name, ok := nameIn(image, repository)
		if ok && strings.HasPrefix(image.Manifest.Encoded(), m[1]) && (m[1] == begin || strings.HasPrefix(string(image.Manifest), begin)) {
			found, names, digests = append(found, image), append(names, name), append(digests, image.Manifest.Encoded()[:min(len(m[1])+6, len(image.Manifest.Encoded()))])
		}
	}
	switch len(found) {
	case 0:
		return overlaystore.Image{}, "", nil
	case 1:
		store.Touch(found[0].Manifest)
		return found[0], names[0], nil
	}
	return overlaystore.Image{}, "", &ambiguousError{arg, digests}
}

// Pinned returns a reference by which the library finds a stored image that the user
// named by its digest: one of the image's references with that digest. Any other arg it
// returns as it is.
func Pinned(c *cli.Context, store *overlaystore.Store, arg string) string {
	if store == nil || !shortDigest().MatchString(arg) {
		return arg
	}
	image, name, err := LookupToRead(c, store, arg)
	if err != nil || name != "" || len(image.Refs) == 0 {
		return arg
	}
	ref, err := registry.Parse(image.Refs[0])
	if err != nil {
		return arg
	}
	return ref.WithDigest(image.Manifest).String()
}

// nameIn returns the image's reference in a repository, and whether there is one. If
// repository is "" it returns "" and true.
func nameIn(image overlaystore.Image, repository string) (string, bool) {
	if repository == "" {
		return "", true
	}
	at := slices.IndexFunc(image.Refs, func(name string) bool {
		ref, err := registry.Parse(name)
		return err == nil && repositoryOf(ref) == repository
	})
	if at < 0 {
		return "", false
	}
	return image.Refs[at], true
}

func repositoryOf(r registry.Reference) string {
	if r.Transport() == registry.Docker {
		return r.Host() + "/" + r.Repository()
	}
	return string(r.Transport()) + ":" + r.Path()
}

// ambiguousError says that the digests of several images begin with the digits.
type ambiguousError struct {
	arg     string
	digests []string
}

func (e *ambiguousError) Error() string {
	return fmt.Sprintf("%s is the beginning of several digests: %s", e.arg, words.And(e.digests))
}

// Hint says what to write instead.
func (e *ambiguousError) Hint() string { return "more digits tell them apart" }

// Unwrap returns [overlaystore.ErrNotFound].
func (e *ambiguousError) Unwrap() error { return overlaystore.ErrNotFound }
