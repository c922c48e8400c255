// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Config is an image's config. What a runtime makes of it (user, environment,
// labels) is not looked into: it stands in Raw.
type Config struct {
	// Platform is what the config says of itself. Nothing in it need be set.
	Platform ocispec.Platform
	// DiffIDs are the digests of the layers' tar streams, the lowest first.
	DiffIDs []digest.Digest
	// Created is when the image was built; nil where it does not say, or not
	// in RFC 3339.
	Created *time.Time
	// Raw are the exact bytes.
	Raw []byte
}

// configJSON is what is read of a config, by image-spec's config.md.
type configJSON struct {
	Created      json.RawMessage `json:"created"`
	Architecture string          `json:"architecture"`
	OS           string          `json:"os"`
	OSVersion    string          `json:"os.version"`
	OSFeatures   []string        `json:"os.features"`
	Variant      string          `json:"variant"`
	RootFS       *struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// ParseConfig decodes and checks an image's config.
func ParseConfig(raw []byte) (*Config, error) {
	c, err := parseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("parse config: %w", err)
	}
	return c, nil
}

func parseConfig(raw []byte) (*Config, error) {
	var j configJSON
	if err := decode(raw, MaxConfigSize, &j); err != nil {
		return nil, err
	}
	switch {
	case j.RootFS == nil:
		return nil, malformed{fmt.Errorf("has no rootfs")}
	case j.RootFS.Type != "layers":
		return nil, malformed{fmt.Errorf("has the rootfs type %q, not \"layers\"", clip(j.RootFS.Type))}
	case len(j.RootFS.DiffIDs) > MaxLayers:
		return nil, malformed{fmt.Errorf("has %d diffIDs, more than %d", len(j.RootFS.DiffIDs), MaxLayers)}
	}
	c := &Config{Raw: raw, Platform: ocispec.Platform{
		Architecture: j.Architecture, OS: j.OS, OSVersion: j.OSVersion, OSFeatures: j.OSFeatures, Variant: j.Variant,
	}}
	for i, s := range j.RootFS.DiffIDs {
		d, err := parseDigest(s)
		if err != nil {
			return nil, fmt.Errorf("diffID %d: %w", i, err)
		}
		c.DiffIDs = append(c.DiffIDs, d)
	}
	var t time.Time
	if len(j.Created) > 0 && string(j.Created) != "null" && json.Unmarshal(j.Created, &t) == nil {
		c.Created = &t
	}
	return c, nil
}
