// SPDX-License-Identifier: Apache-2.0

// Command layerctl fetches a container image, unpacks its layers into
// overlayfs lower directories and hands over a mount line.
//
// Each subcommand has a file that turns flags into options of the library;
// internal/show prints results. run.go is the way in, exit.go has the codes.
//
// Standard output carries data only. Everything for people goes to standard
// error, one line a thing: "layerctl: error: …", "layerctl: warning: …" and,
// where it helps, "layerctl: hint: …"; lower case, without a full stop, with
// control characters escaped, for part of it may come from a registry.
package main
