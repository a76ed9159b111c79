"""Hosts that want a key, over TLS with certificates of an authority that is made here: wants_a_key.py FOLDER ADDRESS KEY.
What is asked is written into FOLDER/asked, a line of JSON each; without the key the answer is 401. Says "ready"."""

import base64
import http.server
import json
import pathlib
import ssl
import subprocess
import sys
import threading

folder, address, key = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
HOSTS = ["api.example", "other.example", "query.example", "git.example"]
lock = threading.Lock()


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def authority():
    folder.mkdir(parents=True, exist_ok=True)
    ca, secret, asked, own, more = (folder / name for name in ("ca.pem", "ca.key", "host.csr", "host.pem", "more"))
    more.write_text("subjectAltName=" + ",".join(f"DNS:{host}" for host in HOSTS))
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=case",
        "-addext", "keyUsage=critical,keyCertSign", "-keyout", secret, "-out", ca)
    run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=host", "-keyout", folder / "host.key",
        "-out", asked)
    run("openssl", "x509", "-req", "-in", asked, "-CA", ca, "-CAkey", secret, "-CAcreateserial", "-days", "2",
        "-extfile", more, "-out", own)


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
        known = given in ([f"Bearer {key}"], [key], [basic]) or self.path.endswith("key=" + key)
        text = "welcome\n" if known else "who are you?\n"
        if self.path.startswith("/v1/echo"):
            text = json.dumps(head) + "\n"
        if self.path.startswith("/v1/away"):
            self.send_response(302)
            self.send_header("Location", "https://other.example/v1/tidings")
            text = ""
        else:
            self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


authority()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder / "host.pem", folder / "host.key")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def get_request(self):
        stream, whence = super().get_request()
        return context.wrap_socket(stream, server_side=True, do_handshake_on_connect=False), whence


server = Server((address, 443), Host)
print("ready", flush=True)
server.serve_forever()
