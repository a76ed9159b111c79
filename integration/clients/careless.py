"""A server of the newer MCP that asks whatever its client declares, keeps its state as it is with its client,
and believes whatever state comes back."""

import json
import sys

for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    params = asked.get("params", {})
    arguments = params.get("arguments", {})
    if asked["method"] == "tools/list":
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("pay", "look")]
        result = {"tools": tools}
    elif asked["method"] != "tools/call":
        result = {}
    elif "requestState" in params:
        told = {"state": params["requestState"], "answers": params.get("inputResponses")}
        result = {"content": [{"type": "text", "text": "believed " + json.dumps(told)}]}
    else:
        method = arguments.get("ask", "elicitation/create")
        question = {"method": method, "params": {"message": "Really?"}}
        result = {"resultType": "input_required", "inputRequests": {"sure": question},
                  "requestState": "payer=" + str(arguments.get("who"))}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
