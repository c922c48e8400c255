// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/internal/userns"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// idsFlag is how a store that is made now keeps owners.
func idsFlag() cli.Flag {
	return &cli.StringFlag{Name: "ids", EnvVars: []string{"LAYERCTL_IDS"}, Value: "auto", Usage: "in a new store keep owners as `auto|mapped|squashed`: by subordinate ids, or in the records only"}
}

// wantedIDs is the flag's value; "" leaves it to the store, or to probing.
func wantedIDs(c *cli.Context) (layer.IDs, error) {
	switch ids := c.String("ids"); ids {
	case "auto", "":
		return "", nil
	case string(layer.MappedIDs), string(layer.SquashedIDs):
		return layer.IDs(ids), nil
	default:
		return "", &usageError{Problem: fmt.Sprintf("there is no --ids %q", ids), Advice: "it is one of auto, mapped, squashed"}
	}
}

// handedOver is the end of a command that was run in a user namespace, where
// all that is to be said was said.
type handedOver struct{ code int }

func (e *handedOver) Error() string {
	return fmt.Sprintf("ended with code %d in a user namespace", e.code)
}

// enoughIDs is what an image may need: images use 65534, "nobody", and those
// that need more are few.
const enoughIDs = 65535

// enterNamespace runs this very command in a user namespace where the store at
// dir is, or shall be, one with mapped ids: only there its owners are the
// image's. The error is handedOver then, and nil where there is no need; for a
// new store that must do without, the other result says why.
func enterNamespace(c *cli.Context, dir string, ids layer.IDs) (without, err error) {
	if os.Geteuid() == 0 || ids == layer.SquashedIDs {
		return nil, nil
	}
	form, err := overlaystore.FormatOf(dir)
	isNew := errors.Is(err, fs.ErrNotExist)
	if err != nil && !isNew {
		return nil, nil // opening it says what is wrong
	}
	must := ids == layer.MappedIDs || form.IDs == layer.MappedIDs
	if !isNew && form.IDs != layer.MappedIDs {
		return nil, nil
	}
	mapping, err := userns.Subordinate()
	if err == nil && !must && mapping.Size() < enoughIDs {
		err = fmt.Errorf("%w: /etc/subuid and /etc/subgid give %d ids, and images use up to %d", userns.ErrUnavailable, mapping.Size(), enoughIDs)
	}
	if err == nil {
		command := userns.Itself()
		command.Env = append(os.Environ(), passing+"=1")
		err = handOver(c, dir, command, mapping)
	}
	switch {
	case !errors.Is(err, userns.ErrUnavailable):
		return nil, err
	case must:
		return nil, &namespaceError{dir: dir, err: err}
	}
	return err, nil
}

// passing is in the environment of a command whose user namespace ends with
// it, and the mounts that it makes.
const passing = "LAYERCTL_PASSING_NAMESPACE"

// handOver runs the command in a user namespace and returns handedOver when it
// has ended. The store is named there: who is root looks elsewhere for it.
func handOver(c *cli.Context, dir string, command userns.Command, mapping userns.Mapping) error {
	command.Mapping = mapping
	if command.Env == nil {
		command.Env = os.Environ()
	}
	command.Env = append(command.Env, "LAYERCTL_STORE="+dir)
	code, err := command.Run(c.Context)
	if err != nil {
		return err
	}
	return &handedOver{code: code}
}

// namespaceError is a store that needs a user namespace which there is not.
type namespaceError struct {
	dir string
	err error
}

func (e *namespaceError) Error() string {
	return fmt.Sprintf("store %q keeps owners by subordinate ids: %v", e.dir, e.err)
}

func (e *namespaceError) Unwrap() error { return e.err }

// Hint says what gives a user such ids.
func (e *namespaceError) Hint() string {
	return "'usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER' gives a user subordinate ids; newuidmap is in the package uidmap or shadow-utils"
}
