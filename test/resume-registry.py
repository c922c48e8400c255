#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""resume-registry.py DIR: serves the images DIR/FORM that resume-image.py made as
localhost:PORT/FORM:latest. It writes its port to DIR/port. GET /rate/FORM/N lets
N bytes a second of a form's blobs be sent, GET /sent/FORM returns how many were
since the last call. What waits in a socket is bounded, for it is counted."""

import collections
import http.server
import os
import re
import socket
import sys
import threading
import time

top = sys.argv[1]
CHUNK = 16 << 10


class Pace:
    """How fast a form's blobs are sent, by all connections together."""

    def __init__(self):
        self.lock, self.rate, self.sent, self.free = threading.Lock(), 1e9, 0, 0.0

    def wait(self, n):
        with self.lock:
            now = time.monotonic()
            self.free = max(self.free, now - 0.05) + n / self.rate
            self.sent += n
            wait = self.free - now
        if wait > 0:
            time.sleep(wait)

    def taken(self):
        with self.lock:
            sent, self.sent = self.sent, 0
            return sent


paces = collections.defaultdict(Pace)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * CHUNK)
        super().setup()

    def log_message(self, *_):
        pass

    def answer(self, data, kind="text/plain"):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        order = self.path.split("/")
        if order[1] == "sent":
            return self.answer(str(paces[order[2]].taken()).encode())
        if order[1] == "rate":
            paces[order[2]].rate = float(order[3])
            return self.answer(b"")
        found = re.fullmatch(r"/v2/([a-z]+)/(manifests|blobs)/([a-z0-9:]+)", self.path)
        if not found:
            return self.answer(b"{}", "application/json")
        if found[2] == "manifests":
            with open(os.path.join(top, found[1], "manifest"), "rb") as f:
                return self.answer(f.read(), "application/vnd.oci.image.manifest.v1+json")
        try:
            self.blob(paces[found[1]], os.path.join(top, found[1], "blobs", found[3].removeprefix("sha256:")))
        except OSError:
            self.close_connection = True  # who asked is gone

    def blob(self, pace, name):
        size, begin = os.path.getsize(name), 0
        asked = re.fullmatch(r"bytes=(\d+)-\d*", self.headers.get("Range", ""))
        if asked:
            begin = int(asked[1])
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (begin, size - 1, size))
        self.send_header("Content-Length", str(size - begin))
        self.end_headers()
        with open(name, "rb") as f:
            f.seek(begin)
            while chunk := f.read(CHUNK):
                pace.wait(len(chunk))
                self.connection.sendall(chunk)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
with open(os.path.join(top, "port.new"), "w") as f:
    f.write(str(server.server_port))
os.rename(f.name, os.path.join(top, "port"))
server.serve_forever()
