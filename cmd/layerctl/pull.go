// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/engines"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/failure"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/progress"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/registry"
)

func pullCommand() *cli.Command {
	return &cli.Command{
		Name:      "pull",
		Usage:     "fetch, unpack and commit images, and print the mount line of one",
		ArgsUsage: "REF…",
		Flags: append(slices.Concat(setup.LimitFlags(), engines.GiveFlags(), setup.TrustFlags()),
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "pull what `LIST` names, - for standard input"},
			&cli.BoolFlag{Name: "dry-run", Usage: "fetch no layer, tell what would be fetched"},
			&cli.BoolFlag{Name: "keep-blobs", Usage: "keep the compressed layers in the cache too, DIR/blobs of the store, and give them to containerd with --into"},
			&cli.BoolFlag{Name: "print-line", Usage: "print the mount line of each, with --quiet too"},
			targetFlag(),
			setup.JobsFlag(),
			setup.AnyPlatformFlag(),
			setup.DevicesFlag(),
		),
		Action: runPull,
	}
}

func runPull(c *cli.Context) (err error) {
	defer func() { hintUnshare(c, err) }()
	if c.String("file") == "-" {
		if err := setup.BeforeStdin(c); err != nil {
			return err
		}
	}
	list, err := setup.PullList(c)
	if err != nil {
		return err
	}
	if err := setup.CheckJobs(c); err != nil {
		return err
	}
	target, err := mountTarget(c.String("target"))
	if err != nil {
		return err
	}
	nodes, err := setup.Devices(c)
	if err != nil {
		return err
	}
	show, err := setup.NewProgress(c)
	if err != nil {
		return err
	}
	store, err := setup.OpenStore(c)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, store) }()
	engines.EndRepairs(c, store, setup.References(list))
	giver, err := engines.NewGiver(c, store)
	if err != nil {
		return err
	}
	defer func() { err = setup.Closing(err, giver) }()
	hear := func(e layerctl.Event) { show.Event(e.Reference, e) }
	if c.Bool("dry-run") {
		show, hear = progress.None{}, nil
	}
	return setup.WithClient(c, setup.References(list), func(l *layerctl.Client) error {
		p := &puller{Context: c, client: l, store: store, show: show, giver: giver, target: target, lines: printsLines(c, list)}
		return p.all(list)
	}, setup.Resources(c, hear), setup.Retrying(show), giver.Admit(), giver.Ahead(), func(o *layerctl.Options) { o.Devices = nodes })
}

// puller pulls one image after the other.
type puller struct {
	*cli.Context
	client *layerctl.Client
	store  *overlaystore.Store
	show   progress.Display
	giver  *engines.Giver
	target string
	lines  bool // whether mount lines are printed
	plans  []layerctl.Plan
}

// printsLines reports whether mount lines are printed: with --print-line or --json, and
// for one image unless --quiet is given.
func printsLines(c *cli.Context, list []args.Listed) bool {
	return c.Bool("print-line") || c.Bool("json") || len(list) == 1 && !c.Bool("quiet")
}

// all pulls the images one after the other. If there are several, it prints each failure
// at once and goes on.
func (p *puller) all(list []args.Listed) error {
	several := &severalError{of: len(list), what: "images were not pulled"}
	defer p.show.Summary()
	for i, l := range list {
		p.show.Begin(l.Ref, i+1, len(list))
		err := failure.Concerns(l.Ref, p.one(l))
		if err != nil {
			p.show.Failed(exitCode(err), failure.Line(err, p.Bool("verbose")))
		}
		switch {
		case err == nil:
			continue
		case len(list) == 1 || p.Context.Context.Err() != nil:
			return err
		}
		several.add(p.Context, err)
	}
	if err := p.planTotal(); err != nil {
		return err
	}
	return several.err()
}

