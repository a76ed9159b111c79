"""As much of MCP as this example needs: to be called, and to call."""

import json
import subprocess
import sys


def serve(tools):
    """Answers on standard output what is asked on standard input. `tools` are functions by name."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" not in asked:
            continue
        method, params = asked["method"], asked.get("params", {})
        if method == "initialize":
            result = {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "example", "version": "1"},
            }
        elif method == "tools/list":
            result = {"tools": [described(name, tool) for name, tool in tools.items()]}
        else:
            result = called(tools[params["name"]], params.get("arguments", {}))
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)


def described(name, tool):
    names = tool.__code__.co_varnames[: tool.__code__.co_argcount]
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    return {"name": name, "description": tool.__doc__, "inputSchema": schema | {"required": list(names)}}


def called(tool, arguments):
    try:
        return {"content": [{"type": "text", "text": tool(**arguments)}]}
    except Exception as error:  # whoever called is told, and goes on
        return {"content": [{"type": "text", "text": str(error)}], "isError": True}


def call(edge, tool, **arguments):
    """Calls a tool of what the profile calls so. Who calls is the sandbox that this runs in."""
    words = ["/run/sandboxd/sandboxd", "call", edge, tool, json.dumps(arguments)]
    ran = subprocess.run(words, capture_output=True, text=True)
    if ran.returncode != 0:
        raise RuntimeError((ran.stdout + ran.stderr).strip())
    return ran.stdout.removesuffix("\n")
