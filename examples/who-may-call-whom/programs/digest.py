"""The aggregator: it does for others what it has tools for."""

from mcp import call, serve


def summarize(path):
    """The first line of a note."""
    return call("notes", "read_text_file", path=path).splitlines()[0]


def look_up(url):
    """What a page says."""
    return call("web", "fetch", url=url)


serve({"summarize": summarize, "look_up": look_up})
