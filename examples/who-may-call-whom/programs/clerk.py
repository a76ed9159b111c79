"""An agent that keeps the notes."""

import sys

from mcp import call

print(call("notes", "write_file", path="today.md", text="call the harbour master\nand the pilot\n"))
print("in short:", call("digest", "summarize", path="today.md"))
for url in sys.argv[1:]:
    print("looked up:", call("digest", "look_up", url=url))
