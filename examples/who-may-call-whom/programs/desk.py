"""An agent that knows what was noted, and cannot look anything up."""

from mcp import call

print("in short:", call("digest", "summarize", path="today.md"))
try:
    print("looked up:", call("digest", "look_up", url="http://localhost/"))
except RuntimeError as error:
    print("not looked up:", error)
