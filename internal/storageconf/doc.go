// SPDX-License-Identifier: Apache-2.0

// Package storageconf reads where podman, buildah, skopeo and CRI-O keep what
// they have: storage.conf, see containers-storage.conf(5).
//
//	conf, err := storageconf.Read(storageconf.Options{UID: uid, Getenv: os.Getenv})
//	text := conf.Missing("/var/lib/layerctl/engines/containers-storage")
//
// # What is NOT promised
//
// Versions differ in which of several files counts. So all of them are read, and
// every place that any of them names is told; what an engine is given on its
// command line nobody can know.
package storageconf
