// SPDX-License-Identifier: Apache-2.0

// Package multiarch makes an index of images that were built one by one, as
// "docker manifest" and manifest-tool do.
//
//	made, err := multiarch.Make(ctx, client, []multiarch.Member{{Ref: amd64}, {Ref: armv7}}, multiarch.Options{})
//	…
//	done, err := transfer.Send(ctx, client, made.Documents, name, nil, transfer.Options{})
//
// What each image runs on is what its config says, unless a member says
// otherwise, which is warned of. Members that are indexes are taken apart, their
// attestations come along, and no platform is there twice.
//
// # Promises
//
// The same members and options give the same bytes: entries stand in the order of
// the members, and nothing is written of the time or the machine.
package multiarch
