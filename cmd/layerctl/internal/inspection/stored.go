// SPDX-License-Identifier: Apache-2.0

package inspection

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/internal/trusted"
	"github.com/layerctl/layerctl/overlaystore"
)

func storedFlag() cli.Flag {
	return &cli.BoolFlag{Name: "stored", Usage: "show what is in the store of a pulled image, and what was tolerated when it was unpacked; --json too"}
}

// printStored prints an image of the store. It sends no request.
func printStored(c *cli.Context, ref, form string) (err error) {
	if form != "" && form != "json" {
		return &args.UsageError{Problem: fmt.Sprintf("--stored and --%s do not go together", form), Advice: "--stored has a text and, with --json, a JSON form"}
	}
	store, err := setup.OpenExisting(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	image, name, err := setup.LookupToRead(c, store, ref)
	if err != nil {
		return err
	}
	trust, err := trusted.Of(store.Dir(), image.Manifest)
	if err != nil {
		return err
	}
	details := show.Stored{Reference: name, Image: image, Layers: []overlaystore.LayerRecord{}, Trust: trust}
	for _, diffID := range image.Layers {
		record, err := store.Layer(diffID)
		if err != nil {
			return err
		}
		details.Layers = append(details.Layers, record)
	}
	if form == "json" {
		return details.JSON(c.App.Writer)
	}
	return details.Text(c.App.Writer)
}
