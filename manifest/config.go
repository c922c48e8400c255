// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Config is an image's config. Its settings for runtimes (user, environment, labels) are
// not parsed: they are in Raw.
type Config struct {
	// Platform is the platform that the config names. Any field may be unset.
	Platform ocispec.Platform
	// DiffIDs are the digests of the layers' tar streams, the lowest first.
	DiffIDs []digest.Digest
	// Created is when the image was built; nil if the config has no time, or none in
	// RFC 3339.
	Created *time.Time
	// Raw has the exact bytes.
	Raw []byte
}

// configJSON has the parsed fields of a config, see
// https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md
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

// ParseConfig decodes and checks an image's config. The error is an [ErrMalformed].
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
