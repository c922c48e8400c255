// SPDX-License-Identifier: Apache-2.0

// Package show prints what the library found, each thing as text for people
// and as JSON for programs. It decides nothing and fetches nothing: a command
// hands it a result and a writer.
package show
