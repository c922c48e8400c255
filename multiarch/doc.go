// SPDX-License-Identifier: Apache-2.0

// Package multiarch makes an index of images that were built one by one, like
// "docker manifest" and manifest-tool.
//
//	made, err := multiarch.Make(ctx, client, []multiarch.Member{{Ref: amd64}, {Ref: armv7}}, multiarch.Options{})
//	…
//	done, err := transfer.Send(ctx, client, made.Documents, name, nil, transfer.Options{})
//
// The platform of each image is that of its config, or of the index that lists it, unless
// the member gives another one; if these contradict each other there is a warning. The
// images and attestations of a member that is an index become entries of their own. Two
// images for the same platform are an error.
//
// # Promises
//
// The same members and options make the same bytes: entries are in the order of the
// members, attestations last, and neither the time nor the machine is written.
package multiarch
