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

// UnmountOptions are how to unmount. The zero value is right for most.
type UnmountOptions struct {
	// Lazy takes the mount from the tree at once, and ends it when nobody uses
	// it any more; what it wrote in the store stays until the next Unmount of
	// the same target. False gives up with overlaystore.ErrBusy when it is in use.
	Lazy bool
	// Keep leaves an upper dir that was made in the store; false removes it.
	Keep bool
}

// Unmount undoes a mount at target, and removes the upper and work that the
// store made for it; those that the caller of [Assemble] named stay. It
// also removes what an earlier mount at target left there in a crash. What is
// in use is overlaystore.ErrBusy, and a directory where nothing of this store is mounted overlaystore.ErrNotFound.
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
	// The symbolic links in the target are resolved once, here, so that what
	// is looked at is what is unmounted.
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

// dropPair removes an unmounted mount's upper and work, unless the overlay is
// still mounted elsewhere, by a bind mount or in another mount namespace.
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

// dropLeftovers removes what mounts at target left that are no more.
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

// NotMountedError says that nothing of a store is mounted where it was to be
// unmounted. It matches overlaystore.ErrNotFound.
type NotMountedError struct{ Store string }

// Error names the store.
func (e *NotMountedError) Error() string {
	return fmt.Sprintf("nothing of the store %q is mounted there", e.Store)
}

// Unwrap makes it something that is not there.
func (e *NotMountedError) Unwrap() error { return overlaystore.ErrNotFound }

// InUseError says that processes use what was to be unmounted. It matches
// overlaystore.ErrBusy.
type InUseError struct{ err error }

// Error says what they do there.
func (e *InUseError) Error() string {
	return "a process has a file or its working directory there: " + e.err.Error()
}

// Unwrap is the kind, and what the kernel said.
func (e *InUseError) Unwrap() []error { return []error{overlaystore.ErrBusy, e.err} }
