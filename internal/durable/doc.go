// SPDX-License-Identifier: Apache-2.0

// Package durable makes files and directories that survive a power cut.
//
// Most callers want [WriteFile] for a small file and [RenameNoReplace] for
// whole directories that were filled beside their final place:
//
//	dir, err := durable.OpenDir("/var/lib/x")
//	…
//	err = durable.WriteFile(ctx, dir, "state.json", data, 0o600)
//
// All names are relative to directories that the caller has opened, so that nobody
// can swap a symbolic link into the path.
//
// Each step is a fault point: it calls [Fault] with its name before it acts.
// Tests put a hook into the context with [WithFault] and make the n-th step
// fail, or end the process there.
//
// Not promised: anything on filesystems that lie about fsync, or on NFS.
package durable
