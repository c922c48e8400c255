// SPDX-License-Identifier: Apache-2.0

package imagetest

import (
	"archive/tar"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// HelloPlatforms are the platforms of the hello image, in its index's order:
// the worst first, so that a reader who takes the first entry is seen.
var HelloPlatforms = []ocispec.Platform{
	{OS: "linux", Architecture: "arm", Variant: "v5"},
	{OS: "linux", Architecture: "arm", Variant: "v6"},
	{OS: "linux", Architecture: "arm", Variant: "v7"},
	{OS: "linux", Architecture: "arm64", Variant: "v8"},
	{OS: "linux", Architecture: "amd64"},
}

// Hello writes the hello image, tag "latest", into dir as an OCI layout: for
// each of [HelloPlatforms] a base layer that differs, and two layers that all
// of them share, one that whites out, replaces and adds, and one that makes a
// directory opaque.
func Hello(dir string) *Layout {
	l := NewLayout(dir)
	change := Tar(
		Dir("etc/", 0o755),
		File("etc/.wh.deleted", ""),
		File("etc/replaced", "from the second layer\n"),
		File("srv/implied/parents.txt", "its directories have no entry\n"),
		Symlink("hello", "etc/hello"),
	)
	hide := Tar(
		Dir("var/cache/", 0o750),
		File("var/cache/.wh..wh..opq", ""),
		File("var/cache/fresh", "all that is here\n"),
	)
	var manifests []ocispec.Descriptor
	for _, p := range HelloPlatforms {
		name := p.OS + "/" + p.Architecture
		if p.Variant != "" {
			name += "/" + p.Variant
		}
		manifests = append(manifests, l.Image(p, helloBase(name), change, hide))
	}
	l.Tag(l.Index(manifests...), "latest")
	return l
}

func helloBase(platform string) []byte {
	return Tar(
		Dir("etc/", 0o755),
		File("etc/hello", "hello from "+platform+"\n"),
		File("etc/deleted", "the second layer deletes this\n"),
		File("etc/replaced", "from the first layer\n"),
		Hardlink("etc/linked", "etc/hello"),
		Dir("tmp/", 0o1777),
		Dir("var/", 0o755),
		Dir("var/cache/", 0o755),
		File("var/cache/stale", "the third layer hides this\n"),
		Entry{Header: tar.Header{Name: "usr/bin/suid", Mode: 0o4755}, Body: "#!/bin/sh\n"},
		Entry{Header: tar.Header{Name: "home/user/notes", Uid: 1000, Gid: 1000, Mode: 0o600}, Body: "mine\n"},
	)
}
