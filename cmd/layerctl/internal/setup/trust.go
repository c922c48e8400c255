// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/trust"
)

const (
	policyFlag = "policy"
	keyFlag    = "verify-key"
)

// TrustFlags returns the flags of a command that asks a policy about images.
func TrustFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: keyFlag, Usage: "let in only what a key of the PEM `FILE` has signed, beside what the policy asks (repeatable: one of the keys)"},
		&cli.StringFlag{Name: policyFlag, DefaultText: "~/.config/containers/policy.json, or else /etc/containers/policy.json", Usage: "let in what the policy.json `FILE` does, none for no policy"},
	}
}

// ClaimFlags returns the flags of a command that only checks signatures: without these
// flags it reads no policy.
func ClaimFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: keyFlag, Usage: "say of each signature whether a key of the PEM `FILE` made it (repeatable)"},
		&cli.StringFlag{Name: policyFlag, Value: "none", Usage: "say of each signature whether it would do for the policy.json `FILE`"},
	}
}

// Policy returns the policy of the command: that of --policy, or else that of the user or
// the machine, and the keys of --verify-key. It is nil if there is none, and for a command
// without these flags.
func Policy(c *cli.Context) (policy *trust.Policy, err error) {
	if c.Command == nil || !slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), policyFlag) }) {
		return nil, nil
	}
	switch file := c.String(policyFlag); file {
	case "none":
	case "":
		policy, err = trust.Usual()
	default:
		policy, err = trust.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	files := c.StringSlice(keyFlag)
	if len(files) == 0 {
		return policy, nil
	}
	keys, err := trust.ByKeys(files...)
	if err != nil {
		return nil, err
	}
	return policy.And(keys), nil
}
