"""A service that answers whoever has its key, which it makes when it starts: the file `key`, for its owner alone.

It knows nothing of sandboxd. `service.py [PORT]`; 0 is any port."""

import http.server
import os
import pathlib
import secrets
import sys

FILE = pathlib.Path(__file__).with_name("key")
KEY = "tides-" + secrets.token_urlsafe(24)


class Service(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        shown = self.headers.get_all("Authorization", [])
        known = shown == [f"Bearer {KEY}"]
        said = {"/v1/tides": "high at 05:12 and 17:38", "/v1/whoami": f"you sent {', '.join(shown)}"}
        body = said.get(self.path, "there is no such thing") if known else "who are you?"
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_DELETE = do_GET

    def log_message(self, *_):
        pass


FILE.unlink(missing_ok=True)
with open(os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
    file.write(KEY)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8460), Service)
print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
