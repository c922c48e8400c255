// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/layerctl/layerctl/internal/entryname"
)

// notes counts leniencies, of which there are few kinds.
type notes struct {
	strict bool
	log    *slog.Logger
	list   []Note // sorted by their keys
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
	i, found := slices.BinarySearchFunc(n.list, key, func(o Note, key string) int { return strings.Compare(o.Key, key) })
	if found {
		n.list[i].Count++
		return
	}
	n.list = slices.Insert(n.list, i, Note{Key: key, Count: 1, Example: path})
	if n.log != nil {
		n.log.Debug("lenient", "note", key, "path", entryname.Quote(path))
	}
}
