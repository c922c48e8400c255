// SPDX-License-Identifier: Apache-2.0

// Package errkind sorts errors into nine kinds, one for each exit code of the
// command.
//
// A kind is an error itself, so that callers match it:
//
//	if errors.Is(err, errkind.NotFound) { … }
//
// What went wrong in detail is carried by the typed errors of the package that
// returned it; errors of the operating system stay visible beside the kind.
// One error may be of several kinds, as where a pull fails for a blob that is
// not there and its cleaning up for a full disk; [Of] says which one counts.
package errkind

import (
	"errors"
	"io/fs"
	"syscall"
)

// Kind is one of nine kinds of errors. Its value is the command's exit code,
// which is a promise to scripts and never changes.
type Kind uint8

// The kinds.
const (
	Failure    Kind = iota + 1 // any other failure
	Usage                      // the caller asked for what makes no sense: a malformed reference, a conflict of options
	NotFound                   // no such image, tag, platform, path, layer
	Denied                     // the registry or a policy does not allow it
	Network                    // a host could not be reached, or answered with nonsense
	Mismatch                   // bytes are not what their digest, size or record says
	Malformed                  // an image that is unsafe, malformed, or over a limit
	Filesystem                 // the disk, the filesystem or the kernel cannot do it
	Busy                       // in use by another process or a mount
)

// Error names the kind.
func (k Kind) Error() string {
	switch k {
	case Usage:
		return "wrong usage"
	case NotFound:
		return "not found"
	case Denied:
		return "access denied"
	case Network:
		return "network failure"
	case Mismatch:
		return "verification failed"
	case Malformed:
		return "malformed image"
	case Filesystem:
		return "filesystem failure"
	case Busy:
		return "busy"
	}
	return "failure"
}

// New makes an error of a kind that says text and nothing else. Each call
// makes another error, as errors.New does: fit for a sentinel.
func New(k Kind, text string) error { return With(k, errors.New(text)) }

// With makes err one of kind k too; its text stays as it is. nil stays nil.
func With(k Kind, err error) error {
	if err == nil {
		return nil
	}
	return &kinded{kind: k, err: err}
}

type kinded struct {
	kind Kind
	err  error
}

func (e *kinded) Error() string        { return e.err.Error() }
func (e *kinded) Unwrap() error        { return e.err }
func (e *kinded) Is(target error) bool { return target == e.kind }

// Of is the kind of err that counts where there are several: what the caller
// can do something about comes first, what the disk says last. An error of the
// operating system alone is [Filesystem]; nil is 0, and what nobody gave a
// kind is [Failure].
func Of(err error) Kind {
	if err == nil {
		return 0
	}
	for _, k := range []Kind{Usage, NotFound, Denied, Mismatch, Network, Malformed, Busy, Filesystem} {
		if errors.Is(err, k) {
			return k
		}
	}
	var errno syscall.Errno
	if errors.As(err, &errno) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return Filesystem
	}
	return Failure
}
