// SPDX-License-Identifier: Apache-2.0

package stackview

import (
	"fmt"
	"sync/atomic"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/layer"
)

// The kinds of errors.
var (
	// ErrMalformed says that a layer contradicts itself or the layers below it.
	ErrMalformed = errkind.New(errkind.Malformed, "malformed image")
	// ErrLimit says that the paths need more memory than [Options].Memory.
	ErrLimit = errkind.New(errkind.Malformed, "image exceeds a limit")
)

// limitError is an [ErrLimit] with the limit, in bytes.
type limitError struct{ Max int64 }

func (e *limitError) Error() string {
	return fmt.Sprintf("image exceeds the limit of %d bytes of memory for its paths", e.Max)
}

// Unwrap makes errors.Is find ErrLimit and its kind.
func (e *limitError) Unwrap() error { return ErrLimit }

// Options say how a stack is merged; the zero value works.
type Options struct {
	// Memory bounds the bytes of memory for all paths of all layers and the view;
	// 0 means 512 MiB, enough for a million paths, and a negative number means no
	// limit.
	Memory int64
	// Beside is a budget that is shared with others: all memory for paths is taken
	// from it too. The stack never gives it back, except by [Stack.Release]. nil
	// means none.
	Beside interface {
		Take(bytes int64) bool
		Give(bytes int64)
	}
}

const defaultMemory = 512 << 20

// Stack makes layers and merges them to a [View], within one budget of memory. It is
// safe for use by several goroutines; each of its layers is for one at a time.
type Stack struct {
	options Options
	taken   atomic.Int64
}

// NewStack returns a stack without layers.
func NewStack(o Options) *Stack {
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	return &Stack{options: o}
}

const (
	nodeBytes  = 350 // a node and its place in its directory's map, as measured
	mapBytes   = 350 // a map with room for eight attributes
	xattrBytes = 50
)

// Reserve takes n bytes of the budget, for what its caller keeps in memory
// meanwhile. The error is [ErrLimit].
func (s *Stack) Reserve(n int64) error { return s.take(n) }

// Release gives back what Reserve took.
func (s *Stack) Release(n int64) {
	s.taken.Add(-n)
	if s.options.Beside != nil {
		s.options.Beside.Give(n)
	}
}

func (s *Stack) take(n int64) error {
	most := s.options.Memory
	over := s.taken.Add(n) > most && most >= 0
	if over || s.options.Beside != nil && !s.options.Beside.Take(n) {
		s.taken.Add(-n)
		return &limitError{most}
	}
	return nil
}

func (s *Stack) charge(e *layer.Entry) error {
	n := int64(nodeBytes + len(e.Path) + len(e.Linkname))
	if len(e.Xattrs) > 0 {
		n += mapBytes
	}
	for name, value := range e.Xattrs {
		n += int64(xattrBytes + len(name) + len(value))
	}
	return s.take(n)
}
