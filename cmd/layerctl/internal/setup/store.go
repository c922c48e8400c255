// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/layer"
	"github.com/layerctl/layerctl/overlaystore"
)

// whiteoutsFlag returns the flag --whiteouts, for how a new store keeps deleted names.
func whiteoutsFlag() cli.Flag {
	return &cli.StringFlag{Name: "whiteouts", EnvVars: []string{"LAYERCTL_WHITEOUTS"}, Value: "auto", Usage: "in a new store keep deleted names as `auto|chardev|xattr`: devices 0:0, or files with an attribute (Linux 6.8) where the filesystem refuses those"}
}

// wantedWhiteouts returns the value of --whiteouts; "" leaves it to the store, or to a
// trial.
func wantedWhiteouts(c *cli.Context) (layer.Whiteouts, error) {
	switch w := layer.Whiteouts(c.String("whiteouts")); w {
	case "auto", "":
		return "", nil
	case layer.CharDevices, layer.XattrMarks:
		return w, nil
	default:
		return "", &args.UsageError{Problem: fmt.Sprintf("there is no --whiteouts %q", w), Advice: "it is one of auto, chardev or xattr"}
	}
}

// lowerFlag is what layers become in a store that is made now.
func lowerFlag() cli.Flag {
	return &cli.StringFlag{Name: "lower", EnvVars: []string{"LAYERCTL_LOWER"}, Value: "auto", Usage: "in a new store keep a layer as `auto|dir|tar`: a directory of its files (auto, too, for now), or one file, its tar, which an EROFS index for each image points into: new, for root and Linux 6.4, best 6.12, or by erofsfuse"}
}

// verityFlag returns the flag --verity, by which the kernel checks a new store's files.
func verityFlag() cli.Flag {
	return &cli.BoolFlag{Name: "verity", Usage: "in a new store of layers as tars have the kernel check every block that is read (fs-verity): a kernel without it opens none of these files"}
}

// Lower is the flag's value; "" leaves it to the store, or to the default.
func Lower(c *cli.Context) (layer.Lower, error) {
	switch l := layer.Lower(c.String("lower")); l {
	case "auto", "":
		return "", nil
	case layer.Directories, layer.Tars:
		return l, nil
	default:
		return "", &args.UsageError{Problem: fmt.Sprintf("there is no --lower %q", l), Advice: "it is one of auto, dir or tar"}
	}
}

// OpenStore opens the store, or makes it if there is none; see [OpenExisting].
func OpenStore(c *cli.Context) (*overlaystore.Store, error) {
	return openWanted(c, overlaystore.Options{})
}

// OpenExisting opens the store, and fails if there is none. If the store needs a user
// namespace and this process is not in one, it runs the whole command there instead, and
// returns a [*HandedOver]: call it before the command does anything.
func OpenExisting(c *cli.Context) (*overlaystore.Store, error) {
	return openWanted(c, overlaystore.Options{Existing: true})
}

// OpenToCount is [OpenExisting] for a command that counts what dead processes have left:
// it does not remove that.
func OpenToCount(c *cli.Context) (*overlaystore.Store, error) {
	return openWanted(c, overlaystore.Options{Existing: true, KeepLeftovers: true})
}

// wantedForm returns the form of a store that the flags ask for.
func wantedForm(c *cli.Context) (o overlaystore.Options, err error) {
	if o.IDs, err = wantedIDs(c); err != nil {
		return o, err
	}
	if o.Whiteouts, err = wantedWhiteouts(c); err != nil {
		return o, err
	}
	o.Verity = c.Bool("verity")
	o.Lower, err = Lower(c)
	return o, err
}

// openWanted opens the store of --store, in the form that the flags ask for.
func openWanted(c *cli.Context, as overlaystore.Options) (*overlaystore.Store, error) {
	dir, err := StoreDir(c)
	if err != nil {
		return nil, err
	}
	o, err := wantedForm(c)
	if err != nil {
		return nil, err
	}
	o.Existing, o.KeepLeftovers = as.Existing, as.KeepLeftovers
	return openStore(c, dir, o)
}

// openStore opens the store at dir.
func openStore(c *cli.Context, dir string, o overlaystore.Options) (*overlaystore.Store, error) {
	if _, err := overlaystore.FormatOf(dir); o.Existing && errors.Is(err, fs.ErrNotExist) {
		return nil, &noStoreError{dir}
	}
	without, err := enterNamespace(c, dir, o.IDs, o.Lower)
	if err != nil {
		return nil, err
	}
	if without != nil && !c.Bool("quiet") {
		terminal.NewConsole(c.App.ErrWriter).Hint("the owners of files are only recorded in this store: %v", without)
	}
	o.Logger, o.NoSync, o.Reserve = Logger(c), c.Bool("no-sync"), limits(c).Reserve
	return overlaystore.Open(c.Context, dir, o)
}

// BeforeStdin is for a command that reads standard input before it opens the store. If
// the command must run in a user namespace, the process there is the one to read.
func BeforeStdin(c *cli.Context) error {
	dir, err := StoreDir(c)
	if err != nil {
		return err
	}
	o, err := wantedForm(c)
	if err != nil {
		return err
	}
	_, err = enterNamespace(c, dir, o.IDs, o.Lower)
	return err
}

// Closing closes c, and returns err, or the error of Close if err is nil.
func Closing(err error, c io.Closer) error {
	if closeErr := c.Close(); err == nil {
		return closeErr
	}
	return err
}

// StoreToRead opens the store if there is one that this process can read, and returns nil
// if not. That it cannot be read is an error only for a store that --store names.
func StoreToRead(c *cli.Context) (*overlaystore.Store, error) {
	dir, err := StoreDir(c)
	if err != nil {
		return nil, nil //nolint:nilerr // without a home there is no store
	}
	form, err := overlaystore.FormatOf(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && form.IDs == layer.MappedIDs && os.Geteuid() != 0 {
		return nil, nil // in its user namespace the tree would belong to subordinate ids
	}
	var store *overlaystore.Store
	if err == nil {
		store, err = overlaystore.Open(c.Context, dir, overlaystore.Options{Logger: Logger(c), NoSync: c.Bool("no-sync"), Existing: true})
	}
	if err != nil && !c.IsSet("store") && errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	return store, err
}

// StoreForRootFS is [StoreToRead], but a store with mapped ids is read in a user
// namespace.
func StoreForRootFS(c *cli.Context) (*overlaystore.Store, error) {
	dir, err := StoreDir(c)
	if err != nil {
		return nil, nil //nolint:nilerr // without a home there is no store
	}
	if form, err := overlaystore.FormatOf(dir); err == nil && form.IDs == layer.MappedIDs {
		return OpenStore(c)
	}
	return StoreToRead(c)
}

// noStoreError says that there is no store.
type noStoreError struct{ dir string }

func (e *noStoreError) Error() string { return fmt.Sprintf("no store is at %q", e.dir) }

// Hint names the command that makes one.
func (e *noStoreError) Hint() string {
	return "'layerctl pull' makes one there; --store or $LAYERCTL_STORE names another"
}

// Unwrap returns [overlaystore.ErrNotFound].
func (e *noStoreError) Unwrap() error { return overlaystore.ErrNotFound }
