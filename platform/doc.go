// SPDX-License-Identifier: Apache-2.0

// Package platform finds out which platform this machine is and chooses among
// an image's manifests the one that runs on it, with a reason for each.
//
// Most callers want [Detect], [Host.Wanted] and [Choose]:
//
//	host := platform.Detect(platform.Inputs{})
//	choice, err := platform.Choose(host.Wanted(), index.Manifests)
//
// or, where the user names a platform, [Parse] and [Want].
//
// # The choice
//
// It is best match first; the order of the index only breaks ties.
//
//   - An ARM machine takes the highest variant that it can run: v7 before v6
//     before v5; 64-bit ARM and x86-64 likewise by level (v8.2, v8.1, v8;
//     v3, v2, v1).
//   - arm64 and amd64 without a variant mean their baselines, v8 and v1.
//   - arm without a variant may be anything. By convention it is v7, so it
//     ranks below each entry that names a variant it can run, and is refused
//     where ARMv7 code would crash. "--platform linux/arm" takes it all the
//     same.
//   - A 64-bit machine takes an image of the 32-bit sister architecture only
//     where the kernel was seen to run such code, after every 64-bit one.
//     Under a 32-bit system on a 64-bit kernel the 32-bit image comes first.
//   - Attestations, artifacts and unknown platforms are never chosen, an entry
//     without platform only when it is the only one there is.
//
// # Not promised
//
// What an entry says of itself is believed here: whether the config agrees is
// for [Compare], whether the code in it does, nobody knows before it runs. An
// arm64 image that was built for ARMv8.1 and calls itself v8 still crashes on
// a Raspberry Pi 4. Page size is not considered.
package platform
