"""What the hosts of a case have in common: an authority that is made here, and serving over TLS with its certificate."""

import http.server
import ssl
import subprocess


def run(*words, cwd=None):
    subprocess.run(words, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def authority(folder, names):
    """ca.pem, and a host.pem with host.key for these names."""
    folder.mkdir(parents=True, exist_ok=True)
    ca, key, asked, own, more = (folder / name for name in ("ca.pem", "ca.key", "host.csr", "host.pem", "more"))
    more.write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in names))
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=case",
        "-addext", "keyUsage=critical,keyCertSign", "-keyout", key, "-out", ca)
    run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=host", "-keyout", folder / "host.key",
        "-out", asked)
    run("openssl", "x509", "-req", "-in", asked, "-CA", ca, "-CAkey", key, "-CAcreateserial", "-days", "2",
        "-extfile", more, "-out", own)


def serve(folder, address, handler):
    """Says "ready", and serves until it is killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "host.pem", folder / "host.key")

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self):
            stream, whence = super().get_request()
            # The handshake is the thread's, so that one client does not hold up the others.
            return context.wrap_socket(stream, server_side=True, do_handshake_on_connect=False), whence

        def handle_error(self, request, whence):
            # Whoever does not trust the certificate goes without a word.
            pass

    server = Server((address, 443), handler)
    print("ready", flush=True)
    server.serve_forever()
