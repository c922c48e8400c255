// SPDX-License-Identifier: Apache-2.0

// Package snapshotdir knows what containerd's snapshotters have of a layer. They tell
// by mounts where it is (plugins/snapshots in github.com/containerd/containerd).
//
// overlayfs has a directory:
//
//	snapshots/<number>/fs             the layer
//
// and erofs files:
//
//	snapshots/<number>/.erofslayer    a snapshot that is to become a layer
//	                   fs, work       unused as long as there is the next one
//	                   layer.erofs    the layer, a filesystem by itself
//	                   fsmeta.erofs   the metadata of this layer and all below it, with the
//	                                  layer.erofs of each, the lowest first, as devices
package snapshotdir
