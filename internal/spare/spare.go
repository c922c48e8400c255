// SPDX-License-Identifier: Apache-2.0

// Package spare keeps what was used and can be used again.
//
// A sync.Pool does the same without a bound, and forgets at each garbage
// collection; a [List] keeps so many and no more, for as long as it lives.
package spare

// List is what waits for its next use, up to its capacity: make(List[T], n). A
// nil one keeps nothing. It may be used by several goroutines.
type List[T any] chan T

// Take returns one that was kept; ok is false where there is none.
func (l List[T]) Take() (v T, ok bool) {
	select {
	case v = <-l:
		return v, true
	default:
		return v, false
	}
}

// Keep takes one that is not used any more. The garbage collector has it where
// the list is full.
func (l List[T]) Keep(v T) {
	select {
	case l <- v:
	default:
	}
}
