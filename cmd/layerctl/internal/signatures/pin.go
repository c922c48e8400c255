// SPDX-License-Identifier: Apache-2.0

package signatures

import (
	"context"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/trust"
)

// Pin asks a policy about everything that from names, and returns from with the digest
// that the policy accepted, because the tag may move meanwhile. If there is no policy, or
// it asks for nothing, Pin returns from as it is.
func Pin(ctx context.Context, o registry.Options, policy *trust.Policy, from registry.Reference) (registry.Reference, error) {
	if policy == nil {
		return from, nil
	}
	asked, err := policy.Asks(from)
	if err != nil || asked.Nothing {
		return from, err
	}
	j, err := layerctl.New(layerctl.Options{Registry: o, Trust: policy}).Judge(ctx, from.String(), layerctl.JudgeOptions{Whole: true})
	if err != nil {
		return from, err
	}
	return registry.Parse(from.Tagged().String() + "@" + j.Root.Digest.String())
}