func (p *puller) one(l args.Listed) error {
	client := p.client
	if l.Platform != "" {
		client = client.For(l.Platform)
	}
	if p.Bool("dry-run") {
		plan, err := client.Plan(p.Context.Context, p.store, l.Ref, p.plans...)
		if err != nil {
			return err
		}
		return p.planned(plan)
	}
	pulled, err := p.bring(client, l.Ref)
	if errors.Is(err, engines.ErrHas) {
		p.show.Finish()
		if !p.Bool("quiet") {
			terminal.NewConsole(p.App.ErrWriter).Say("%s: %v", l.Ref, engines.ErrHas)
		}
		return nil
	}
	p.show.Finish()
	if err != nil {
		return err
	}
	return p.pulled(l.Ref, pulled)
}

// bring pulls an image and gives it to the engine. If the engine needs a layer that was
// not fetched because the engine has it, bring pulls and gives once more, with it.
func (p *puller) bring(client *layerctl.Client, ref string) (pulled layerctl.Pulled, err error) {
	for {
		pulled, err = client.Pull(p.Context.Context, p.store, ref)
		if err == nil {
			err = p.give(client, ref, pulled)
		}
		if !p.giver.Needs(err) {
			return pulled, err
		}
	}
}

// give gives the image to the engine that --into names.
func (p *puller) give(client *layerctl.Client, ref string, pulled layerctl.Pulled) error {
	engine, _, _ := strings.Cut(p.String("into"), "=")
	if engine == "" {
		return nil
	}
	p.show.Giving(engine)
	return p.giver.Give(client, ref, pulled.Image, pulled.Root.Digest)
}

// planned prints the plan, and returns why it cannot be carried out.
func (p *puller) planned(plan layerctl.Plan) error {
	if !p.Bool("quiet") {
		for _, w := range plan.Warnings {
			terminal.NewConsole(p.App.ErrWriter).Warn("%s: %s", plan.Reference, w)
		}
	}
	p.plans = append(p.plans, plan)
	write := show.Plan
	if p.Bool("json") {
		write = show.PlanJSON
	}
	if err := write(p.App.Writer, plan); err != nil {
		return err
	}
	return plan.Fits
}

// planTotal prints the sum of several plans.
func (p *puller) planTotal() error {
	switch {
	case len(p.plans) < 2:
		return nil
	case p.Bool("json"):
		return show.PlanTotalJSON(p.App.Writer, p.plans)
	}
	return show.PlanTotal(p.App.Writer, p.plans)
}

func (p *puller) pulled(ref string, pulled layerctl.Pulled) error {
	if mirrored(pulled) {
		p.show.Traffic(ref, pulled.Traffic)
	}
	if !p.Bool("quiet") {
		for _, w := range pulled.Warnings {
			terminal.NewConsole(p.App.ErrWriter).Warn("%s: %s", pulled.Reference, w)
		}
	}
	if p.Bool("verbose") {
		if err := tellNotes(terminal.NewConsole(p.App.ErrWriter), p.store, pulled.Image); err != nil {
			return err
		}
	}
	if !p.lines || p.giver.HandsOver() {
		return nil
	}
	name := pulled.Reference.String()
	mount, err := overlaymount.Assemble(p.Context.Context, p.store, pulled.Image, overlaymount.Options{Name: name})
	if err != nil {
		return err
	}
	return printMount(p.Context, mount, pulled.Image, name, p.target)
}

// mirrored reports whether a host other than the registry itself has sent something.
func mirrored(pulled layerctl.Pulled) bool {
	return slices.ContainsFunc(pulled.Traffic, func(t registry.Traffic) bool { return t.Host != pulled.Reference.Host() })
}

// tellNotes prints what was tolerated in the image's layers, also in those that were
// unpacked earlier.
func tellNotes(to *terminal.Console, store *overlaystore.Store, image overlaystore.Image) error {
	for i, diffID := range image.Layers {
		record, err := store.Layer(diffID)
		if errors.Is(err, overlaystore.ErrNotFound) {
			continue // the engine had it, so it was not fetched
		}
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(record.Notes)) {
			to.Say("layer %d/%d %s: tolerated: %s (%d times)", i+1, len(image.Layers), terminal.Short(diffID), key, record.Notes[key])
		}
	}
	return nil
}
