// SPDX-License-Identifier: Apache-2.0

package overlaymount

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl/internal/durable"
	"github.com/layerctl/layerctl/internal/mounts"
	"github.com/layerctl/layerctl/overlaystore"
)

// UnmountOptions say how to unmount. The zero value is right for most callers.
type UnmountOptions struct {
	// Lazy detaches the mount at once, also if it is in use; the kernel ends it when
	// nobody uses it any more. An upper directory in the store stays until the next
	// Unmount of the same target. Without Lazy a mount in use is [overlaystore.ErrBusy].
	Lazy bool
	// Keep leaves an upper directory that was made in the store.
	Keep bool
}

// Unmount unmounts target, and removes the upper and work directories that [Assemble]
// made in the store for the mount. Directories that the caller of Assemble named stay.
// If nothing is mounted at target, Unmount removes such directories of an earlier
// mount there, unless Keep is set. If a mount is in use the error is an [*InUseError]; if
// there is no mount of this store and nothing to remove, it is a [*NotMountedError].
func Unmount(ctx context.Context, s *overlaystore.Store, target string, o UnmountOptions) error {
	if err := unmount(ctx, s, target, o); err != nil {
		return fmt.Errorf("unmount %q: %w", target, err)
	}
	return nil
}

func unmount(ctx context.Context, s *overlaystore.Store, target string, o UnmountOptions) error {
	target, err := filepath.Abs(target)
	if err != nil {
		return err
	}
	// Symbolic links in the target are resolved once, so that the mount that is looked
	// up is the one that is unmounted.
	if real, err := filepath.EvalSymlinks(target); err == nil {
		target = real
	}
	mounted, ok, err := s.MountedAt(ctx, target)
	if err != nil {
		return err
	}
	if !ok {
		return dropLeftovers(ctx, s, target, o)
	}
	if err := durable.Fault(ctx, "unmount"); err != nil {
		return err
	}
	flags := unix.UMOUNT_NOFOLLOW
	if o.Lazy {
		flags |= unix.MNT_DETACH
	}
	err = unix.Unmount(target, flags)
	if err == unix.EBUSY {
		return &InUseError{err}
	}
	if err == nil && mounted.Type == mounts.FUSEType && !o.Lazy {
		err = mounts.AwaitEnd(ctx, target)
	}
	if err != nil || o.Lazy || o.Keep {
		return err
	}
	store, err := s.RealPath()
	if err != nil {
		return err
	}
	return dropPair(ctx, s, pairOf(store, []string{mounted.Upper}))
}

// dropPair removes the upper and work directories of a mount that was unmounted, unless
// it is still mounted elsewhere: by a bind mount, or in another mount namespace.
func dropPair(ctx context.Context, s *overlaystore.Store, name string) error {
	if name == "" {
		return nil
	}
	unused, err := unusedPairs(ctx, s)
	if err != nil || !slices.Contains(unused, name) {
		return err
	}
	return removePair(ctx, s, name)
}

// dropLeftovers removes the pairs of earlier mounts at target.
func dropLeftovers(ctx context.Context, s *overlaystore.Store, target string, o UnmountOptions) error {
	var nothing error = &NotMountedError{Store: s.Path()}
	left, err := Leftovers(ctx, s)
	if err != nil || o.Keep {
		return errors.Join(nothing, err)
	}
	for _, w := range left {
		if w.Target != target {
			continue
		}
		nothing = nil
		if err := removePair(ctx, s, filepath.Base(filepath.Dir(w.Upper))); err != nil {
			return err
		}
	}
	return nothing
}

// NotMountedError says that nothing of the store is mounted at the target. It is an
// [overlaystore.ErrNotFound].
type NotMountedError struct{ Store string }

// Error names the store.
func (e *NotMountedError) Error() string {
	return fmt.Sprintf("nothing of the store %q is mounted there", e.Store)
}

// Unwrap returns [overlaystore.ErrNotFound].
func (e *NotMountedError) Unwrap() error { return overlaystore.ErrNotFound }

// InUseError says that processes use the mount. It is an [overlaystore.ErrBusy].
type InUseError struct{ err error }

// Error says how they use it.
func (e *InUseError) Error() string {
	return "a process has a file or its working directory there: " + e.err.Error()
}

// Unwrap returns [overlaystore.ErrBusy] and the kernel's error.
func (e *InUseError) Unwrap() []error { return []error{overlaystore.ErrBusy, e.err} }
