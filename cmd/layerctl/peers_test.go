// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/layerctl/layerctl/internal/imagetest"
	"github.com/layerctl/layerctl/internal/registrytest"
	"github.com/layerctl/layerctl/manifest"
)

const manifests = "../../testdata/manifests"

// peerCase is an image whose inspection by docker and by manifest-tool is
// recorded in testdata/peers, the registry's address replaced.
type peerCase struct {
	name string
	add  func(*testing.T, *registrytest.Registry, string)
}

var peerCases = []peerCase{
	{"oci-index", addAlpine},
	{"oci-image", func(t *testing.T, r *registrytest.Registry, tag string) {
		addAlpine(t, r, "unused")
		r.Add(ocispec.MediaTypeImageManifest, readFile(t, manifests+"/alpine-3.20/manifest-arm-v7.json"), tag)
	}},
	{"docker-list", addDockerList},
	{"docker-image", func(_ *testing.T, r *registrytest.Registry, tag string) {
		addPeerImage(r, manifest.DockerManifest, `{"os":"linux","architecture":"arm","variant":"v6"}`, tag)
	}},
	{"windows-image", func(_ *testing.T, r *registrytest.Registry, tag string) {
		addPeerImage(r, manifest.DockerManifest, `{"os":"windows","architecture":"amd64","os.version":"10.0.17763.1","os.features":["win32k"]}`, tag)
	}},
	{"attested", addAttested},
	{"odd-blanks", addOddBlanks},
	{"no-media-type", addWithoutMediaType},
	{"hello", func(_ *testing.T, r *registrytest.Registry, tag string) { r.AddLayout(helloLayout, tag) }},
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func addAlpine(t *testing.T, r *registrytest.Registry, tag string) {
	files, err := filepath.Glob(manifests + "/alpine-3.20/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		switch base := filepath.Base(f); {
		case base == "index.json":
			r.Add(ocispec.MediaTypeImageIndex, readFile(t, f), tag)
		case strings.HasPrefix(base, "manifest-"):
			r.Add(ocispec.MediaTypeImageManifest, readFile(t, f))
		default:
			r.Add(ocispec.MediaTypeImageConfig, readFile(t, f))
		}
	}
}

// addPeerImage adds an image of two layers that nobody reads, as Docker
// writes it.
func addPeerImage(r *registrytest.Registry, mediaType, platform string, tags ...string) ocispec.Descriptor {
	var p ocispec.Platform
	if err := json.Unmarshal([]byte(platform), &p); err != nil {
		panic(err)
	}
	layers := []string{"lower of " + platform, "upper <&> " + platform}
	config := imagetest.JSON(map[string]any{
		"os": p.OS, "architecture": p.Architecture, "variant": p.Variant, "os.version": p.OSVersion, "os.features": p.OSFeatures,
		"created": "2018-05-01T10:00:00.5Z", "rootfs": map[string]any{"type": "layers", "diff_ids": []digest.Digest{digest.FromString(layers[0]), digest.FromString(layers[1])}},
	})
	configType, layerType := ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip
	if mediaType == manifest.DockerManifest {
		configType, layerType = manifest.DockerConfig, manifest.DockerLayerGzip
	}
	m := ocispec.Manifest{MediaType: mediaType, Config: r.Add(configType, config)}
	m.SchemaVersion = 2
	for _, l := range layers {
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: layerType, Digest: digest.FromString(l), Size: int64(len(l))})
	}
	raw, err := json.MarshalIndent(m, "", "   ")
	if err != nil {
		panic(err)
	}
	d := r.Add(mediaType, raw, tags...)
	d.Platform = &p
	return d
}

func addDockerList(_ *testing.T, r *registrytest.Registry, tag string) {
	var entries []ocispec.Descriptor
	for _, p := range []string{
		`{"os":"linux","architecture":"amd64"}`,
		`{"os":"linux","architecture":"arm","variant":"v7"}`,
		`{"os":"windows","architecture":"amd64","os.version":"10.0.17763.1","os.features":["win32k","x"]}`,
	} {
		entries = append(entries, addPeerImage(r, manifest.DockerManifest, p))
	}
	r.Add(manifest.DockerManifestList, imagetest.JSON(map[string]any{
		"schemaVersion": 2, "mediaType": manifest.DockerManifestList, "manifests": entries,
	}), tag)
}

