// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/engines"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/progress"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/signatures"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaystore"
)

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "compare what the store holds with what was committed",
		ArgsUsage: "[REF…]",
		Flags: append(setup.LimitFlags(),
			&cli.BoolFlag{Name: "quick", Usage: "look at names, types, sizes, modes, owners and times only"},
			&cli.StringFlag{Name: "policy", DefaultText: "asks none", Usage: "ask the policy.json `FILE` whether it would let the images in now"},
			&cli.StringSliceFlag{Name: "verify-key", Usage: "ask whether a key of the PEM `FILE` has signed the images (repeatable: one of the keys)"},
			&cli.BoolFlag{Name: "repair", Usage: "fetch what is damaged again"},
			&cli.IntFlag{Name: "jobs", DefaultText: "one a processor", Usage: "read `N` files at a time"},
		),
		Action: runVerify,
	}
}

func runVerify(c *cli.Context) (err error) {
	if err := setup.CheckJobs(c); err != nil {
		return err
	}
	show, err := setup.NewProgress(c)
	if err != nil {
		return err
	}
	store, err := setup.OpenExisting(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	options, err := verifyOptions(c, store, show)
	if err != nil {
		return err
	}
	if c.IsSet("policy") || c.IsSet("verify-key") {
		if err := judgeAll(c, store); err != nil {
			return err
		}
	}
	report, err := store.Verify(c.Context, options)
	if err != nil && len(report.Differences) == 0 {
		return err // the verification was not completed
	}
	given, engineErr := engines.Verify(c, store, options)
	if engineErr != nil && !errors.Is(engineErr, overlaystore.ErrDamaged) {
		engineErr = errors.Join(engineErr, err)
		err = nil
	}
	if err := printReport(c, report, given); err != nil {
		return err
	}
	err = errors.Join(err, engineErr)
	if err == nil || !errors.Is(err, overlaystore.ErrDamaged) || !c.Bool("repair") {
		return err
	}
	return repair(c, store, show, report, given, options)
}

// verifyOptions returns the options for the named images, or for all if none is named.
func verifyOptions(c *cli.Context, store *overlaystore.Store, show progress.Display) (overlaystore.VerifyOptions, error) {
	options := overlaystore.VerifyOptions{Quick: c.Bool("quick"), Jobs: c.Int("jobs")}
	for _, arg := range c.Args().Slice() {
		image, _, err := setup.LookupToRead(c, store, arg)
		if err != nil {
			return options, err
		}
		options.Images = append(options.Images, image)
	}
	if _, quiet := show.(progress.None); !quiet {
		options.Progress = func(layer digest.Digest, number, of int) {
			terminal.NewConsole(c.App.ErrWriter).Say("verifying %d/%d %s", number, of, terminal.Short(layer))
		}
	}
	return options, nil
}

// judgeAll asks the policy about the named images, or about each name of all images.
func judgeAll(c *cli.Context, store *overlaystore.Store) error {
	refs := c.Args().Slice()
	if len(refs) == 0 {
		images, err := store.Images()
		if err != nil {
			return err
		}
		for _, i := range images {
			refs = append(refs, i.Refs...)
		}
	}
	return signatures.JudgeStored(c, store, refs)
}

// repair repairs what the reports name, and verifies again.
func repair(c *cli.Context, store *overlaystore.Store, show progress.Display, report overlaystore.Report, given []engines.Verified, options overlaystore.VerifyOptions) error {
	images, err := store.Images()
	if err != nil {
		return err
	}
	var refs []string
	for _, i := range images {
		refs = append(refs, i.Refs...)
	}
	// First, because a layer that lacks only fs-verity need not be pulled again.
	protected, protectErr := store.Protect(c.Context, &report)
	for _, v := range given {
		if v.Record.HandedOver {
			refs = append(refs, v.Record.Reference)
		}
	}
	var repaired layerctl.Repaired
	err = setup.WithClient(c, refs, func(l *layerctl.Client) (err error) {
		return engines.Repair(c, l, store, options, damagedLayers(report, given), func() error {
			repaired, err = l.Repair(c.Context, store, report)
			repaired.Protected += protected
			return err
		})
	}, setup.Resources(c, func(e layerctl.Event) { show.Event("", e) }), setup.Retrying(show))
	show.Finish()
	if err := errors.Join(protectErr, err, engines.Renew(c, store, repaired)); err != nil {
		return err
	}
	if !c.Bool("quiet") {
		console := terminal.NewConsole(c.App.ErrWriter)
		sayRepaired(console, repaired)
		if repaired.Protected > 0 {
			console.Say("enabled fs-verity again for %d layers and indexes, which are right and were not fetched", repaired.Protected)
		}
	}
	_, err = store.Verify(c.Context, options)
	_, engineErr := engines.Verify(c, store, options)
	return errors.Join(err, engineErr)
}

// sayRepaired says what was put in place of what is damaged in the store.
func sayRepaired(console *terminal.Console, r layerctl.Repaired) {
	var parts []string
	if n := len(r.Layers); n > 0 {
		parts = append(parts, terminal.Count(n, "layer"))
	}
	if n := len(r.Fixes); n > 0 {
		parts = append(parts, terminal.Count(n, "fix layer"))
	}
	if len(parts) > 0 {
		console.Say("repaired %s", strings.Join(parts, " and "))
	}
}

// damagedLayers returns the layers that differ in the store or in an engine.
func damagedLayers(report overlaystore.Report, given []engines.Verified) []digest.Digest {
	damaged, _ := report.Damaged()
	for _, v := range given {
		layers, _ := v.Report.Damaged()
		damaged = append(damaged, layers...)
	}
	return damaged
}

func printReport(c *cli.Context, report overlaystore.Report, given []engines.Verified) error {
	var held []show.GivenReport
	for _, v := range given {
		held = append(held, show.GivenReport{Record: v.Record, Place: engines.Place(v.Record), Report: v.Report.Report, Unchecked: len(v.Report.Unchecked)})
	}
	if c.Bool("json") {
		return show.ReportJSON(c.App.Writer, report, held)
	}
	if err := show.Report(c.App.Writer, report, held); err != nil || c.Bool("quiet") {
		return err
	}
	console := terminal.NewConsole(c.App.ErrWriter)
	if len(report.Differences) == 0 {
		console.Say("%s: all as committed", amount(report))
	}
	for _, h := range held {
		if len(h.Report.Differences) == 0 {
			console.Say("%s in %s: %s: all as committed", terminal.Short(h.Record.Manifest), h.Place, amount(h.Report))
		}
		if h.Unchecked > 0 {
			console.Say("%s in %s: %s not compared: the engine had them before", terminal.Short(h.Record.Manifest), h.Place, terminal.Count(h.Unchecked, "layer"))
		}
	}
	return nil
}

// amount says how much was compared.
func amount(r overlaystore.Report) string {
	return fmt.Sprintf("%s, %s, %s read", terminal.Count(r.Layers, "layer"), terminal.Count(int(r.Files), "path"), terminal.Bytes(r.Bytes))
}
