// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"fmt"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// The kinds of errors that are the image's fault. Errors of the disk match their
// unix.Errno, and errors of the blob's reader are returned as they are.
var (
	ErrMalformed = errkind.New(errkind.Malformed, "malformed layer")
	ErrLimit     = errkind.New(errkind.Malformed, "layer exceeds a limit")
	ErrMismatch  = errkind.New(errkind.Mismatch, "layer has another diffID")
)

// MalformedError says why a layer is malformed, and where. It matches
// [ErrMalformed].
type MalformedError struct {
	// Entry is the name of the tar entry, as the tar has it; it is empty where no
	// single entry is at fault.
	Entry string
	// Offset is the byte of the tar at which the entry begins, or for a fault
	// of the compression the byte of the blob; -1 where neither is known.
	Offset int64
	Reason string
}

func (e *MalformedError) Error() string {
	switch {
	case e.Entry != "" && e.Offset >= 0:
		return fmt.Sprintf("malformed layer: entry %s at byte %d: %s", entryname.Quote(e.Entry), e.Offset, e.Reason)
	case e.Entry != "":
		return fmt.Sprintf("malformed layer: entry %s: %s", entryname.Quote(e.Entry), e.Reason)
	case e.Offset >= 0:
		return fmt.Sprintf("malformed layer: at byte %d: %s", e.Offset, e.Reason)
	}
	return "malformed layer: " + e.Reason
}

// Unwrap makes the error match ErrMalformed and its kind.
func (e *MalformedError) Unwrap() error { return ErrMalformed }

// LimitError says which limit a layer exceeds. It matches [ErrLimit].
type LimitError struct {
	// Limit names the field of [Limits], in lower case, or is "window" for
	// [Windows].
	Limit string
	Max   int64
	// Asked is what the layer needs; 0 where that is not known.
	Asked int64
	// Entry is the name of the tar entry that exceeds the limit; it may be empty.
	Entry string
}

func (e *LimitError) Error() string {
	if e.Limit == "window" {
		return fmt.Sprintf("layer needs a zstd window of %d bytes, and there is memory for %d", e.Asked, e.Max)
	}
	s := fmt.Sprintf("layer exceeds the limit of %d for %s", e.Max, e.Limit)
	if e.Entry != "" {
		s += " at entry " + entryname.Quote(e.Entry)
	}
	return s
}

// Unwrap makes the error match ErrLimit and its kind.
func (e *LimitError) Unwrap() error { return ErrLimit }

// MismatchError says that the tar's digest is not the diffID in the image's config.
// It matches [ErrMismatch].
type MismatchError struct{ Want, Got digest.Digest }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("layer has diffID %s, the image's config says %s", e.Got, e.Want)
}

// Unwrap makes the error match ErrMismatch and its kind.
func (e *MismatchError) Unwrap() error { return ErrMismatch }

// SpaceError says that writing more would leave less space free than the reserve.
// It matches unix.ENOSPC: the disk is at fault, not the image.
type SpaceError struct {
	// Needed, Free and Reserve are bytes.
	Needed, Free, Reserve int64
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("write %d bytes: only %d are free, and %d are kept in reserve", e.Needed, e.Free, e.Reserve)
}

// Unwrap returns unix.ENOSPC.
func (e *SpaceError) Unwrap() error { return unix.ENOSPC }

// failed adds the operation and the path to an error of the disk; nil stays nil.
func failed(verb, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", verb, entryname.Quote(path), err)
}
