"""Renders conversations with jinja2 as Hugging Face does.

In: JSON lines of (template, messages, add_generation_prompt). Out: JSON strings.
"""
import json
import sys

from jinja2.exceptions import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


def raise_exception(message):
    raise TemplateError(message)


environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
environment.globals["raise_exception"] = raise_exception
environment.filters["tojson"] = lambda x, indent=None: json.dumps(x, ensure_ascii=False, indent=indent)

for line in sys.stdin:
    case = json.loads(line)
    text = environment.from_string(case["template"]).render(
        messages=case["messages"], add_generation_prompt=case["add_generation_prompt"],
        bos_token="<|begin_of_text|>", date_string="26 Jul 2024")
    print(json.dumps(text), flush=True)
