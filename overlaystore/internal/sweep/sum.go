// SPDX-License-Identifier: Apache-2.0

package sweep

// Sum is what directories take, in bytes of file contents.
type Sum struct {
	Layers          int
	Bytes, Unneeded int64      // of all, and of those that no image with a reference has
	Images          []ImageSum // in the order of the images
}

// ImageSum is one image's share: of all its directories, and of those that other
// images have too.
type ImageSum struct{ Bytes, Shared int64 }

// Add adds up.
func Add(sizes map[string]Size, images []Image) Sum {
	users, needed := map[string]int{}, map[string]bool{}
	for _, img := range images {
		for name := range img.Dirs {
			users[name]++
			needed[name] = needed[name] || img.Referenced
		}
	}
	sum := Sum{Images: make([]ImageSum, len(images))}
	bytes := map[string]int64{}
	for _, z := range sizes {
		name := z.ID.Encoded()
		sum.Bytes += z.Bytes
		bytes[name] = z.Bytes
		if !z.Fix {
			sum.Layers++
		}
		if !needed[name] {
			sum.Unneeded += z.Bytes
		}
	}
	for i, img := range images {
		for name := range img.Dirs {
			sum.Images[i].Bytes += bytes[name]
			if users[name] > 1 {
				sum.Images[i].Shared += bytes[name]
			}
		}
	}
	return sum
}
