// SPDX-License-Identifier: Apache-2.0

package copying

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/errkind"
	"github.com/layerctl/layerctl/registry"
)

// pair is the source and the destination of one copy, as the user wrote them.
type pair struct{ from, to string }

// pairs returns the copies to make: the two arguments, or the lines of the list.
func pairs(c *cli.Context) ([]pair, error) {
	if !c.IsSet("file") {
		names, err := setup.Arguments(c, 2, 2, "SOURCE and DESTINATION")
		if err != nil {
			return nil, err
		}
		return []pair{{names[0], names[1]}}, nil
	}
	if err := setup.NoArguments(c); err != nil {
		return nil, err
	}
	name := c.String("file")
	if name == "-" && c.Bool("creds-stdin") {
		return nil, &args.UsageError{Problem: "--creds-stdin and -f - both read standard input"}
	}
	list, err := terminal.Await(c.Context, func() ([]pair, error) {
		if name == "-" {
			return readPairs(c.App.Reader)
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		list, err := readPairs(f)
		return list, errors.Join(err, f.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return list, nil
}

// readPairs reads lines of two words; # begins a comment where a word could
// begin.
func readPairs(r io.Reader) (list []pair, err error) {
	err = args.EachLine(r, func(number int, words []string) error {
		if len(words) != 2 {
			return &args.UsageError{
				Problem: fmt.Sprintf("line %d has %s", number, terminal.Count(len(words), "word")),
				Advice:  "a line is SOURCE DESTINATION",
			}
		}
		if err := checkPair(words[0], words[1]); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		list = append(list, pair{words[0], words[1]})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// checkPair checks the references of a line, before the first image is copied.
func checkPair(from, to string) error {
	if repo, glob, ok := pattern(from); ok {
		if _, err := path.Match(glob, ""); err != nil {
			return &args.UsageError{Problem: fmt.Sprintf("%q is no pattern of tags", glob)}
		}
		from = repo
		if ref, err := registry.Parse(to); err == nil && strings.HasSuffix(to, ":"+ref.Tag()) {
			return &args.UsageError{Problem: fmt.Sprintf("%s has a tag, and the source many", to), Advice: "the tags stay what they are"}
		}
	}
	_, err := registry.Parse(from)
	if err == nil {
		_, err = registry.Parse(to)
	}
	return err
}

// pattern reports whether a source stands for several tags of a repository, by *, ? or [
// in its tag.
func pattern(from string) (repo, glob string, ok bool) {
	at := strings.LastIndexByte(from, ':')
	if at < 0 || strings.Contains(from[at:], "/") || !strings.ContainsAny(from[at:], "*?[") {
		return "", "", false
	}
	return from[:at], from[at+1:], true
}

// named returns the references of the list.
func named(list []pair) (refs []string) {
	for _, p := range list {
		if repo, _, ok := pattern(p.from); ok {
			p.from = repo
		}
		refs = append(refs, p.from, p.to)
	}
	return refs
}

// expand replaces each pattern by the tags that match it.
func expand(c *cli.Context, client *registry.Client, list []pair) (all []pair, err error) {
	for _, p := range list {
		repo, glob, ok := pattern(p.from)
		if !ok {
			all = append(all, p)
			continue
		}
		ref, err := registry.Parse(repo)
		if err != nil {
			return nil, err
		}
		before := len(all)
		for tag, err := range client.Tags(c.Context, ref) {
			if err != nil {
				return nil, err
			}
			if fits, err := path.Match(glob, tag); err != nil {
				return nil, err
			} else if fits {
				all = append(all, pair{repo + ":" + tag, p.to + ":" + tag})
			}
		}
		if len(all) == before {
			return nil, errkind.With(errkind.NotFound, fmt.Errorf("no tag of %s is like %s", repo, glob))
		}
	}
	return all, nil
}
