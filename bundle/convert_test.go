// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func image() fstest.MapFS {
	return fstest.MapFS{
		"etc/passwd": {Data: []byte("root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:34:w:/:/bin/false\n")},
		"etc/group":  {Data: []byte("root:x:0:root\nwww:x:34:\nstaff:x:50:web,other\nlogs:x:51:other\n")},
	}
}

func TestUser(t *testing.T) {
	for _, c := range []struct {
		who  string
		want specs.User
		err  string
	}{
		{"", specs.User{}, ""},
		{"root", specs.User{AdditionalGids: []uint32{0}}, ""},
		{"web", specs.User{UID: 33, GID: 34, AdditionalGids: []uint32{50}}, ""},
		{"33", specs.User{UID: 33, GID: 34}, ""},
		{"33:7", specs.User{UID: 33, GID: 7}, ""},
		{"web:staff", specs.User{UID: 33, GID: 50}, ""},
		{"1234", specs.User{UID: 1234}, ""},
		{"1234:logs", specs.User{UID: 1234, GID: 51}, ""},
		{"nobody", specs.User{}, `"nobody" is not in`},
		{"web:nothing", specs.User{}, `"nothing" is not in`},
		{"4294967295", specs.User{}, "is not in"},
	} {
		got, err := findUser(image(), c.who)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: error %v, want %q", c.who, err, c.err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, error %v; want %+v", c.who, got, err, c.want)
		}
	}
	if u, err := findUser(fstest.MapFS{}, "5"); err != nil || u.UID != 5 {
		t.Errorf("an image without accounts: %+v, error %v", u, err)
	}
}

func TestConvert(t *testing.T) {
	s, notes, err := Convert([]byte(`{"os":"linux","architecture":"arm","variant":"v7","author":"a","created":"2024-01-02T03:04:05Z","config":{
		"User":"web","Env":["A=b"],"Entrypoint":["/e"],"Cmd":["c","d"],"WorkingDir":"srv","StopSignal":"SIGINT",
		"ExposedPorts":{"80/tcp":{},"53/udp":{}},"Volumes":{"/data":{},"/":{}},
		"Labels":{"x":"y","org.opencontainers.image.author":"label","run.oci.handler":"wasm","org.systemd.property.ExecStart":"x"}}}`),
		image(), Options{Volumes: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/e", "c", "d"}; !slices.Equal(s.Process.Args, want) {
		t.Errorf("args %q, want %q", s.Process.Args, want)
	}
	if s.Process.Cwd != "/srv" || s.Process.Env[0] != "A=b" || !strings.HasPrefix(s.Process.Env[1], "PATH=") {
		t.Errorf("cwd %q, env %q", s.Process.Cwd, s.Process.Env)
	}
	want := map[string]string{
		"org.opencontainers.image.os": "linux", "org.opencontainers.image.architecture": "arm", "org.opencontainers.image.variant": "v7",
		"org.opencontainers.image.author": "label", "org.opencontainers.image.created": "2024-01-02T03:04:05Z",
		"org.opencontainers.image.stopSignal": "SIGINT", "org.opencontainers.image.exposedPorts": "53/udp,80/tcp", "x": "y",
	}
	if !reflect.DeepEqual(s.Annotations, want) {
		t.Errorf("annotations %v, want %v", s.Annotations, want)
	}
	if len(notes) != 2 {
		t.Errorf("notes %q, want two on labels that command runtimes", notes)
	}
	if last := s.Mounts[len(s.Mounts)-1]; last.Destination != "/data" || last.Type != "tmpfs" {
		t.Errorf("the volume is mounted as %+v", last)
	}
}

func TestConvertRefuses(t *testing.T) {
	for raw, want := range map[string]string{
		`{`:                         "unexpected end",
		`{"config":{}}`:             "names no command",
		`{"config":{"User":"who"}}`: "is not in",
	} {
		if _, _, err := Convert([]byte(raw), image(), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
	}
}
