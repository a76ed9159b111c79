"""A model's API, for whoever has the key: the formats of OpenAI and of Anthropic, streams too.

models.py KEY listens on loopback, and the port is the first line that is written; models.py KEY FOLDER ADDRESS NAMES
serves these names over TLS, see tls.py. The key has to be the only one that is shown. An answer has as many words as
it may have tokens, and each word is one.
"""

import json
import pathlib
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tls import authority, serve

KEY = sys.argv[1]
CACHED = {"prompt_tokens_details": {"cached_tokens": 8}}
NOBODY = {"type": "error", "error": {"message": "wrong key", "type": "authentication_error", "code": "wrong"}}


def chat(body, words):
    """OpenAI's chat completions: 20 tokens in, 8 of them from a cache."""
    usage = {"prompt_tokens": 20, "completion_tokens": words, "total_tokens": 20 + words, **CACHED}
    base = {"id": "c", "created": 1, "model": "small-1", "object": "chat.completion"}
    if not body.get("stream"):
        said = {"role": "assistant", "content": "word " * words}
        choice = {"index": 0, "finish_reason": "stop", "message": said}
        return {**base, "choices": [choice], "usage": usage}
    base["object"] = "chat.completion.chunk"

    def events():
        for _ in range(words):
            choice = {"index": 0, "delta": {"content": "word"}}
            yield None, {**base, "choices": [choice], "usage": None}
        if (body.get("stream_options") or {}).get("include_usage"):
            yield None, {**base, "choices": [], "usage": usage}
        yield None, "[DONE]"

    return events()


def respond(body, words):
    """OpenAI's responses: 30 tokens in."""
    said = {"type": "output_text", "text": "word " * words, "annotations": []}
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [said]}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {"input_tokens": 30, "output_tokens": words, "total_tokens": 30 + words, **details}
    whole = {"id": "r", "object": "response", "created_at": 1, "model": "small-1", "status": "completed"}
    whole |= {"output": [message], "usage": usage, "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    if not body.get("stream"):
        return whole
    delta = {"item_id": "m", "output_index": 0, "content_index": 0, "delta": "word"}
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    events = [("created", {"response": begun}), ("output_text.delta", delta), ("completed", {"response": whole})]
    return (
        (f"response.{kind}", {"type": f"response.{kind}", "sequence_number": number, **data})
        for number, (kind, data) in enumerate(events)
    )


def message(body, words):
    """Anthropic's messages: 10 tokens in, 5 from a cache, 1 into it."""
    usage = {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 1}
    whole = {"id": "m", "type": "message", "role": "assistant", "model": "claude-x", "stop_sequence": None}
    text = {"type": "text", "text": "word " * words}
    if not body.get("stream"):
        return {**whole, "content": [text], "stop_reason": "end_turn", "usage": {**usage, "output_tokens": words}}

    def events():
        begun = {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
        yield "message_start", {"message": begun}
        yield "content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}
        for _ in range(words):
            yield "content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "word"}}
        yield "content_block_stop", {"index": 0}
        end = {"stop_reason": "end_turn", "stop_sequence": None}
        yield "message_delta", {"delta": end, "usage": {"output_tokens": words}}
        yield "message_stop", {}

    return ((name, {"type": name, **data}) for name, data in events())


def embed(_body, _words):
    """OpenAI's embeddings: 4 tokens in."""
    data = [{"object": "embedding", "index": 0, "embedding": [0.5] * 8}]
    return {"object": "list", "model": "embed-1", "data": data, "usage": {"prompt_tokens": 4, "total_tokens": 4}}


PATHS = {
    "/v1/chat/completions": chat,
    "/v1/responses": respond,
    "/v1/messages": message,
    "/v1/embeddings": embed,
}


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, events):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for name, data in events:
            text = data if isinstance(data, str) else json.dumps(data)
            event = (f"event: {name}\n" if name else "") + f"data: {text}\n\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event.encode()))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        shown = [value for name in ("x-api-key", "authorization") for value in self.headers.get_all(name, [])]
        if [value.removeprefix("Bearer ") for value in shown] != [KEY]:
            return self.answer(401, NOBODY)
        made = PATHS[self.path.split("?")[0]](body, body.get("max_tokens") or 5)
        try:
            return self.answer(200, made) if isinstance(made, dict) else self.stream(made)
        except (BrokenPipeError, ConnectionResetError):
            # Whoever asked wants no more.
            self.close_connection = True


if sys.argv[2:]:
    folder, address, names = pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4:]
    authority(folder, names)
    serve(folder, address, Api)
server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
server.daemon_threads = True
# Whoever is told that there is no more goes without a word.
server.handle_error = lambda *_: None
print(server.server_port, flush=True)
server.serve_forever()
