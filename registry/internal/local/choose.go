// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/layerctl/layerctl/registry/internal/failure"
)

// maxListed bounds each list in a layout or an archive: the images, the names of all
// images, the layers of one.
const maxListed = 10_000

// list is a JSON array of at most maxListed values. An array of some megabytes may have
// many more, and each takes a hundred times the memory of its text.
type list[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (l *list[T]) UnmarshalJSON(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	start, err := dec.Token()
	if err != nil || start == nil { // null
		return err
	}
	if start != json.Delim('[') {
		return fmt.Errorf("%v where a list should be", start)
	}
	for dec.More() {
		var one T
		if len(*l) == maxListed {
			return fmt.Errorf("a list of more than %d values", maxListed)
		}
		if err := dec.Decode(&one); err != nil {
			return err
		}
		*l = append(*l, one)
	}
	_, err = dec.Token()
	return err
}

// image is what is known of one image before it is read.
type image struct {
	names []string // the most exact first
	id    string   // is the same for entries that are the same image
	// digest returns the digest by which a reference can name it. It may have to read
	// the image for that.
	digest func() string
}

// choose returns the index of the image that a name means; "" means the only image. If
// there is none or more than one, the error lists names that can be chosen.
func choose(images []image, name string) (int, error) {
	found := allOf(images)
	if name != "" {
		found = named(images, name)
	}
	same := true
	for _, i := range found {
		same = same && images[i].id == images[found[0]].id
	}
	switch {
	case len(images) == 0:
		return 0, failure.New(failure.NotFound, "it is empty: it has no image")
	case len(found) == 0:
		return 0, failure.New(failure.NotFound, "no tag %q: there %s", name, listed(images, allOf(images)))
	case same:
		return found[0], nil
	case name == "":
		return 0, failure.New(failure.NotFound, "there are several images, name one by :TAG or @DIGEST: there %s", listed(images, found))
	}
	return 0, failure.New(failure.NotFound, "%q is the name of several images: there %s", name, listed(images, found))
}

// allOf returns the indices of all images.
func allOf(images []image) []int {
	all := make([]int, len(images))
	for i := range all {
		all[i] = i
	}
	return all
}

// named returns the indices of the images that a name means. Of the four ways to
// compare names, the first counts by which any image has the name.
func named(images []image, name string) []int {
	for _, fits := range []func(has string) bool{
		func(has string) bool { return has == name },
		func(has string) bool { return sameName(has, name) },
		func(has string) bool { return strings.HasSuffix(has, "/"+name) },
		func(has string) bool { return tagOf(has) == name },
	} {
		var found []int
		for i, im := range images {
			for _, has := range im.names {
				if fits(has) {
					found = append(found, i)
					break
				}
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// typeable matches names that a reference can have behind the path of an archive.
var typeable = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$`)
})

// listed names up to 10 of the images which, each by its best name that no other image
// has, or else by its digest. It is the end of a sentence.
func listed(images []image, which []int) string {
	const most = 10
	good := goodNames(images)
	var names []string
	seen := map[string]bool{}
	for _, i := range which {
		if id := images[i].id; !seen[id] {
			seen[id] = true
			if len(seen) <= most {
				name := good[id]
				if name == "" {
					name = "@" + images[i].digest()
				}
				names = append(names, name)
			}
		}
	}
	more := ""
	if len(seen) > most {
		more = fmt.Sprintf(" and %d more", len(seen)-most)
	}
	if len(names) == 1 {
		return fmt.Sprintf("is %q", names[0])
	}
	return fmt.Sprintf("are %q%s", names, more)
}

// goodNames returns, by the image's id, its first name that no other image has.
func goodNames(images []image) map[string]string {
	owners := map[string]string{} // by name; "" for several
	for _, im := range images {
		for _, n := range im.names {
			if id, ok := owners[n]; ok && id != im.id {
				owners[n] = ""
			} else if !ok {
				owners[n] = im.id
			}
		}
	}
	good := map[string]string{}
	for _, im := range images {
		for _, n := range im.names {
			if good[im.id] == "" && owners[n] == im.id && typeable().MatchString(n) {
				good[im.id] = failure.OneLine(n)
			}
		}
	}
	return good
}
