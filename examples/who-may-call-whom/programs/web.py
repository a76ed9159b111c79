"""Fetches pages. It has a network where its caller was given one."""

from urllib.request import urlopen

from mcp import serve


def fetch(url):
    """The text of a page."""
    with urlopen(url, timeout=10) as page:
        return page.read(65536).decode(errors="replace")


serve({"fetch": fetch})
