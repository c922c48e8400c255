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
	// Store is a store on this machine. No [Client] of this package opens it; callers
	// of package transfer open it by Options.Open.
	Store Transport = "store"
)

// ErrReference is matched by the errors of [Parse].
var ErrReference = errkind.New(errkind.Usage, "invalid reference")

// maxReference bounds the bytes of a reference. A name has at most 255 by the grammar,
// a path at most 4096 (PATH_MAX).
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
// "alpine" means "docker.io/library/alpine:latest". It may begin with "docker://". If
// it has both a tag and a digest, the digest decides which manifest is meant, and the
// tag stays a part of the reference. The transports of other programs, such as "dir:"
// and "docker-daemon:", are refused, and so is the name of an existing archive alone.
//
// "oci:DIR", "oci-archive:FILE" and "docker-archive:FILE" name an OCI image layout, a
// layout in a tar file, and what "docker save" writes. The FILE "-" is standard input,
// see [ArchiveOptions]. A tag, a digest or both may follow: "oci:DIR:TAG@sha256:…"; with
// a digest the tag is dropped. Paths may contain colons: the longest path that exists is
// the path, and the rest the tag; if none exists, the path ends at the first colon. The
// path is made absolute.
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
	if fault := portFault(named.Host); fault != "" {
		return Reference{}, invalid(whole, "%s", fault)
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

// Transport returns where the image is looked for; "" for the zero Reference.
func (r Reference) Transport() Transport { return r.transport }

// Host returns the registry of a Docker reference, such as "docker.io" or
// "localhost:5000"; "" for the other transports.
func (r Reference) Host() string {
	if r.transport != Docker {
		return ""
	}
	return r.name
}

// Repository returns the name below the host, such as "library/alpine"; "" for the
// other transports.
func (r Reference) Repository() string {
	if r.transport != Docker {
		return ""
	}
	return r.repo
}

// InRegistry returns the Docker reference in a [Store] reference, by which the store
// names the image. It returns any other reference as it is.
func (r Reference) InRegistry() Reference {
	if r.transport == Store {
		r.transport = Docker
	}
	return r
}

// Path returns the absolute path of a layout or an archive, "-" for standard input; ""
// for a [Docker] or [Store] reference.
func (r Reference) Path() string {
	if r.transport == Docker || r.transport == Store {
		return ""
	}
	return r.name
}

// Tag returns the tag, which is "latest" in a Docker reference that had neither a tag
// nor a digest. It is "" for a digest alone, and for a layout or an archive without a
// name of an image. Where there is a digest too, the digest decides.
func (r Reference) Tag() string { return r.tag }

// Digest returns the digest to which the reference is pinned; "" if it is not.
func (r Reference) Digest() digest.Digest { return r.digest }

// WithDigest returns the reference pinned to d, without a tag.
func (r Reference) WithDigest(d digest.Digest) Reference {
	r.tag, r.digest = "", d
	return r
}

// Tagged returns the reference without its digest, if it has a tag too.
func (r Reference) Tagged() Reference {
	if r.tag != "" {
		r.digest = ""
	}
	return r
}

// String returns the canonical form, of which [Parse] makes the same reference:
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
