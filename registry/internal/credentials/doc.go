// SPDX-License-Identifier: Apache-2.0

// Package credentials reads and writes the files in which docker, podman and their kin
// keep users' credentials for registries.
//
// Most callers want [New] and [Store.Find]:
//
//	login, err := credentials.New("").Find(ctx, "quay.io", "team/app")
//
// The formats are docker's config.json and containers-auth.json(5), which differ only
// in their keys, and the protocol of docker's credential helpers,
// https://docs.docker.com/reference/cli/docker/login/#credential-helper-protocol.
package credentials
