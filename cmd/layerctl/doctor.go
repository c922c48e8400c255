// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/args"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/engines"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/host"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/setup"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/terminal"
	"github.com/layerctl/layerctl/overlaymount"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:   "doctor",
		Usage:  "tell what this host can do, with a hint at each no",
		Action: runDoctor,
	}
}

func runDoctor(c *cli.Context) error {
	if err := setup.NoArguments(c); err != nil {
		return err
	}
	store, err := setup.StoreDir(c)
	if err != nil {
		return err
	}
	d := &show.Diagnosis{Version: setup.Version(), Store: store}
	d.Add("mount", surveyMounts(c, store)...)
	_, missing := os.Stat(helperPath)
	d.Add("mount", overlaymount.Check{Name: args.HelperName, OK: missing == nil, Value: helperPath, Hint: "only needed for lines of fstab with more than about 120 layers: ln -s " + ownPath() + " " + helperPath})
	d.Add("store", surveyPulls(store)...)
	d.Add("rootless", host.Rootless(c.Context)...)
	d.Add("limits", host.Limits()...)
	d.Add("engines", engines.Survey(c.Context)...)
	d.Add("platform", surveyPlatform(c)...)
	d.Add("registry", surveyRegistry(c)...)
	if c.Bool("json") {
		return d.JSON(c.App.Writer)
	}
	return d.Text(c.App.Writer)
}

// surveyMounts is [overlaymount.Survey]. If the store cannot be at its place, the hint
// names the flag for another place.
func surveyMounts(c *cli.Context, store string) []overlaymount.Check {
	list := overlaymount.Survey(c.Context, store)
	for i, check := range list {
		if place := check.Name == "store filesystem" || check.Name == "store form"; place && !check.OK && check.Hint != "" {
			list[i].Hint += " (--store)"
		}
	}
	return list
}

// surveyPulls describes what interrupted pulls have left in the store; nil if they left
// nothing.
func surveyPulls(store string) []overlaymount.Check {
	left, err := overlaystore.Look(store)
	check := overlaymount.Check{Name: "interrupted pulls", Value: "unknown", Hint: "as another user"}
	if err != nil {
		return []overlaymount.Check{check}
	}
	if left.Layers == 0 {
		return nil
	}
	check.Value = fmt.Sprintf("%s, %d of them not whole, since %s", terminal.Count(left.Layers, "layer"), left.Begun, left.Oldest.Format(time.RFC3339))
	check.OK = time.Since(left.Oldest) < overlaystore.PartialAge
	check.Hint = "the next pull of the image goes on with them, and 'layerctl prune' removes those older than a day"
	return []overlaymount.Check{check}
}

func surveyPlatform(c *cli.Context) []overlaymount.Check {
	host := platform.Detect(platform.Inputs{Userland: platform.Userland(c.String("userland"))})
	chosen, from := platform.Format(host.Platform), "this machine's"
	if spec := c.String("platform"); spec != "" {
		chosen, from = spec, "by --platform"
	}
	list := []overlaymount.Check{{Name: "images for", OK: host.Warning == "", Value: chosen + ", " + from, Hint: host.Warning}}
	if host.Other != nil {
		list = append(list, overlaymount.Check{Name: "then for", OK: true, Value: platform.Format(*host.Other)})
	} else if host.Why != "" {
		list = append(list, overlaymount.Check{Name: "images of the other width", Value: "no", Hint: host.Why})
	}
	for _, f := range host.Facts {
		list = append(list, overlaymount.Check{Name: f.Name, OK: true, Value: f.Value + " (" + f.Source + ")"})
	}
	return list
}

// surveyRegistry names files with credentials, but prints nothing of their content.
func surveyRegistry(c *cli.Context) []overlaymount.Check {
	var list []overlaymount.Check
	r := layerctl.New(layerctl.Options{Registry: setup.RegistryOptions(c, nil)})
	found := 0
	for _, file := range r.KeyFiles() {
		f, err := os.Open(file)
		if os.IsNotExist(err) {
			continue
		}
		found++
		check := overlaymount.Check{Name: "credentials", OK: err == nil, Value: file}
		if err != nil {
			check.Hint = err.Error()
		} else {
			f.Close()
		}
		list = append(list, check)
	}
	if found == 0 {
		list = append(list, overlaymount.Check{Name: "credentials", Value: "no file", Hint: "public images need none; 'layerctl login HOST' keeps some"})
	}
	mirrors, err := r.Mirrors("docker.io")
	check := overlaymount.Check{Name: "mirrors of docker.io", OK: true, Value: strings.Join(mirrors, " ")}
	switch {
	case err != nil:
		check.OK, check.Value, check.Hint = false, "the configuration cannot be read", err.Error()
	case len(mirrors) == 0:
		check.OK, check.Value, check.Hint = false, "none", "a mirror is configured as for containerd, in /etc/containerd/certs.d/docker.io/hosts.toml"
	}
	return append(list, check)
}
