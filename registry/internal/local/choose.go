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

// maxListed bounds each list of a layout or an archive: its images, the names
// of all of them, the layers of one.
const maxListed = 10_000

// list is a JSON array of at most maxListed values: an array of megabytes may
// be many more, each of which takes a hundred times its text in memory.
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
	names []string // the best first
	id    string   // two that have the same are the same
	// digest is a way to ask for it, which costs something to find out.
	digest func() string
}

// choose picks the image that a name means: "" means the only one. Otherwise
// the error lists the names that work.
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

func allOf(images []image) []int {
	all := make([]int, len(images))
	for i := range all {
		all[i] = i
	}
	return all
}

// named finds the images that a name may mean: by the first of the ways that
// finds any.
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

// typeable is a name that a reference can have behind the path of an archive.
var typeable = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$`)
})

// listed says in a line's length what those of the images are called, each by
// the best name that is good for it alone.
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

// goodNames are, by the image's id, the first names that no other image has.
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
