"""A file server for the folder /notes. What it may do there, its caller's edge decides."""

import os

from mcp import serve


def read_text_file(path):
    """The text of a note."""
    with open(os.path.join("/notes", path), encoding="utf-8") as note:
        return note.read()


def list_directory():
    """The names of all notes."""
    return "\n".join(sorted(os.listdir("/notes")))


def write_file(path, text):
    """Writes a note."""
    with open(os.path.join("/notes", path), "w", encoding="utf-8") as note:
        note.write(text)
    return f"wrote {path}"


serve({"read_text_file": read_text_file, "list_directory": list_directory, "write_file": write_file})
