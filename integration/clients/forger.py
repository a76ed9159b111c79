"""An agent that tries to have what was asked of one call answered for another.
`forger.py`; what it was answered is written as JSON, attempt by attempt."""

import json
import subprocess

META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "x", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}, "sampling": {}}}


class Edge:
    def __init__(self, name):
        words = ["/run/sandboxd/sandboxd", "connect", name]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.id = 0

    def call(self, tool, arguments, **more):
        self.id += 1
        params = {"name": tool, "arguments": arguments, "_meta": META, **more}
        asked = {"jsonrpc": "2.0", "id": self.id, "method": "tools/call", "params": params}
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def state(self, arguments):
        """What is kept with its caller of a call that asks."""
        return self.call("pay", arguments)["result"]["requestState"]


def tell(what, answer):
    print(json.dumps({"what": what, "answer": answer}), flush=True)


ANSWERS = {"sure": {"action": "accept"}}
ME, YOU = {"who": "me"}, {"who": "you"}
edge, other, twin = Edge("careless"), Edge("careless"), Edge("same")
tell("asked", edge.call("pay", ME))
tell("right", edge.call("pay", ME, requestState=edge.state(ME), inputResponses=ANSWERS))
state = edge.state(ME)
edge.call("pay", ME, requestState=state, inputResponses=ANSWERS)
tell("replayed", edge.call("pay", ME, requestState=state, inputResponses=ANSWERS))
tell("changed", edge.call("pay", YOU, requestState=edge.state(ME), inputResponses=ANSWERS))
tell("another tool", edge.call("look", ME, requestState=edge.state(ME), inputResponses=ANSWERS))
# The other is asked until it has one by the same name, of another call.
state = edge.state(ME)
for _ in range(32):
    if other.state(YOU) == state:
        break
tell("another connection", other.call("pay", ME, requestState=state, inputResponses=ANSWERS))
tell("another edge", twin.call("pay", ME, requestState=state, inputResponses=ANSWERS))
tell("forged", edge.call("pay", ME, requestState="payer=you", inputResponses=ANSWERS))
tell("no state", edge.call("pay", ME, inputResponses=ANSWERS))
answers = {**ANSWERS, "more": {}}
tell("unasked", edge.call("pay", ME, requestState=edge.state(ME), inputResponses=answers))
tell("no leave", edge.call("pay", {"ask": "sampling/createMessage"}))
tell("no question", edge.call("pay", {"ask": "tools/call"}))
tell("no leave at all", twin.call("pay", ME))
