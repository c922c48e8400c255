// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/entryname"
)

// notes counts leniencies. Their kinds are few, whatever the layer holds.
type notes struct {
	strict bool
	log    *slog.Logger
	list   []Note
}

// add counts one leniency; under Strict it is an error instead.
func (n *notes) add(key, path string) error {
	if n.strict {
		return &MalformedError{Entry: path, Offset: -1, Reason: "refused by strict: " + key}
	}
	n.count(key, path)
	return nil
}

func (n *notes) count(key, path string) {
	i := slices.IndexFunc(n.list, func(o Note) bool { return o.Key == key })
	if i >= 0 {
		n.list[i].Count++
		return
	}
	n.list = append(n.list, Note{Key: key, Count: 1, Example: path})
	if n.log != nil {
		n.log.Debug("lenient", "note", key, "path", entryname.Quote(path))
	}
}

func (n *notes) sorted() []Note {
	slices.SortFunc(n.list, func(a, b Note) int { return strings.Compare(a.Key, b.Key) })
	return n.list
}
