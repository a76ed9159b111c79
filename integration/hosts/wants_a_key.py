"""Hosts that want a key, over TLS with certificates of an authority that is made here: wants_a_key.py FOLDER ADDRESS KEY
NAMES. What is asked is written into FOLDER/asked, a line of JSON each; without the key the answer is 401. Whoever asks is
told all that was asked: what the path was, and each field; and of /v2/key the key, compressed or in part where that is
asked for. Says "ready"."""

import base64
import gzip
import http.server
import json
import pathlib
import sys
import threading
import urllib.parse

from tls import authority, serve

folder, address, key, names = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
lock = threading.Lock()


class Host(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        head = [[name.lower(), value] for name, value in self.headers.items()]
        with lock, open(folder / "asked", "a") as out:
            out.write(json.dumps({"host": self.headers["Host"], "method": self.command, "path": self.path,
                                  "head": head, "body": body}) + "\n")
        given = [value for name, value in head if name in ("authorization", "x-api-key")]
        basic = "Basic " + base64.b64encode(f"me:{key}".encode()).decode()
        asks = self.path.endswith("key=" + urllib.parse.quote(key, safe=""))
        known = given in ([f"Bearer {key}"], [key], [basic]) or asks
        text = ("welcome\n" if known else "who are you?\n") + self.path + "\n"
        text += "".join(f"{name}: {value}\n" for name, value in head)
        if self.path.startswith("/v1/away"):
            self.send_response(302)
            self.send_header("Location", "https://other.example/v1/tidings")
            text = ""
        elif self.path.startswith("/v2/key"):
            return self.tell(f"welcome {key}\n".encode())
        else:
            self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def tell(self, said):
        part = self.headers.get("Range") or self.headers.get("Request-Range")
        self.send_response(206 if part else 200)
        if part:
            first, last = part.removeprefix("bytes=").split("-")
            said = said[int(first):int(last) + 1]
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            self.send_header("Content-Encoding", "gzip")
            said = gzip.compress(said)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


authority(folder, names)
serve(folder, address, Host)
