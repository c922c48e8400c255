#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes an OCI layout of Alpine and layers that an engine must mend:
engine-image.py ALPINE-LAYOUT DIR NAME. With --foreign before it, layers with
links to files of lower layers and whiteouts of nothing, which containerd does
not unpack itself. An image of so many layers, each with
a file in /many: engine-image.py --layers N ALPINE-LAYOUT DIR NAME. A pause image
of a static binary: engine-image.py --pause BINARY DIR NAME."""

import gzip
import hashlib
import io
import json
import os
import sys
import tarfile


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layout:
    def __init__(self, path):
        self.path = path
        os.makedirs(f"{path}/blobs/sha256")
        with open(f"{path}/oci-layout", "w") as f:
            f.write('{"imageLayoutVersion":"1.0.0"}')

    def put(self, data):
        name = digest(data)
        with open(f"{self.path}/blobs/{name.replace(':', '/')}", "wb") as f:
            f.write(data)
        return {"digest": name, "size": len(data)}

    def image(self, layers, config, name):
        """layers are pairs of a blob and its uncompressed tar."""
        config = dict(config, rootfs={"type": "layers", "diff_ids": [digest(tar) for _, tar in layers]})
        config.pop("history", None)
        kind = "application/vnd.oci.image."
        manifest = {
            "schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
            "config": dict(self.put(json.dumps(config).encode()), mediaType=kind + "config.v1+json"),
            "layers": [dict(self.put(blob), mediaType=kind + "layer.v1.tar+gzip") for blob, _ in layers],
        }
        entry = dict(self.put(json.dumps(manifest).encode()), mediaType=kind + "manifest.v1+json",
                     platform={"os": "linux", "architecture": "amd64"},
                     annotations={"org.opencontainers.image.ref.name": name.rsplit(":", 1)[1],
                                  "io.containerd.image.name": name})
        with open(f"{self.path}/index.json", "w") as f:
            json.dump({"schemaVersion": 2, "mediaType": kind + "index.v1+json", "manifests": [entry]}, f)


class Layer:
    def __init__(self):
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name, kind=tarfile.REGTYPE, data=b"", mode=0o644, uid=0, gid=0, time=1600000000, link="", xattrs=None):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.uid, info.gid, info.mtime, info.linkname = kind, mode, uid, gid, time, link
        info.size = len(data)
        info.pax_headers = {f"SCHILY.xattr.{k}": v for k, v in (xattrs or {}).items()}
        self.tar.addfile(info, io.BytesIO(data))
        return self

    def dir(self, name, mode=0o755, **rest):
        return self.add(name, tarfile.DIRTYPE, mode=mode, **rest)

    def gone(self, name):
        head, tail = os.path.split(name)
        return self.add(os.path.join(head, ".wh." + tail))

    def opaque(self, name):
        return self.add(name + "/.wh..wh..opq")

    def link(self, name, to):
        return self.add(name, tarfile.LNKTYPE, link=to)

    def done(self):
        self.tar.close()
        raw = self.buffer.getvalue()
        return gzip.compress(raw, mtime=0), raw


def changes(foreign):
    """The layers on top of Alpine's."""
    one = Layer()
    one.dir("data", 0o1777, uid=12, gid=34).dir("data/keep", 0o2750).add("data/keep/one", data=b"one\n")
    one.dir("data/drop").add("data/drop/two", data=b"two\n").dir("data/hidden", 0o700).add("data/hidden/three", data=b"3\n")
    one.add("data/file", data=b"file\n", xattrs={"user.note": "a note"}, mode=0o4711).add("data/swap", data=b"swap\n")
    one.dir("data/dir").add("data/dir/in", data=b"in\n").add("data/fifo", tarfile.FIFOTYPE)
    one.add("data/symlink", tarfile.SYMTYPE, link="keep").link("data/keep/same", "data/keep/one")
    two = Layer()
    two.gone("data/drop").gone("data/keep/one").gone("etc/motd").opaque("data/hidden").add("data/hidden/four", data=b"4\n")
    two.gone("data/swap").dir("data/swap").add("data/swap/below", data=b"below\n")
    two.gone("data/dir").add("data/dir", data=b"now a file\n")
    # Implied directories: of Alpine's, of a layer below, and of nobody.
    two.add("tmp/implied", data=b"x\n").add("data/keep/implied", data=b"x\n").add("no/body/said", data=b"x\n")
    if foreign:  # links to files of lower layers
        two.link("etc/hard", "etc/shells").link("data/foreign", "data/file")
    three = Layer()
    three.gone("data/nothing").dir("fresh").add("fresh/there", data=b"x\n")
    three.add("data/swap/implied", data=b"x\n").gone("data/hidden/four").add("data/drop/again", data=b"again\n")
    if foreign:
        # Whiteouts of nothing, of which containerd shows names without a file.
        three.link("fresh/link", "data/foreign").gone("none/such").gone("fresh/gone")
    repeated = Layer().dir("twice").add("twice/f", data=b"f\n").done()
    return [one.done(), two.done(), repeated, three.done(), repeated]


def pause(binary, to, name):
    with open(binary, "rb") as f:
        layer = Layer().add("pause", data=f.read(), mode=0o755).done()
    Layout(to).image([layer], {"os": "linux", "architecture": "amd64", "config": {"Entrypoint": ["/pause"]}}, name)


def alpine(layout, to, name, foreign=False, more=0):
    def blob(of):
        with open(f"{layout}/blobs/{of.replace(':', '/')}", "rb") as f:
            return f.read()

    def amd64(index):
        for m in index["manifests"]:
            if "index" in m["mediaType"]:
                m = amd64(json.loads(blob(m["digest"])))
            if m and m.get("platform", {}).get("architecture") == "amd64":
                return m
        return None

    with open(f"{layout}/index.json") as f:
        manifest = json.loads(blob(amd64(json.load(f))["digest"]))
    layers = [blob(layer["digest"]) for layer in manifest["layers"]]
    layers = [(b, gzip.decompress(b)) for b in layers]
    upper = [Layer().dir("many").add(f"many/{i}", data=b"x\n").done() for i in range(more - len(layers))]
    Layout(to).image(layers + (upper or changes(foreign)), json.loads(blob(manifest["config"]["digest"])), name)


if sys.argv[1] == "--pause":
    pause(*sys.argv[2:])
elif sys.argv[1] == "--layers":
    alpine(*sys.argv[3:], more=int(sys.argv[2]))
elif sys.argv[1] == "--foreign":
    alpine(*sys.argv[2:], foreign=True)
else:
    alpine(*sys.argv[1:])
