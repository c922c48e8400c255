// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/layerctl/layerctl"
	"github.com/layerctl/layerctl/cmd/layerctl/internal/show"
	"github.com/layerctl/layerctl/overlaystore"
	"github.com/layerctl/layerctl/platform"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "tell what this host can do, with a hint at each no",
		Description: `Tries what the kernel, the filesystem of the store and the caller's rights
allow; it asks nobody over the network and leaves nothing behind. "no" is not
always an error: much is only needed for one flag, as the hint says.`,
		Action: runDoctor,
	}
}

func runDoctor(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	store, err := storeDir(c)
	if err != nil {
		return err
	}
	d := &show.Diagnosis{Version: version(), Store: store}
	d.Add("mount", overlaystore.Survey(c.Context, store)...)
	_, missing := os.Stat(helperPath)
	d.Add("mount", overlaystore.Check{Name: helperName, OK: missing == nil, Value: helperPath, Hint: "only needed for lines of fstab with more than about 120 layers: ln -s " + ownPath() + " " + helperPath})
	d.Add("rootless", surveyRootless()...)
	d.Add("limits", surveyLimits()...)
	d.Add("platform", surveyPlatform(c)...)
	d.Add("registry", surveyRegistry(c)...)
	if c.Bool("json") {
		return d.JSON(c.App.Writer)
	}
	return d.Text(c.App.Writer)
}

// surveyRootless looks for what a user without root needs.
func surveyRootless() []overlaystore.Check {
	list := []overlaystore.Check{{Name: "user namespaces", OK: true, Value: "allowed", Hint: "sysctl -w user.max_user_namespaces=15000"}}
	for file, bad := range map[string]string{
		"/proc/sys/user/max_user_namespaces":                     "0",
		"/proc/sys/kernel/unprivileged_userns_clone":             "0",
		"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
	} {
		raw, err := os.ReadFile(file)
		if err == nil && strings.TrimSpace(string(raw)) == bad {
			list[0].OK, list[0].Value, list[0].Hint = false, file+" is "+bad, "an administrator can change it with sysctl"
		}
	}
	for _, name := range []string{"newuidmap", "newgidmap"} {
		path, err := exec.LookPath(name)
		check := overlaystore.Check{Name: name, OK: err == nil, Value: path, Hint: "install the package uidmap (shadow-utils)"}
		list = append(list, check)
	}
	path, err := exec.LookPath(string(overlaystore.FUSEDriver))
	list = append(list, overlaystore.Check{Name: "fuse-overlayfs", OK: err == nil, Value: path, Hint: "only needed where the kernel mounts no overlayfs in user namespaces: before Linux 5.11"})
	who := overlaystore.Check{Name: "subordinate ids", Hint: "add a line such as NAME:100000:65536 to /etc/subuid and /etc/subgid"}
	if u, err := user.Current(); err == nil {
		who.Value = "none for " + u.Username
		if ids := subordinate("/etc/subuid", u); ids != "" && subordinate("/etc/subgid", u) != "" {
			who.OK, who.Value = true, ids
		}
	}
	return append(list, who)
}

// subordinate is the line of a user in a file like /etc/subuid (subuid(5)).
func subordinate(file string, u *user.User) string {
	raw, _ := os.ReadFile(file) // without it nobody has any
	for line := range strings.Lines(string(raw)) {
		name, ids, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok && (name == u.Username || name == u.Uid) {
			return ids
		}
	}
	return ""
}

func surveyLimits() []overlaystore.Check {
	var files unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &files) // zero says no
	list := []overlaystore.Check{
		{Name: "open files", OK: files.Cur >= 1024, Value: fmt.Sprintf("%d, at most %d", files.Cur, files.Max), Hint: "ulimit -n 1024"},
		{Name: "processors", OK: true, Value: fmt.Sprint(runtime.NumCPU())},
	}
	if raw, err := os.ReadFile("/proc/sys/fs/mount-max"); err == nil {
		list = append(list, overlaystore.Check{Name: "mounts", OK: true, Value: "at most " + strings.TrimSpace(string(raw))})
	}
	return append(list, overlaystore.Check{Name: "layers of an image", OK: true, Value: "at most 500"})
}

func surveyPlatform(c *cli.Context) []overlaystore.Check {
	host := platform.Detect(platform.Inputs{Userland: platform.Userland(c.String("userland"))})
	chosen, from := platform.Format(host.Platform), "this machine's"
	if spec := c.String("platform"); spec != "" {
		chosen, from = spec, "by --platform"
	}
	list := []overlaystore.Check{{Name: "images for", OK: host.Warning == "", Value: chosen + ", " + from, Hint: host.Warning}}
	if host.Other != nil {
		list = append(list, overlaystore.Check{Name: "then for", OK: true, Value: platform.Format(*host.Other)})
	} else if host.Why != "" {
		list = append(list, overlaystore.Check{Name: "images of the other width", Value: "no", Hint: host.Why})
	}
	for _, f := range host.Facts {
		list = append(list, overlaystore.Check{Name: f.Name, OK: true, Value: f.Value + " (" + f.Source + ")"})
	}
	return list
}

// surveyRegistry names files only, and nothing that is in them.
func surveyRegistry(c *cli.Context) []overlaystore.Check {
	var list []overlaystore.Check
	r := layerctl.New(layerctl.Options{Registry: registryOptions(c, nil)})
	found := 0
	for _, file := range r.KeyFiles() {
		f, err := os.Open(file)
		if os.IsNotExist(err) {
			continue
		}
		found++
		check := overlaystore.Check{Name: "credentials", OK: err == nil, Value: file}
		if err != nil {
			check.Hint = err.Error()
		} else {
			f.Close()
		}
		list = append(list, check)
	}
	if found == 0 {
		list = append(list, overlaystore.Check{Name: "credentials", Value: "no file", Hint: "public images need none; 'layerctl login HOST' keeps some"})
	}
	mirrors, err := r.Mirrors("docker.io")
	check := overlaystore.Check{Name: "mirrors of docker.io", OK: true, Value: strings.Join(mirrors, " ")}
	switch {
	case err != nil:
		check.OK, check.Value, check.Hint = false, "the configuration cannot be read", err.Error()
	case len(mirrors) == 0:
		check.OK, check.Value, check.Hint = false, "none", "a mirror is configured as for containerd, in /etc/containerd/certs.d/docker.io/hosts.toml"
	}
	return append(list, check)
}
