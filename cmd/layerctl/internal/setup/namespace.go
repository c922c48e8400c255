// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/internal/userns"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// idsFlag returns the flag --ids, for how a new store keeps owners.
func idsFlag() cli.Flag {
	return &cli.StringFlag{Name: "ids", EnvVars: []string{"LAYERCTL_IDS"}, Value: "auto", Usage: "in a new store keep owners as `auto|mapped|squashed`: by subordinate ids, or in the records only"}
}

// wantedIDs returns the value of --ids; "" leaves it to the store, or to a trial.
func wantedIDs(c *cli.Context) (layer.IDs, error) {
	switch ids := c.String("ids"); ids {
	case "auto", "":
		return "", nil
	case string(layer.MappedIDs), string(layer.SquashedIDs):
		return layer.IDs(ids), nil
	default:
		return "", &args.UsageError{Problem: fmt.Sprintf("there is no --ids %q", ids), Advice: "it is one of auto, mapped or squashed"}
	}
}

// HandedOver says that the command was run in a user namespace and has ended there. It
// has printed everything.
type HandedOver struct{ Code int }

func (e *HandedOver) Error() string {
	return fmt.Sprintf("ended with code %d in a user namespace", e.Code)
}

// enoughIDs is how many ids an image may need: images use 65534, "nobody", and few need
// more.
const enoughIDs = 65535

// enterNamespace runs this command in a user namespace if the store at dir has, or will
// have, mapped ids: only there its owners are the image's. Then the error is a
// [*HandedOver]. It returns nil if no namespace is needed. If a new store must do without
// mapped ids, without says why. A new store of tars needs none: its owners are in the
// indexes of its images.
func enterNamespace(c *cli.Context, dir string, ids layer.IDs, lower layer.Lower) (without, err error) {
	if os.Geteuid() == 0 || ids == layer.SquashedIDs {
		return nil, nil
	}
	form, err := overlaystore.FormatOf(dir)
	isNew := errors.Is(err, fs.ErrNotExist)
	if err != nil && !isNew {
		return nil, nil // overlaystore.Open reports the error
	}
	must := ids == layer.MappedIDs || form.IDs == layer.MappedIDs
	if !isNew && form.IDs != layer.MappedIDs {
		return nil, nil
	}
	if lower == layer.Tars && !must {
		return nil, nil
	}
	mapping, err := userns.Subordinate()
	if err == nil && !must && mapping.Size() < enoughIDs {
		err = fmt.Errorf("%w: /etc/subuid and /etc/subgid give %d ids, and images use up to %d", userns.ErrUnavailable, mapping.Size(), enoughIDs)
	}
	if err == nil {
		command := userns.Itself()
		command.Env = append(os.Environ(), passing+"=1")
		err = HandOver(c, dir, command, mapping)
	}
	switch {
	case !errors.Is(err, userns.ErrUnavailable):
		return nil, err
	case must:
		return nil, &NamespaceError{Store: dir, Err: err}
	}
	return err, nil
}

// passing is set in the environment of a command in a user namespace that ends with the
// command, as do the mounts that it makes.
const passing = "LAYERCTL_PASSING_NAMESPACE"

// HandOver runs the command in a user namespace, and returns a [*HandedOver] when it has
// ended. It passes the store's directory on, because root's default is another one.
func HandOver(c *cli.Context, dir string, command userns.Command, mapping userns.Mapping) error {
	command.Mapping = mapping
	if command.Env == nil {
		command.Env = os.Environ()
	}
	command.Env = append(command.Env, "LAYERCTL_STORE="+dir)
	code, err := command.Run(c.Context)
	if err != nil {
		return err
	}
	return &HandedOver{Code: code}
}

// NamespaceError says that a store needs a user namespace that cannot be made.
type NamespaceError struct {
	Store string
	Err   error
}

func (e *NamespaceError) Error() string {
	return fmt.Sprintf("store %q keeps owners by subordinate ids: %v", e.Store, e.Err)
}

func (e *NamespaceError) Unwrap() error { return e.Err }

// Hint names the command that gives a user such ids.
func (e *NamespaceError) Hint() string {
	return "'usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER' gives a user subordinate ids; newuidmap is in the package uidmap or shadow-utils"
}

// NeedsNamespace fails unless this process is root, or root of a user namespace that
// lasts longer than the command.
func NeedsNamespace(c *cli.Context) error {
	if os.Geteuid() == 0 && os.Getenv(passing) == "" {
		return nil
	}
	return &notRootError{command: c.Command.Name}
}

// notRootError says that an ordinary user cannot run the command.
type notRootError struct{ command string }

func (e *notRootError) Error() string {
	return e.command + " needs root, or a user namespace: " + os.ErrPermission.Error()
}

func (e *notRootError) Unwrap() error { return os.ErrPermission }

// Hint says where the command works.
func (e *notRootError) Hint() string {
	return "run it in 'layerctl unshare', or as 'layerctl unshare layerctl " + e.command + " …'"
}
