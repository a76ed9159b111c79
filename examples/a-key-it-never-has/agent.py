"""An agent that uses a service, and then looks for the key that it used. It knows nothing of sandboxd."""

import glob
import os
import urllib.error
import urllib.request

SERVICE = "http://host.internal:8460"


def ask(method, path, **fields):
    request = urllib.request.Request(SERVICE + path, method=method, headers=fields)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as refused:
        return f"{refused.code} {refused.read().decode()}"


def holds(path):
    """Whether a key of this service's is in a file: they all begin alike, and have 32 characters more."""
    try:
        with open(path, "rb") as file:
            rests = file.read().split(b"tides-")[1:]
    except OSError:
        return False
    return any(rest[:32].replace(b"-", b"").replace(b"_", b"").isalnum() and len(rest) >= 32 for rest in rests)


print("== its work")
print("the tides:", ask("GET", "/v1/tides"))

print("\n== with a key of its own, which does not go on")
print("the tides:", ask("GET", "/v1/tides", Authorization="Bearer mine"))

print("\n== what the key is not for")
print("another path:", ask("GET", "/v2/everything"))
print("another method:", ask("DELETE", "/v1/tides"))

print("\n== to have the key said back")
print("the service says:", ask("GET", "/v1/whoami"))

print("\n== to find it")
places = ["/run", "/tmp", "/etc", os.path.expanduser("~")]
files = [os.path.join(folder, name) for place in places for folder, _, names in os.walk(place) for name in names]
files += glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline")
found = [path for path in files if holds(path)]
print("in files, variables and arguments:", ", ".join(found) or "nowhere")
