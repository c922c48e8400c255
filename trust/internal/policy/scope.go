// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"path/filepath"
	"strings"

	"github.com/layerctl/layerctl/internal/shortname"
)

// Name is the name of an image by which policies know it.
type Name struct {
	// Transport is "docker", "oci", "oci-archive", "docker-archive", …
	Transport string
	// Image is the complete name of an image of the transport docker; nil for the
	// other transports.
	Image *shortname.Name
	// Path is the absolute path of a layout or an archive, and Tag the image in it.
	Path, Tag string
}

// scopes returns the scopes of a policy to which the image belongs, the narrowest first,
// without that of the whole transport.
func (n *Name) scopes() []string {
	switch {
	case n.Image != nil:
		return imageScopes(n.Image)
	case n.Transport == "docker-archive" || !filepath.IsAbs(n.Path):
		return nil
	}
	path := n.Path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	list := []string{path + ":" + n.Tag}
	for ; path != "/" && path != ""; path = path[:strings.LastIndexByte(path, '/')] {
		list = append(list, path)
	}
	return list
}

// imageScopes returns the scopes of a Docker image: the image by its digest and by its
// tag, its repository, the namespaces of that, its host, and the domains of the host.
func imageScopes(image *shortname.Name) []string {
	var list []string
	name := image.Bare()
	if image.Digest != "" {
		list = append(list, name+"@"+image.Digest.String())
	}
	if image.Tag != "" {
		list = append(list, name+":"+image.Tag)
	}
	for {
		list = append(list, name)
		slash := strings.LastIndexByte(name, '/')
		if slash < 0 {
			break
		}
		name = name[:slash]
	}
	host, _, _ := strings.Cut(name, ":")
	for {
		_, domain, found := strings.Cut(host, ".")
		if !found {
			return list
		}
		list, host = append(list, "*."+domain), domain
	}
}
