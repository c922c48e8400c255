// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"testing"

	"github.com/layerctl/layerctl/internal/shortname"
)

func TestShortName(t *testing.T) {
	const pinned = "@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	for name, want := range map[string]string{
		"alpine":                   "docker.io/library/alpine:latest",
		"alpine:3.20":              "docker.io/library/alpine:3.20",
		"index.docker.io/user/app": "docker.io/user/app:latest",
		"localhost:5000/app:1":     "localhost:5000/app:1",
		"alpine:3.20" + pinned:     "docker.io/library/alpine:3.20" + pinned,
		"Not A Reference":          "",
		"":                         "",
	} {
		n, err := shortname.Parse(name)
		got := ""
		if err == nil {
			got = n.String()
		}
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: got %q, %v, want %q", name, got, err, want)
		}
	}
}
