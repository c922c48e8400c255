// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"strings"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/shortname"
	"github.com/opencontainers/go-digest"
)

// Transport says where a reference looks for its image.
type Transport string

// The transports, named by the prefix that chooses them. A reference without
// such a prefix is a [Docker] reference.
const (
	Docker        Transport = "docker"
	OCI           Transport = "oci"
	OCIArchive    Transport = "oci-archive"
	DockerArchive Transport = "docker-archive"
	// Store is a store on this machine: no [Client] opens that, but what copies
	// images from it.
	Store Transport = "store"
)

// ErrReference is matched by the errors of [Parse].
var ErrReference = errkind.New(errkind.Usage, "invalid reference")

// maxReference bounds the text of a reference; the grammar allows 255 bytes
// for a name, and a path has at most 4096.
const maxReference = 8192

// Reference names an image. Two references are equal (==) if they are
// canonically the same. The zero value names nothing.
type Reference struct {
	transport Transport
	name      string // host of a Docker reference or of what a store has, else path of the layout or archive
	repo      string // repository below the host, of the first two
	tag       string
	digest    digest.Digest
}

// Parse reads a reference as users type it.
//
// A Docker reference follows the grammar of github.com/distribution/reference:
// "alpine" means "docker.io/library/alpine:latest". A "docker://" before it is
// allowed. If it has both a tag and a digest the digest decides, and the tag
// stays a part of the name. The names of
// transports that other programs have, as "dir:" and "docker-daemon:", are none
// at Docker Hub and refused, and so is an archive's file name alone.
//
// "oci:DIR", "oci-archive:FILE" and "docker-archive:FILE" name an OCI image
// layout, the same in a tar file, and what "docker save" writes; the FILE "-" is
// standard input, see [ArchiveOptions]. A tag, a digest or both may follow: "oci:DIR:TAG@sha256:…". Paths may hold colons:
// the longest path that exists is the path, and the rest is the tag; if none
// exists the path ends at the first colon. The path is made absolute.
//
// "store:REFERENCE" is what a store has under a Docker reference.
//
// Errors match [ErrReference].
func Parse(s string) (Reference, error) {
	if len(s) > maxReference {
		return Reference{}, fmt.Errorf("%w: %d bytes long, limit %d", ErrReference, len(s), maxReference)
	}
	prefix, rest, found := strings.Cut(s, ":")
	if t := Transport(prefix); found && (t == OCI || t == OCIArchive || t == DockerArchive) {
		return parsePath(t, s, rest)
	}
	if found && Transport(prefix) == Store && !behindPort().MatchString(rest) {
		r, err := parseDocker(s, rest)
		r.transport = Store
		return r, err
	}
	if err := refuseTransport(s); err != nil {
		return Reference{}, err
	}
	if err := refuseFile(s); err != nil {
		return Reference{}, err
	}
	name, _ := strings.CutPrefix(s, "docker://")
	return parseDocker(s, name)
}

func parseDocker(whole, name string) (Reference, error) {
	named, err := shortname.Parse(name)
	if err != nil {
		return Reference{}, invalid(whole, "%s", why(name, err))
	}
	r := Reference{transport: Docker, name: named.Host, repo: named.Repository, tag: named.Tag, digest: named.Digest}
	return r, checkDigest(whole, r.digest)
}

func checkDigest(whole string, d digest.Digest) error {
	if d == "" {
		return nil
	}
	if fault := digestFault(d); fault != "" {
		return invalid(whole, "%s", fault)
	}
	return nil
}

// Transport says where the image is looked for.
func (r Reference) Transport() Transport { return r.transport }

// Host is the registry of a Docker reference, as in "docker.io" or
// "localhost:5000", and "" for the other transports.
func (r Reference) Host() string {
	if r.transport != Docker {
		return ""
	}
	return r.name
}

// Repository is the name below the host, as in "library/alpine", and "" for
// the other transports.
func (r Reference) Repository() string {
	if r.transport != Docker {
		return ""
	}
	return r.repo
}

// InRegistry is what a store calls the image that a [Store] reference names: the
// Docker reference in it. Any other stays the same.
func (r Reference) InRegistry() Reference {
	if r.transport == Store {
		r.transport = Docker
	}
	return r
}

// Path is the absolute path of a layout or an archive, and "" for a Docker
// reference and for what a store has; "-" is standard input.
func (r Reference) Path() string {
	if r.transport == Docker || r.transport == Store {
		return ""
	}
	return r.name
}

// Tag is the tag, or "" where none was given beside a digest or for a layout or
// an archive. Where there is a digest too, that decides.
func (r Reference) Tag() string { return r.tag }

// Digest is the digest that the reference is pinned to, or "".
func (r Reference) Digest() digest.Digest { return r.digest }

// WithDigest is the same reference pinned to d, without a tag.
func (r Reference) WithDigest(d digest.Digest) Reference {
	r.tag, r.digest = "", d
	return r
}

// Tagged is the same reference without the digest beside its tag, if it has one.
func (r Reference) Tagged() Reference {
	if r.tag != "" {
		r.digest = ""
	}
	return r
}

// String is the canonical form, which [Parse] reads again:
// "docker.io/library/alpine:latest", "oci:/srv/images/hello:latest".
func (r Reference) String() string {
	var b strings.Builder
	if r.transport != Docker && r.transport != "" {
		b.WriteString(string(r.transport) + ":")
	}
	b.WriteString(r.name)
	if r.repo != "" {
		b.WriteString("/" + r.repo)
	}
	if r.tag != "" {
		b.WriteString(":" + r.tag)
	}
	if r.digest != "" {
		b.WriteString("@" + r.digest.String())
	}
	return b.String()
}
