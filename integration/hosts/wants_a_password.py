"""A host of git repositories over TLS that wants a password for everything: wants_a_password.py FOLDER ADDRESS PASSWORD NAME.
Serves FOLDER/repository.git, which it makes, by git's own http-backend. Who asked as whom is written into FOLDER/asked.
Says "ready"."""

import base64
import http.server
import os
import pathlib
import subprocess
import sys
import threading

from tls import authority, run, serve

folder, address, password, name = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
wanted = "Basic " + base64.b64encode(f"agent:{password}".encode()).decode()
lock = threading.Lock()


class Host(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        given = self.headers.get_all("Authorization") or []
        with lock, open(folder / "asked", "a") as out:
            out.write(f"{self.command} {self.path} {'known' if given == [wanted] else given}\n")
        if given != [wanted]:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="case"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        known = {"GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
                 "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                 "CONTENT_LENGTH": str(len(body)), "REMOTE_USER": "agent",
                 "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                 "GIT_PROTOCOL": self.headers.get("Git-Protocol", "")}
        ran = subprocess.run(["git", "http-backend"], input=body, stdout=subprocess.PIPE, env={**os.environ, **known})
        head, _, text = ran.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
        status = next((value for field, value in fields if field == "Status"), "200")
        self.send_response(int(status.split()[0]))
        for field, value in fields:
            if field != "Status":
                self.send_header(field, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


authority(folder, [name])
run("git", "init", "--bare", "-b", "main", folder / "repository.git")
serve(folder, address, Host)
