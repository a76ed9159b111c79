"""Hosts of an internet of one's own: packages for pip, npm and cargo, a repository for git, and a file, over
TLS with certificates of an authority that is made here. serve.py FOLDER ADDRESS; says "ready", and serves
until it is killed."""

import hashlib
import http.server
import io
import json
import pathlib
import sys
import tarfile
import zipfile

from tls import authority, run, serve

folder, address = pathlib.Path(sys.argv[1]), sys.argv[2]
HOSTS = ["api.example", "pypi.example", "npm.example", "git.example", "crates.example", "evil.example"]


def put(path, content):
    path = folder / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def packed(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def pypi():
    wheel = io.BytesIO()
    about = "tidings-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as out:
        out.writestr("tidings.py", "WHAT = 'tidings from pypi'\n")
        out.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tidings\nVersion: 1.0\n")
        out.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: case\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        out.writestr(f"{about}/RECORD", f"tidings.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    name = "tidings-1.0-py3-none-any.whl"
    put(f"pypi.example/files/{name}", wheel.getvalue())
    put("pypi.example/simple/tidings/index.html", f'<a href="/files/{name}">{name}</a>')


def npm():
    about = {"name": "tidings", "version": "1.0.0", "main": "index.js"}
    tarball = packed({
        "package/package.json": json.dumps(about),
        "package/index.js": "module.exports = 'tidings from npm'\n",
    })
    put("npm.example/files/tidings-1.0.0.tgz", tarball)
    about["dist"] = {
        "tarball": "https://npm.example/files/tidings-1.0.0.tgz",
        "shasum": hashlib.sha1(tarball).hexdigest(),
    }
    document = {"name": "tidings", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": about}}
    put("npm.example/tidings/index.html", json.dumps(document))


def git():
    work = folder / "work"
    put("work/README", "tidings from git\n")
    run("git", "init", "-b", "main", ".", cwd=work)
    run("git", "add", ".", cwd=work)
    run("git", "-c", "user.name=case", "-c", "user.email=case@example.com", "commit", "-m", "tidings", cwd=work)
    (folder / "git.example").mkdir()
    run("git", "clone", "--bare", work, folder / "git.example/tidings.git")
    run("git", "update-server-info", cwd=folder / "git.example/tidings.git")


def crates():
    about = '[package]\nname = "tidings"\nversion = "1.0.0"\nedition = "2021"\n'
    crate = packed({"tidings-1.0.0/Cargo.toml": about, "tidings-1.0.0/src/lib.rs": "// tidings from crates\n"})
    put("crates.example/dl/tidings/1.0.0/download", crate)
    put("crates.example/index/config.json", json.dumps({"dl": "https://crates.example/dl"}))
    entry = {"name": "tidings", "vers": "1.0.0", "deps": [], "features": {}, "yanked": False,
             "cksum": hashlib.sha256(crate).hexdigest()}
    put("crates.example/index/ti/di/tidings", json.dumps(entry) + "\n")


class Host(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def translate_path(self, path):
        # Each host has a folder of its name.
        self.directory = str(folder / self.headers["Host"].split(":")[0])
        return super().translate_path(path)

    def log_message(self, *_):
        pass


authority(folder, HOSTS)
put("api.example/tidings", "tidings from api\n")
put("evil.example/tidings", "tidings from evil\n")
for make in (pypi, npm, git, crates):
    make()
serve(folder, address, Host)
