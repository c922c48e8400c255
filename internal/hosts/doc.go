// SPDX-License-Identifier: Apache-2.0

// Package hosts reads where images of a registry may also come from, and how
// to speak to those hosts, as it is set up on a node: containerd's hosts.toml,
// k3s's registries.yaml and containers' registries.conf.
//
// Most callers want [Files.Lookup]:
//
//	plan, err := hosts.Files{}.Lookup("docker.io", "library/alpine")
//	for _, e := range append(plan.Mirrors, plan.Origin) { … }
//
// It sends no request and opens no certificate; it reads configuration. What
// only pushing or a daemon needs is read over. "insecure" in registries.conf
// means no more than that certificates are not verified: there is no falling
// back to http.
package hosts