func addAttested(_ *testing.T, r *registrytest.Registry, tag string) {
	var entries []ocispec.Descriptor
	for _, p := range []string{`{"os":"linux","architecture":"amd64"}`, `{"os":"linux","architecture":"arm64","variant":"v8"}`} {
		d := addPeerImage(r, ocispec.MediaTypeImageManifest, p)
		d.Annotations = map[string]string{"com.example.<who>": "a & b"}
		entries = append(entries, d)
	}
	for _, of := range entries {
		statement := ocispec.Descriptor{MediaType: "application/vnd.in-toto+json", Digest: digest.FromString("statement"), Size: 9}
		m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Layers: []ocispec.Descriptor{statement}}
		m.SchemaVersion = 2
		m.Config = r.Add(ocispec.MediaTypeImageConfig, imagetest.JSON(map[string]any{
			"os": "unknown", "architecture": "unknown", "config": of.Digest, "rootfs": map[string]any{"type": "layers", "diff_ids": []string{statement.Digest.String()}},
		}))
		a := r.Add(ocispec.MediaTypeImageManifest, imagetest.JSON(m))
		a.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
		a.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of.Digest.String()}
		entries = append(entries, a)
	}
	r.Add(ocispec.MediaTypeImageIndex, imagetest.JSON(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": entries,
		"annotations": map[string]string{"top": "lost by docker"},
	}), tag)
}

// addOddBlanks adds a manifest that no encoder of Go writes: blanks in odd
// places, keys in another order, unknown ones, text that HTML would mind.
func addOddBlanks(_ *testing.T, r *registrytest.Registry, tag string) {
	config := r.Add(ocispec.MediaTypeImageConfig, []byte(`{"architecture":"riscv64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`))
	r.Add(ocispec.MediaTypeImageManifest, []byte("\n{ \"config\" :\t{\"size\":"+string(imagetest.JSON(config.Size))+`,  "digest":"`+config.Digest.String()+
		`","mediaType":"`+config.MediaType+"\"},\r\n\"layers\":[ ], \"x-<&>\": [1.0, 12345678901234567890, null, {}],\n"+
		`"annotations":{"z":"<b>","a":"ü & é"},"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageManifest+"\"}\n \n"), tag)
}

// addWithoutMediaType adds what OCI allows: neither index nor manifest says
// what it is.
func addWithoutMediaType(_ *testing.T, r *registrytest.Registry, tag string) {
	config := r.Add(ocispec.MediaTypeImageConfig, []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`))
	d := r.Add(ocispec.MediaTypeImageManifest, imagetest.JSON(map[string]any{"schemaVersion": 2, "config": config, "layers": []any{}}))
	d.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64", Variant: "v3"}
	r.Add(ocispec.MediaTypeImageIndex, imagetest.JSON(map[string]any{"schemaVersion": 2, "manifests": []any{d}}), tag)
}

// The recorded outputs are those of the tools themselves, of the
// same images on the same kind of registry. The short form has one of each image, and
// each form.
func TestOutputsOfPeers(t *testing.T) {
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	for i, c := range peerCases {
		c.add(t, r, c.name)
		for j, form := range peerForms {
			if !full() && i%len(peerForms) != j {
				continue
			}
			t.Run(c.name+"/"+form.name, func(t *testing.T) {
				want := string(readFile(t, "testdata/peers/"+c.name+"."+form.name))
				args := append([]string{"inspect", form.ref(r, c.name), "--plain-http", r.Host}, form.args...)
				got := strings.ReplaceAll(output(t, args...), r.Host, "registry.example")
				if got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			})
		}
	}
}

// peerForm is one way to ask a peer, and ours to ask for the same.
type peerForm struct {
	name string // what follows the case's name in testdata/peers
	ref  func(r *registrytest.Registry, tag string) string
	args []string
}

var peerForms = []peerForm{
	{"docker", tagged, []string{"--docker"}},
	{"docker-v", tagged, []string{"--docker", "-v"}},
	{"docker-v-pinned", pinned, []string{"--docker", "-v"}},
	{"docker-v-tag-and-digest", taggedAndPinned, []string{"--docker", "-v"}},
	{"manifest-tool", tagged, []string{"--manifest-tool"}},
}

func tagged(r *registrytest.Registry, tag string) string { return r.Host + "/peers/image:" + tag }

func pinned(r *registrytest.Registry, tag string) string {
	return r.Host + "/peers/image@" + r.Tagged(tag).String()
}

func taggedAndPinned(r *registrytest.Registry, tag string) string {
	return tagged(r, tag) + "@" + r.Tagged(tag).String()
}

