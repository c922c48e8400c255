#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""resume-image.py MB DIR: writes the tar of a layer of about MB million bytes,
DIR/layer.tar, half of whose content can be compressed, and its forms gzip,
members (gzip of many members), frames (zstd of many frames) and plain as images
of one layer, DIR/FORM/blobs/HEX and DIR/FORM/manifest. Needs gzip and zstd."""

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile

TYPE = "application/vnd.oci.image.layer.v1.tar"
FORMS = {
    "gzip": (TYPE + "+gzip", "gzip -1 -c {tar}"),
    "members": (TYPE + "+gzip", "split -b 1M --filter='gzip -1 -c' {tar}"),
    "frames": (TYPE + "+zstd", "split -b 1M --filter='zstd -1 -q -c' {tar}"),
    "plain": (TYPE, "cat {tar}"),
}


def content(rng, size):
    noise = rng.randbytes(size // 2)
    return (noise + noise[: (size - len(noise)) // 4].hex().encode() * 3)[:size].ljust(size, b"\n")


def write_tar(path, size):
    rng = random.Random(21)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:

        def add(name, kind=tarfile.REGTYPE, data=b"", link="", mode=0o644):
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname, entry.mode = kind, len(data), link, mode
            entry.mtime, entry.uid, entry.gid = rng.randrange(1, 1 << 30), rng.randrange(1000), rng.randrange(1000)
            tar.addfile(entry, io.BytesIO(data))
            return len(data)

        left, n = size, 0
        while left > 0:
            directory = "usr/d%d" % (n // 50)
            if n % 50 == 0:
                add(directory, tarfile.DIRTYPE, mode=0o755)
                add(directory + "/.wh.gone%d" % n)
            # Small files, and one in a thousand that takes seconds to come.
            bytes_ = size // 6 if n % 1000 == 500 else rng.choice([0, 100, 3000, 20_000, 200_000])
            left -= add("%s/f%d" % (directory, n), data=content(rng, bytes_))
            if n % 9 == 0:
                add("%s/hard%d" % (directory, n), tarfile.LNKTYPE, link="%s/f%d" % (directory, n))
                add("implied%d/x/sym%d" % (n % 7, n), tarfile.SYMTYPE, link="../f")
            n += 1


def main():
    size, top = int(sys.argv[1]) * 1_000_000, sys.argv[2]
    tar = os.path.join(top, "layer.tar")
    write_tar(tar, size)
    diff_id = subprocess.check_output(["sha256sum", tar]).split()[0].decode()

    for form, (media_type, command) in FORMS.items():
        blobs = os.path.join(top, form, "blobs")
        os.makedirs(blobs)

        def put(data=None, name=None):
            if data is not None:
                name = os.path.join(blobs, "new")
                with open(name, "wb") as f:
                    f.write(data)
            digest = subprocess.check_output(["sha256sum", name]).split()[0].decode()
            os.rename(name, os.path.join(blobs, digest))
            return "sha256:" + digest, os.path.getsize(os.path.join(blobs, digest))

        blob = os.path.join(blobs, "layer")
        subprocess.run("%s >%s" % (command.format(tar=tar), blob), shell=True, check=True)
        layer = put(name=blob)
        config = put(json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + diff_id]}}).encode())
        describe = lambda kind, made: {"mediaType": kind, "digest": made[0], "size": made[1]}
        with open(os.path.join(top, form, "manifest"), "w") as f:
            json.dump({
                "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": describe("application/vnd.oci.image.config.v1+json", config), "layers": [describe(media_type, layer)],
            }, f)
    os.remove(tar)


main()
