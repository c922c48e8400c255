// SPDX-License-Identifier: Apache-2.0

// Package bundle makes the config.json of an OCI runtime bundle from an image's config, by
// the image-spec's conversion rules
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/conversion.md).
//
// Most callers want [Convert], with the mounted root filesystem, in which the image's user
// is looked up, and write the result as JSON:
//
//	root, err := os.OpenRoot(rootfs)
//	spec, notes, err := bundle.Convert(config, root.FS(), bundle.Options{})
//
// The types are those of the runtime-spec's own Go package, whose JSON leaves out zero
// values by rules that are not worth copying.
//
// Not promised: what the conversion leaves to the implementation (capabilities,
// namespaces, masked paths) follows runc's command "spec" and may change with it.
package bundle
