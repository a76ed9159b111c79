"""The official clients of OpenAI and Anthropic for Python: each way to ask, until there is no more."""

import sys

import anthropic
import openai

OPENAI, ANTHROPIC, KEY = sys.argv[1:]
ASKED = [{"role": "user", "content": "hi"}]


def say(name, ask):
    try:
        print(name, ask(), flush=True)
    except (openai.APIError, anthropic.APIError) as error:
        why = "budget" if "the budget of agent is used up" in str(error) else "other"
        print(name, getattr(error, "status_code", None) or "broken off", why, flush=True)


of_openai = openai.OpenAI(base_url=f"{OPENAI}/v1", api_key=KEY)
of_anthropic = anthropic.Anthropic(base_url=ANTHROPIC, api_key=KEY)


def chat(**more):
    return of_openai.chat.completions.create(model="small", messages=ASKED, max_tokens=5, **more)


def spoken(words=5, **more):
    said = of_openai.chat.completions.create(
        model="small", messages=ASKED, max_tokens=words, stream=True, **more
    )
    return sum(part.choices[0].delta.content == "word" for part in said if part.choices)


def claude():
    with of_anthropic.messages.stream(model="claude", max_tokens=5, messages=ASKED) as said:
        return sum(text == "word" for text in said.text_stream)


def message():
    return of_anthropic.messages.create(model="claude", max_tokens=5, messages=ASKED).usage.output_tokens


def responded(**more):
    return of_openai.responses.create(model="small", input="hi", **more)


def embedded():
    made = of_openai.embeddings.create(model="embed", input="hi", encoding_format="float")
    return len(made.data[0].embedding)


def stranger():
    nobody = openai.OpenAI(base_url=f"{OPENAI}/v1", api_key="another")
    return nobody.chat.completions.create(model="small", messages=ASKED).usage.total_tokens


say("stranger", stranger)
say("chat", lambda: chat().usage.total_tokens)
say("chat stream", lambda: spoken(stream_options={"include_usage": True}))
say("chat stream without usage", spoken)
say("response", lambda: responded().usage.total_tokens)
say("response stream", lambda: [event.type for event in responded(stream=True)][-1])
say("embedding", embedded)
say("message", message)
say("message stream", claude)
say("in the background", lambda: responded(background=True).id)
say("files", lambda: of_openai.files.list())
say("without end", lambda: spoken(words=1_000_000))
say("after", lambda: chat().usage.total_tokens)
say("message after", message)
