// SPDX-License-Identifier: Apache-2.0

// Package credentials reads and writes the files in which docker and
// containers keep what a registry wants to see of a user.
//
// Most callers want [New] and [Store.Find]:
//
//	login, err := credentials.New("").Find(ctx, "quay.io", "team/app")
//
// The formats are docker's config.json and containers-auth.json(5), which
// differ in the keys only, and the protocol of docker's credential helpers,
// https://docs.docker.com/reference/cli/docker/login/#credential-helper-protocol.
package credentials
