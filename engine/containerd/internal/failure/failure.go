// SPDX-License-Identifier: Apache-2.0

// Package failure knows what containerd's answers mean where they are errors.
package failure

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/layerctl/layerctl/errkind"
)

// ErrUnsupported says that this engine, or this store, cannot be served.
var ErrUnsupported = errkind.New(errkind.Filesystem, "cannot be served")

func isCode(err error, c codes.Code) bool { return status.Code(err) == c }

// IsNotFound says that the engine has no such thing.
func IsNotFound(err error) bool { return isCode(err, codes.NotFound) }

// IsExists says that the engine has it already.
func IsExists(err error) bool { return isCode(err, codes.AlreadyExists) }

// IsLeftBehind says that the snapshotter found the directory of a snapshot without
// a record, which one that was killed has left. It is known by its words, for it has
// no code of its own (plugins/snapshots/overlay, createSnapshot).
func IsLeftBehind(err error) bool {
	s := status.Convert(err)
	return s.Code() == codes.Unknown && strings.Contains(s.Message(), "failed to rename") && strings.Contains(s.Message(), "file exists")
}

// Explain gives an answer of the engine a kind and a plain text.
func Explain(err error) error {
	s, ok := status.FromError(err)
	if !ok || s.Code() == codes.OK {
		return err
	}
	plain := fmt.Errorf("the engine says: %.500s", s.Message())
	switch s.Code() {
	case codes.Canceled:
		return errors.Join(context.Canceled, plain)
	case codes.Unavailable:
		return errkind.With(errkind.Network, fmt.Errorf("the engine cannot be reached: %.500s", s.Message()))
	case codes.DeadlineExceeded:
		return errkind.With(errkind.Network, errors.New("the engine does not answer"))
	case codes.PermissionDenied, codes.Unauthenticated:
		return errkind.With(errkind.Denied, plain)
	case codes.FailedPrecondition:
		return errkind.With(errkind.Busy, plain)
	case codes.Unimplemented:
		return errors.Join(ErrUnsupported, plain)
	}
	return plain
}
