// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Options say how a config is converted. The zero value works.
type Options struct {
	// Root is the path of the root filesystem, relative to the bundle; "" means
	// "rootfs".
	Root string
	// ReadOnly makes the root filesystem read-only for the container.
	ReadOnly bool
	// Args is the command that the container runs; none means the image's.
	Args []string
	// Hostname is the container's; "" means "layerctl".
	Hostname string
	// IDs maps users and groups of a user namespace alike; none means that there is no
	// user namespace.
	IDs []specs.LinuxIDMapping
	// OneID says that the runtime will run in a user namespace that maps root only, so
	// that terminals cannot be of the group tty.
	OneID bool
	// Volumes mounts an empty tmpfs at each of the image's volumes. Without it the
	// container writes there into its root filesystem.
	Volumes bool
}

// Convert makes a config.json of the raw bytes of an image's config. root is the image's
// root filesystem, in which users and groups are looked up: one that is missing there is
// an error, as the specification demands, and so is an image without a command if there
// are no Options.Args. The notes say, for users, what was left out.
func Convert(config []byte, root fs.FS, o Options) (*specs.Spec, []string, error) {
	var image ocispec.Image
	if err := json.Unmarshal(config, &image); err != nil {
		return nil, nil, fmt.Errorf("convert the image's config: %w", err)
	}
	s := basis(o)
	c := image.Config
	user, err := findUser(root, c.User)
	if err != nil {
		return nil, nil, fmt.Errorf("convert the image's config: %w", err)
	}
	s.Process.User = user
	s.Process.Env = environment(c.Env)
	s.Process.Cwd = path.Clean("/" + c.WorkingDir)
	s.Process.Args = o.Args
	if len(o.Args) == 0 {
		s.Process.Args = slices.Concat(c.Entrypoint, c.Cmd)
	}
	if len(s.Process.Args) == 0 {
		return nil, nil, fmt.Errorf("convert the image's config: it names no command; give one")
	}
	var notes []string
	s.Annotations, notes = annotations(image)
	if o.Volumes {
		s.Mounts = append(s.Mounts, volumes(c.Volumes)...)
	}
	return s, notes, nil
}

// environment adds a PATH if the image has none.
func environment(env []string) []string {
	if slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }) {
		return env
	}
	return append(slices.Clone(env), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

// commanding returns the beginnings of annotations that control runtimes: handlers and
// hooks of crun, machines of libkrun, settings of gVisor and Kata, modules of WebAssembly,
// what Kubernetes' runtimes pass on, properties of systemd, files of criu. The user who
// runs a container may set them, but not the author of its image.
func commanding() []string {
	return []string{
		"run.oci.", "krun.", "dev.gvisor.", "io.katacontainers.", "module.wasm.image", "io.kubernetes.cri",
		"org.systemd.property.", "org.criu.",
	}
}

// annotations returns the annotations that stand for fields of the image's config, and the
// image's labels; and notes of the labels that it leaves out.
func annotations(image ocispec.Image) (map[string]string, []string) {
	c := image.Config
	all := map[string]string{}
	for key, value := range map[string]string{
		"os": image.OS, "architecture": image.Architecture, "variant": image.Variant,
		"os.version": image.OSVersion, "os.features": strings.Join(image.OSFeatures, ","),
		"author": image.Author, "stopSignal": c.StopSignal,
		"exposedPorts": strings.Join(slices.Sorted(maps.Keys(c.ExposedPorts)), ","),
	} {
		if value != "" {
			all["org.opencontainers.image."+key] = value
		}
	}
	if image.Created != nil {
		all["org.opencontainers.image.created"] = image.Created.Format("2006-01-02T15:04:05.999999999Z07:00")
	}
	var notes []string
	for _, key := range slices.Sorted(maps.Keys(c.Labels)) {
		commands := func(prefix string) bool { return strings.HasPrefix(key, prefix) }
		if key == "" || slices.ContainsFunc(commanding(), commands) {
			notes = append(notes, fmt.Sprintf("the label %q is left out: a runtime could take it for a command", key))
			continue
		}
		all[key] = c.Labels[key]
	}
	return all, notes
}

// volumes returns mounts of a tmpfs for volumes.
func volumes(list map[string]struct{}) []specs.Mount {
	var mounts []specs.Mount
	for _, dir := range slices.Sorted(maps.Keys(list)) {
		// A volume at the root would hide the image.
		if dir = path.Clean("/" + dir); dir == "/" {
			continue
		}
		mounts = append(mounts, specs.Mount{Destination: dir, Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "mode=0755"}})
	}
	return mounts
}
