// SPDX-License-Identifier: Apache-2.0

// Package hosts reads where images of a registry may also come from, and how
// to speak to those hosts, as a node is set up: containerd's hosts.toml, k3s's
// registries.yaml, containers' registries.conf, and the directories of
// certificates of containers and docker.
//
// Most callers want [Files.Lookup]:
//
//	plan, err := hosts.Files{}.Lookup("docker.io", "library/alpine", false)
//	for _, e := range append(plan.Mirrors, plan.Origin) { … }
//
// # What is promised
//
// A file means what the program means by it that owns it. A file that this
// program would refuse, or that contradicts itself, is refused here too, with
// its name and the field. A registry that registries.conf forbids is never
// asked: not under another port or spelling, not as a mirror, and not because
// another file knows it.
//
// # What is NOT promised
//
// No request is sent and no certificate is opened. What only pushing or a
// daemon needs is passed over, and so are short names and credential helpers.
// "insecure" in registries.conf means that certificates are not verified, and
// no more: there is no falling back to http.
package hosts
