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
	// ErrMalformed: the layers do not make sense, each or together.
	ErrMalformed = errkind.New(errkind.Malformed, "malformed image")
	ErrLimit     = errkind.New(errkind.Malformed, "image exceeds a limit")
)

// limitError says that the paths of all layers take more memory than they
// may. errors.Is finds [ErrLimit].
type limitError struct{ Max int64 }

func (e *limitError) Error() string {
	return fmt.Sprintf("image exceeds the limit of %d bytes of memory for its paths", e.Max)
}

// Unwrap makes errors.Is find ErrLimit and its kind.
func (e *limitError) Unwrap() error { return ErrLimit }

// Options say how a stack is merged; the zero value works.
type Options struct {
	// Memory bounds the bytes that all paths of all layers and the view may
	// take; 0 means 512 MiB, which is more than a million paths, and a negative
	// number no limit.
	Memory int64
	// Beside is memory that others take from too, and of which the paths must be
	// there as well; nil is none. What was taken stays taken.
	Beside interface {
		Take(bytes int64) bool
		Give(bytes int64)
	}
}

const defaultMemory = 512 << 20

// Stack is layers on their way to a [View]. It is safe for use by several
// goroutines; each of its layers is for one.
type Stack struct {
	options Options
	taken   atomic.Int64
}

// NewStack begins a stack.
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

// Reserve takes so many bytes of the memory for what its caller keeps meanwhile;
// Release gives them back. Its error is a [*limitError].
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
