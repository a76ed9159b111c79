"""A host that answers whoever has its key, over TLS with a certificate of an authority that is made here, and
says back what it was told, which the key is a part of. keys.py FOLDER ADDRESS NAME KEY; says "ready", and serves
until it is killed. What it was told is in FOLDER/told, a line for each request."""

import http.server
import pathlib
import ssl
import subprocess
import sys

folder, address, name, key = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def authority():
    ca, ca_key, asked, own, more = (folder / one for one in ("ca.pem", "ca.key", "host.csr", "host.pem", "more"))
    folder.mkdir(parents=True)
    more.write_text(f"subjectAltName=DNS:{name}")
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=case",
        "-addext", "keyUsage=critical,keyCertSign", "-keyout", ca_key, "-out", ca)
    run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=host", "-keyout", folder / "host.key",
        "-out", asked)
    run("openssl", "x509", "-req", "-in", asked, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2",
        "-extfile", more, "-out", own)


class Host(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with open(folder / "told", "a") as told:
            told.write(f"{self.path} {self.headers.get_all('Authorization')}\n")
        known = self.headers.get_all("Authorization") == [f"Bearer {key}"]
        said = f"tidings, {self.headers}" if known else f"no, {self.headers}"
        body = said.encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


authority()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder / "host.pem", folder / "host.key")
server = http.server.ThreadingHTTPServer((address, 443), Host)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("ready", flush=True)
server.serve_forever()
