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
		Description: `Prints the file's bytes as the image's root filesystem has them. PATH begins
with a slash: alpine:3.20:/etc/os-release, oci:DIR:TAG:/etc/os-release.
Symbolic links are followed within the image, at most 40.

Layers are read from the topmost down, and no further than it takes to know
where the file is: from the store where it has them, else streamed. Nothing is
printed before the layer that the file is in was verified to its end; until
then up to 4 MiB of the file are kept in memory, more in an unnamed file in
$TMPDIR. A hard link, or a symbolic link that comes behind its target in the
same layer, may have that layer fetched twice.

To a terminal control characters are printed as escapes. A path that is not
there ends with exit code 3.`,
		Flags:  setup.ReadFlags(),
		Action: runCat,
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
	return readRootFS(c, ref, func(l *layerctl.Client, o layerctl.RootFSOptions) error {
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

// copyPrintable copies text with all that is not printable escaped, save line
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
