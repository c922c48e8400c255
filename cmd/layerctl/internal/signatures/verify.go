// SPDX-License-Identifier: Apache-2.0

package signatures

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
	"github.com/layerctl/layerctl/trust"
)

// VerifyCommand returns the command verify-signature, which fetches no layer.
func VerifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify-signature", Usage: "say whether a policy or keys let an image in, and by whose signature", ArgsUsage: "REF",
		Flags: setup.TrustFlags(), Action: runVerify,
	}
}

func runVerify(c *cli.Context) error {
	refs, err := setup.Arguments(c, 1, 1, "one REF")
	if err != nil {
		return err
	}
	return setup.WithClient(c, refs, func(client *layerctl.Client) error {
		if !client.HasPolicy() {
			return &args.UsageError{Problem: "there is nothing to go by", Advice: "--verify-key FILE names a key, --policy FILE a policy.json"}
		}
		j, err := client.Judge(c.Context, refs[0], layerctl.JudgeOptions{})
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return terminal.WriteJSON(c.App.Writer, newVerdict(&j))
		}
		return print(c.App.Writer, &j)
	})
}

// verdict is the output of verify-signature --json; docs/verify-signature.schema.json
// describes it.
type verdict struct {
	Reference  string           `json:"reference"`
	Root       digest.Digest    `json:"root"`
	Manifest   digest.Digest    `json:"manifest"`
	Policy     string           `json:"policy"`
	Line       int              `json:"line,omitempty"`
	Scope      string           `json:"scope,omitempty"`
	Signatures []trust.Accepted `json:"signatures"`
}

func newVerdict(j *layerctl.Judged) verdict {
	return verdict{
		Reference: j.Reference.String(), Root: j.Root.Digest, Manifest: j.Resolution.Manifest.Digest,
		Policy: j.Policy, Line: j.Line, Scope: j.Scope, Signatures: append([]trust.Accepted{}, j.Accepted...),
	}
}

func print(w io.Writer, j *layerctl.Judged) error {
	image := j.Resolution.Manifest.Digest
	text := fmt.Appendf(nil, "%s  %s\n", j.Reference, image)
	if len(j.Accepted) == 0 {
		text = fmt.Append(text, "  no signature is asked for\n")
	}
	for i := range j.Accepted {
		a := &j.Accepted[i]
		what, called := "index", "without a name for it"
		if a.Subject == image {
			what = "image"
		}
		if a.Reference != "" {
			called = fmt.Sprintf("which it calls %q", a.Reference)
		}
		text = fmt.Appendf(text, "  signed by %s\n  %s of the %s %s, %s\n", a.Key, a.Form, what, a.Subject, called)
	}
	if j.Line > 0 {
		text = fmt.Appendf(text, "  policy %s, line %d (%s)\n", j.Policy, j.Line, j.Scope)
	}
	return terminal.Printf(w, "%s", text)
}

// JudgeStored asks the command's policy about images of the store. refs are names by
// which the store knows them.
func JudgeStored(c *cli.Context, store *overlaystore.Store, refs []string) error {
	policy, err := setup.Policy(c)
	if err != nil {
		return err
	}
	asks := func(ref string) bool { // in doubt the policy asks for something
		name, err := registry.Parse(ref)
		if err != nil {
			return true
		}
		asked, err := policy.Asks(name)
		return err != nil || !asked.Nothing
	}
	if !slices.ContainsFunc(refs, asks) {
		return nil
	}
	return setup.WithClient(c, refs, func(client *layerctl.Client) error {
		var errs []error
		for _, ref := range refs {
			img, name, err := setup.LookupToRead(c, store, ref)
			if err == nil {
				err = client.JudgeStored(c.Context, store, name, img)
			}
			errs = append(errs, failure.Concerns(ref, err))
		}
		return errors.Join(errs...)
	})
}
