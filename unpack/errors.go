// SPDX-License-Identifier: Apache-2.0

package unpack

import (
	"fmt"

	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/internal/entryname"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// The kinds of errors that are the image's fault. Errors of the disk come as
// the unix.Errno that they are, those of the blob's reader as it gave them.
var (
	ErrMalformed = errkind.New(errkind.Malformed, "malformed layer")
	ErrLimit     = errkind.New(errkind.Malformed, "layer exceeds a limit")
	ErrMismatch  = errkind.New(errkind.Mismatch, "layer has another diffID")
)

// MalformedError says what a layer has that none may have, and where.
// errors.Is finds [ErrMalformed].
type MalformedError struct {
	// Entry is the name of the tar entry, as the tar has it; empty where the
	// fault is not one entry's.
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

// Unwrap makes errors.Is find ErrMalformed and its kind.
func (e *MalformedError) Unwrap() error { return ErrMalformed }

// LimitError says which limit a layer is over. errors.Is finds [ErrLimit].
type LimitError struct {
	// Limit names the field of [Limits], in lower case, or is "window" for
	// [Windows].
	Limit string
	Max   int64
	// Asked is what the layer asks for; 0 where that is not known beforehand.
	Asked int64
	// Entry is the tar entry at which it happened; it may be empty.
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

// Unwrap makes errors.Is find ErrLimit and its kind.
func (e *LimitError) Unwrap() error { return ErrLimit }

// MismatchError says that the tar is not the one that the image's config
// names. errors.Is finds [ErrMismatch].
type MismatchError struct{ Want, Got digest.Digest }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("layer has diffID %s, the image's config says %s", e.Got, e.Want)
}

// Unwrap makes errors.Is find ErrMismatch and its kind.
func (e *MismatchError) Unwrap() error { return ErrMismatch }

// SpaceError says that writing on would leave less space free than is to be
// kept. errors.Is finds unix.ENOSPC: it is the disk's fault, not the image's.
type SpaceError struct {
	// Needed, Free and Reserve are bytes.
	Needed, Free, Reserve int64
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("write %d bytes: only %d are free, and %d are kept in reserve", e.Needed, e.Free, e.Reserve)
}

// Unwrap says that it is a full disk.
func (e *SpaceError) Unwrap() error { return unix.ENOSPC }

// failed names the operation and the path of an error of the disk.
func failed(verb, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", verb, entryname.Quote(path), err)
}
