// SPDX-License-Identifier: Apache-2.0

// Package userns runs a command as root of a user namespace of its own, so
// that an ordinary user may keep the owners of files apart and mount.
//
// Most callers want [Subordinate] and [Command].Run, and in main, before
// anything else, [Continue]:
//
//	mapping, err := userns.Subordinate()
//	if err != nil {
//		mapping = userns.Caller() // only one id
//	}
//	code, err := userns.Command{Args: []string{"/bin/sh"}, Mapping: mapping}.Run(ctx)
//
// # How it works
//
// Run starts the running program again, in a new user and mount namespace,
// where [Continue] waits. Meanwhile newuidmap(1) and newgidmap(1), which are
// set-user-ID or have file capabilities, map 0 to the caller and the ids from
// 1 to the caller's ranges in /etc/subuid and /etc/subgid; without ranges the
// kernel lets the caller map itself (user_namespaces(7)). Then Continue
// executes the command, and becoming root by that gives it all capabilities in
// the namespace.
//
// # What is NOT promised
//
// The namespaces end with their last process, and their mounts with them.
// Ranges that come from elsewhere than the two files (subid in nsswitch.conf)
// are not found. The caller's supplementary groups stay, unmapped.
package userns
