// SPDX-License-Identifier: Apache-2.0

// Package bundle makes the config.json of an OCI runtime bundle out of an
// image's config, by the image-spec's conversion rules
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/conversion.md).
//
// Most callers want [Convert], with the mounted root filesystem, which says
// who the image's user is, and write the answer as JSON:
//
//	root, err := os.OpenRoot(rootfs)
//	spec, notes, err := bundle.Convert(config, root.FS(), bundle.Options{})
//
// The types are the runtime-spec's own Go package: its JSON has rules on which
// zero values are left out that are not worth copying.
//
// Not promised: what the conversion leaves to the implementation
// (capabilities, namespaces, masked paths) is what runc's own "spec" command
// gives, and may follow it.
package bundle