// output runs the command within this process.
func output(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(append([]string{"layerctl"}, args...), strings.NewReader(""), &stdout, &stderr); code != exitOK {
		t.Fatalf("layerctl %q: exit %d: %s", args, code, &stderr)
	}
	return stdout.String()
}

// A list that Docker printed in 2018 comes out as it was printed then.
func TestDockerOfARecordedList(t *testing.T) {
	for _, name := range []string{"traefik-2018", "grafana-6.7.1"} {
		t.Run(name, func(t *testing.T) {
			file := manifests + "/" + name + "/docker-manifest-inspect.json"
			if _, err := os.Stat(file); err != nil {
				t.Skip("needs testdata: ", err)
			}
			r := registrytest.NewRegistry()
			t.Cleanup(r.Close)
			want := readFile(t, file)
			r.Add(manifest.DockerManifestList, want, "latest")
			got := output(t, "inspect", "--docker", "--plain-http", r.Host, r.Host+"/image")
			if strings.TrimSpace(got) != strings.TrimSpace(string(want)) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// One-liners as they stand in scripts.
func TestJqOneLiners(t *testing.T) {
	jq, err := exec.LookPath("jq")
	if err != nil {
		t.Skip("needs jq")
	}
	r := registrytest.NewRegistry()
	t.Cleanup(r.Close)
	addAttested(t, r, "index")
	single := addPeerImage(r, manifest.DockerManifest, `{"os":"linux","architecture":"arm","variant":"v6"}`, "single")
	arm64 := addPeerImage(r, ocispec.MediaTypeImageManifest, `{"os":"linux","architecture":"arm64","variant":"v8"}`)
	tests := []struct {
		tag, filter, want string
		args              []string
	}{
		{"index", `.manifests[]|select(.platform.architecture=="arm64")|.digest`, arm64.Digest.String(), []string{"--docker"}},
		{"index", `.manifests[] | select(.platform.architecture == "arm64" and .platform.os == "linux") | .digest`, arm64.Digest.String(), []string{"--docker"}},
		{"index", `[.manifests[].platform.architecture] | join(" ")`, "amd64 arm64 unknown unknown", []string{"--docker"}},
		{"index", `.[] | select(.Descriptor.platform.architecture=="arm64") | .Descriptor.digest`, arm64.Digest.String(), []string{"--docker", "-v"}},
		{"index", `.[1].OCIManifest.layers | length`, "2", []string{"--docker", "-v"}},
		{"index", `.[1].Raw | @base64d | fromjson | .schemaVersion`, "2", []string{"--docker", "-v"}},
		{"single", `.Descriptor.digest`, single.Digest.String(), []string{"--docker", "-v"}},
		{"single", `.SchemaV2Manifest.config.mediaType`, manifest.DockerConfig, []string{"--docker", "-v"}},
		{"single", `.Descriptor.platform.variant`, "v6", []string{"--docker", "-v"}},
		{"single", `.config.mediaType`, manifest.DockerConfig, []string{"--docker"}},
		{"single", `[.layers[].size] | add`, "119", []string{"--docker"}},
		{"index", `.manifests[]|select(.platform.architecture=="arm64")|.digest`, arm64.Digest.String(), []string{"--json"}},
		{"single", `.manifests[]|select(.platform.variant=="v6")|.digest`, single.Digest.String(), []string{"--json"}},
	}
	var texts, filters, wanted []string
	for i, test := range tests {
		text := output(t, append([]string{"inspect", "--quiet", "--plain-http", r.Host, r.Host + "/image:" + test.tag}, test.args...)...)
		texts, filters, wanted = append(texts, text), append(filters, fmt.Sprintf("(.[%d] | %s)", i, test.filter)), append(wanted, test.want)
		if !full() {
			continue
		}
		t.Run(test.tag+" "+test.filter, func(t *testing.T) {
			filter := exec.CommandContext(t.Context(), jq, "-r", test.filter)
			filter.Stdin = strings.NewReader(text)
			got, err := filter.CombinedOutput()
			if err != nil || strings.TrimSpace(string(got)) != test.want {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
	// One jq for all is what the short form has.
	all := exec.CommandContext(t.Context(), jq, "-rs", strings.Join(filters, ", "))
	all.Stdin = strings.NewReader(strings.Join(texts, "\n"))
	got, err := all.CombinedOutput()
	if err != nil || strings.TrimSpace(string(got)) != strings.Join(wanted, "\n") {
		t.Errorf("got %q, %v, want %q", got, err, wanted)
	}
}
