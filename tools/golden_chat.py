#!/usr/bin/env python3
"""Writes src/tokenizer/testdata/chats.json: chat templates in the style of the model families, and
what Python's Jinja2, set up as model hubs set it up, renders with them.   Needs: pip install jinja2
"""
import json
import pathlib

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

TEMPLATES = {
    "chatml": "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\nBe lean.<|im_end|>\n{% endif %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "llama3": "{% set ns = namespace(first=true) %}{% for m in messages %}{% set c = '<|start|>' ~ m.role ~ '<|stop|>\n\n' ~ m.content | trim ~ '<|eot|>' %}{% if ns.first %}{% set c = bos_token + c %}{% set ns.first = false %}{% endif %}{{ c }}{% endfor %}{% if add_generation_prompt %}<|start|>assistant<|stop|>\n\n{% endif %}",
    "gemma": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set lead = messages[0]['content'] + '\n\n' %}{% set rest = messages[1:] %}{% else %}{% set lead = '' %}{% set rest = messages %}{% endif %}{% for m in rest %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}<turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ (lead if loop.first else '') + m.content | trim }}</turn>\n{% endfor %}{% if add_generation_prompt %}<turn>model\n{% endif %}",
    "mistral": "{{ bos_token }}\n{%- for m in messages %}\n  {%- if m.role == 'user' %}\n    [INST] {{ m.content }} [/INST]\n  {%- elif m.role == 'assistant' %}\n    {{- ' ' + m.content.strip() + eos_token }}\n  {%- endif %}\n{%- endfor %}\n",
    "qwen3": "{%- if tools %}TOOLS{{ tools | tojson }}{%- endif %}\n{%- for m in messages[::-1] %}{%- if m.role == 'user' %}LAST{{ (messages | length - 1) - loop.index0 }}{% break %}{%- endif %}{%- endfor %}\n{%- for m in messages %}\n{%- set content = m.content %}\n{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}\n{{- '<' + m.role.upper() + '>' + content }}{{ m | tojson }}\n{%- endfor %}\n",
    "phi3": "{% for m in messages if m.role in ['user', 'assistant'] %}{{ '<|' + m['role'] + '|>\n' + m['content'].replace('a', 'A') + '<|end|>\n' }}{% endfor %}{% macro tail(x) %}{{ x.title() }}|{% endmacro %}{{ tail('add more') }}{{ strftime_now('%Y') | length }}",
    "zephyr": "{% for m in messages %}\n{% if m['role'] == 'user' %}\n{{ '<|user|>\n' + m['content'] + eos_token }}\n{% elif m['content'].startswith('x') and not m.content is none %}\nX{{ loop.last }}\n{% else %}\n  {{- m.content | upper | first }}{{ m.get('name', 'no name') }}{% for k, v in m.items() %}{{ k }}={{ v | length }};{% endfor %}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    "refuses": "{% for m in messages %}{% if m.role == 'assistant' %}{{ raise_exception('no ' + m.role) }}{% endif %}{% endfor %}ok",
}  # fmt: skip
MESSAGES = [
    [{"role": "user", "content": "hi"}],
    [{"role": "system", "content": "Seja enxuto."}, {"role": "user", "content": " olá \n"}],
    [{"role": "user", "content": "a\"b\\c\t<é>"}, {"role": "assistant", "content": "<think>x</think>\n\nyes"},
     {"role": "user", "content": "👍🏽 and & so 'on'"}],
    [],
]  # fmt: skip


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def main():
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])  # fmt: skip
    environment.filters["tojson"] = lambda x, indent=None: json.dumps(x, ensure_ascii=False, indent=indent)
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda format: "2026"
    out = []
    for name, source in TEMPLATES.items():
        template = environment.from_string(source)
        for messages in MESSAGES:
            for prompt in (False, True):
                try:
                    text = template.render(messages=messages, add_generation_prompt=prompt,
                                           bos_token="<s>", eos_token="<|im_end|>")  # fmt: skip
                except jinja2.exceptions.TemplateError:
                    text = None
                except Exception:  # an undefined value used: no golden
                    continue
                out.append({"name": name, "source": source, "messages": messages, "prompt": prompt, "text": text})
    target = pathlib.Path(__file__).resolve().parent.parent / "src/tokenizer/testdata/chats.json"
    target.write_text(json.dumps(out, ensure_ascii=False, indent=0) + "\n")
    print(target, len(out), "renderings,", target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
