// SPDX-License-Identifier: Apache-2.0

package progress_test

import (
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/progress"
)

func ExampleEvent() {
	hear := func(e progress.Event) { fmt.Println(e) }
	layer := ocispec.Descriptor{Digest: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", Size: 300}
	hear(progress.Event{Kind: progress.LayerProgress, Reference: "oci:/srv/hello", Layer: layer, Number: 1, Of: 2, Offset: 100})
	hear(progress.Event{Kind: progress.Committing, Reference: "oci:/srv/hello"})
	// Output:
	// oci:/srv/hello: layer 1/2 sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a: progress, 100 of 300 bytes
	// oci:/srv/hello: committing
}
