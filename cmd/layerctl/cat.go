// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
)

func catCommand() *cli.Command {
	return &cli.Command{
		Name:      "cat",
		Usage:     "print a file of an image without unpacking it",
		ArgsUsage: "REF:PATH",
		Flags:     append(setup.ReadFlags(), setup.TrustFlags()...),
		Action:    runCat,
	}
}

func runCat(c *cli.Context) error {
	ref, path, err := pathArgument(c, "REF:PATH")
	if err != nil {
		return err
	}
	if path == "" {
		return &usageError{
			Problem: fmt.Sprintf("%q has no path", c.Args().First()),
			Advice:  "write it as REF:/PATH, such as alpine:3.20:/etc/os-release",
		}
	}
	return setup.ReadRootFS(c, []string{ref}, func(l *layerctl.Client, o layerctl.RootFSOptions) error {
		file, err := l.OpenFile(c.Context, ref, path, o)
		if err != nil {
			return err
		}
		if terminal.Is(c.App.Writer) {
			err = copyPrintable(c.App.Writer, file)
		} else {
			_, err = io.Copy(c.App.Writer, file)
		}
		return errors.Join(err, file.Close())
	})
}

// copyPrintable copies text. It escapes everything that is not printable, except line
// breaks and tabs.
func copyPrintable(w io.Writer, r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := in.ReadSlice('\n')
		if _, werr := io.WriteString(w, terminal.EscapeLines(string(line))); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
	}
}
