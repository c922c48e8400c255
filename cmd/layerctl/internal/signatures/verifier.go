// SPDX-License-Identifier: Apache-2.0

package signatures

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
)

// verifierName is the name of the command for containerd.
const verifierName = "image-verifier"

// VerifierArgs returns the command line. If the program was run as layerctl-verifier, the
// name of its link in containerd's bin_dir, it is that of the command for containerd.
func VerifierArgs(arguments []string) []string {
	if len(arguments) > 0 && filepath.Base(arguments[0]) == "layerctl-verifier" {
		return append([]string{"layerctl", verifierName}, arguments[1:]...)
	}
	return arguments
}

// VerifierCommand returns the command that tells containerd whether it may pull.
func VerifierCommand() *cli.Command {
	return &cli.Command{
		Name: verifierName, Usage: "tell containerd whether it may pull an image, as a binary in its bin_dir",
		Flags: append(setup.TrustFlags(),
			&cli.StringFlag{Name: "name", Usage: "the `REFERENCE` that is pulled, as containerd says it"},
			&cli.StringFlag{Name: "digest", Usage: "what it was resolved to, as containerd says it"},
			&cli.StringFlag{Name: "stdin-media-type", Usage: "what standard input is, as containerd says it; it is not read"},
		),
		Action: runVerifier,
	}
}

// maxStdin bounds the bytes that are read of the descriptor on standard input, which is
// not used.
const maxStdin = 1 << 20

// runVerifier permits the pull by exit code 0, and forbids it by any other. It prints the
// reason on standard output, which containerd logs and returns to the client.
func runVerifier(c *cli.Context) error {
	if err := setup.NoArguments(c); err != nil {
		return err
	}
	name, at := c.String("name"), digest.Digest(c.String("digest"))
	if name == "" || at.Validate() != nil {
		return &args.UsageError{Problem: "containerd says which image by -name and -digest", Advice: "a link to layerctl, called layerctl-verifier, in the bin_dir of its image verifier is called so"}
	}
	if c.String("stdin-media-type") != "" {
		if _, err := io.Copy(io.Discard, io.LimitReader(c.App.Reader, maxStdin)); err != nil {
			return err
		}
	}
	var j layerctl.Judged
	err := setup.WithoutCache(c, []string{name}, func(client *layerctl.Client) (err error) {
		j, err = client.Judge(c.Context, name, layerctl.JudgeOptions{At: at})
		return err
	})
	if err != nil {
		// The line on standard error goes only to containerd's log.
		if perr := terminal.Printf(c.App.Writer, "%s\n", failure.Line(err, false)); perr != nil {
			return perr
		}
		return err
	}
	return terminal.Printf(c.App.Writer, "%s\n", reason(j))
}

func reason(j layerctl.Judged) string {
	var by []string
	for _, a := range j.Accepted {
		by = append(by, fmt.Sprintf("signed by %s (%s)", a.Key, a.Form))
	}
	if len(by) == 0 {
		by = append(by, "no signature is asked for")
	}
	return strings.Join(by, ", ")
}
