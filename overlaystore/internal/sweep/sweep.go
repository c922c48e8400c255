// SPDX-License-Identifier: Apache-2.0

// Package sweep chooses what a prune of a store removes: images, and then the
// directories of layers that nothing which stays is made of.
package sweep

import (
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/opencontainers/go-digest"
)

// Image is what counts of an image.
type Image struct {
	Manifest   digest.Digest
	Dirs       map[string]bool // the names of the directories that it is made of
	Referenced bool
	Used       time.Time
}

// Sweep chooses. InUse are the names of directories that leases and mounts
// keep.
type Sweep struct {
	Now time.Time
	// OlderThan spares what was used or made more recently.
	OlderThan time.Duration
	// KeepStorage lets the image that was unused for longest go while the layers
	// take more bytes; 0 is no limit, and less keeps nothing.
	KeepStorage int64
	Images      []Image         // that stay
	Sizes       map[string]Size // by path
	InUse       map[string]bool
}

// Drop chooses the images to drop, takes them from those that stay, and
// returns them.
func (s *Sweep) Drop() []digest.Digest {
	var dropped []digest.Digest
	drop := func(i int) {
		dropped = append(dropped, s.Images[i].Manifest)
		s.Images = slices.Delete(s.Images, i, i+1)
	}
	for i := len(s.Images) - 1; i >= 0; i-- {
		if !s.Images[i].Referenced && s.free(s.Images[i]) {
			drop(i)
		}
	}
	if s.KeepStorage == 0 {
		return dropped
	}
	s.byUse()
	for i := len(s.Images) - 1; i >= 0 && s.kept() > max(s.KeepStorage, 0); i-- {
		if s.free(s.Images[i]) {
			drop(i)
		}
	}
	return dropped
}

// byUse puts what was used last first.
func (s *Sweep) byUse() {
	sort.SliceStable(s.Images, func(i, j int) bool { return s.Images[i].Used.After(s.Images[j].Used) })
}

// free reports whether nobody uses an image, and nobody has lately.
func (s *Sweep) free(img Image) bool {
	for name := range img.Dirs {
		if s.InUse[name] {
			return false
		}
	}
	return s.old(img.Used)
}

// old bounds an age: what is of a later time than now, for the clock was ahead,
// is as good as of now.
func (s *Sweep) old(t time.Time) bool { return max(s.Now.Sub(t), 0) >= s.OlderThan }

// needed are the directories that something which stays is made of.
func (s *Sweep) needed() map[string]bool {
	needed := maps.Clone(s.InUse)
	for _, img := range s.Images {
		maps.Copy(needed, img.Dirs)
	}
	return needed
}

// kept is what the layers take that stay.
func (s *Sweep) kept() int64 {
	needed := s.needed()
	var total int64
	for _, z := range s.Sizes {
		if needed[z.ID.Encoded()] {
			total += z.Bytes
		}
	}
	return total
}

// Unneeded are the paths of the directories to remove, sorted.
func (s *Sweep) Unneeded() []string {
	needed := s.needed()
	var gone []string
	for _, path := range slices.Sorted(maps.Keys(s.Sizes)) {
		if z := s.Sizes[path]; !needed[z.ID.Encoded()] && s.old(z.Made) {
			gone = append(gone, path)
		}
	}
	return gone
}

// Redate calls image for the images that stay, and dir for the paths that do,
// whose time is later than now, with a time for each: so that it grows old as
// other things do, and in the order of use.
func (s *Sweep) Redate(gone []string, image func(digest.Digest, time.Time), dir func(path string, t time.Time)) {
	s.byUse()
	for i, img := range s.Images {
		if img.Used.After(s.Now) {
			image(img.Manifest, s.Now.Add(-time.Duration(i)*time.Millisecond))
		}
	}
	for path, z := range s.Sizes {
		if z.Made.After(s.Now) && !slices.Contains(gone, path) {
			dir(path, s.Now)
		}
	}
}
