// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// check verifies all documents and descriptors before a byte is written, because digests
// become names in the archive.
func (c Contents) check() error {
	if err := checkDescriptor(c.Root); err != nil {
		return err
	}
	for _, d := range c.Indexes {
		if err := d.check(); err != nil {
			return err
		}
	}
	for _, i := range c.Images {
		if err := i.check(); err != nil {
			return err
		}
	}
	return nil
}

func (i Image) check() error {
	for _, d := range []Document{i.Manifest, i.Config} {
		if err := d.check(); err != nil {
			return err
		}
	}
	for _, l := range i.Layers {
		if err := checkDescriptor(l); err != nil {
			return err
		}
	}
	return nil
}

func (d Document) check() error {
	if err := checkDescriptor(d.Descriptor); err != nil {
		return err
	}
	if int64(len(d.Raw)) != d.Descriptor.Size || d.Descriptor.Digest.Algorithm().FromBytes(d.Raw) != d.Descriptor.Digest {
		return fmt.Errorf("document %s: %w", d.Descriptor.Digest, ErrMismatch)
	}
	return nil
}

func checkDescriptor(desc ocispec.Descriptor) error {
	if err := desc.Digest.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", string(desc.Digest), err)
	}
	if desc.Size < 0 {
		return fmt.Errorf("descriptor of %s: %d bytes", desc.Digest, desc.Size)
	}
	return nil
}
