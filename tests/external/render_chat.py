"""Renders conversations with jinja2 as Hugging Face does.

In: JSON lines of (template, messages, add_generation_prompt). Out: JSON lines of {"text": T} or {"error": E}.
"""
import datetime
import json
import sys

import jinja2
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    """The tag that marks what the assistant wrote: only its body counts here."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise TemplateError(message)


def to_json(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


environment = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
environment.globals["raise_exception"] = raise_exception
environment.globals["strftime_now"] = datetime.datetime(2024, 7, 26).strftime
environment.filters["tojson"] = to_json
compiled = {}

for line in sys.stdin:
    case = json.loads(line)
    template = case.pop("template")
    try:
        if template not in compiled:
            compiled[template] = environment.from_string(template)
        answer = {"text": compiled[template].render(tools=None, documents=None, **case)}
    except Exception as e:  # whatever a template makes Python raise
        answer = {"error": type(e).__name__ + ": " + str(e)}
    print(json.dumps(answer), flush=True)
