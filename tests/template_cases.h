/* template_cases.h - templates and what jinja2 makes of them, recorded; tests/external/check_template.c asks
 * it again.
 *
 * The conversation: the user says "What is 1+1? ", is answered "\u00e9\n2", and says "Sure?";
 * add_generation_prompt is true, bos_token "<s>", eos_token "</s>".
 */
#ifndef BROOD_TESTS_TEMPLATE_CASES_H
#define BROOD_TESTS_TEMPLATE_CASES_H

#include "model/chat.h"

static const struct chat_message template_messages[] = {
    {CHAT_USER, {"What is 1+1? ", 13}}, {CHAT_ASSISTANT, {"\xc3\xa9\n2", 4}}, {CHAT_USER, {"Sure?", 5}}};

static const struct template_case {
    const char *source, *wanted;
} template_cases[] = {
    {"{{ messages[0].content }}|{{ messages[0]['content'] }}|{{ messages[-1][\"role\"] }}",
     "What is 1+1? |What is 1+1? |user"},
    {"{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ "
     "loop.first }}{{ loop.last }}{{ loop.length }}{% endfor %}",
     "1032TrueFalse32121FalseFalse33210FalseTrue3"},
    {"{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined else '-' }}{{ loop.nextitem "
     "is defined }}{{ loop.cycle('x', 'y') }}{{ loop.changed(m.role) }}{% endfor %}",
     "-TruexTrueuserTrueyTrueassistantFalsexTrue"},
    {"{% for m in messages if m.role == 'user' %}{{ loop.length }}{{ m.content|trim }}{% else %}none{% "
     "endfor %}",
     "2What is 1+1?2Sure?"},
    {"{% for x in [] %}a{% else %}b{% endfor %}{% for c in '\xc3\xa4"
     "b' %}<{{ c }}>{% endfor %}",
     "b<\xc3\xa4><b>"},
    {"{% for k, v in {'b': 1, 'A': [2, 'c']}|dictsort %}{{ k }}={{ v }};{% endfor %}{% for k in {'b': 1} "
     "%}{{ k }}{% endfor %}",
     "A=[2, 'c'];b=1;b"},
    {"{% for i in range(3) %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}{% for i in range(9) "
     "%}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}",
     "0201"},
    {"{% set x = 1 %}{% for i in range(2) %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}", "221"},
    {"{% set ns = namespace(x=1, y='a') %}{% for i in range(2) %}{% set ns.x = ns.x + 1 %}{% endfor %}{{ "
     "ns.x }}{{ ns.y }}",
     "3a"},
    {"{% set a, b = 1, 'z' %}{{ a }}{{ b }}{% set c = (1, 2) %}{{ c }}{{ (1,) }}{{ () }}", "1z(1, 2)(1,)()"},
    {"{% set x %} in {{ 1 + 1 }} {% endset %}[{{ x }}]{% set y | trim | upper %} ab {% endset %}[{{ y }}]",
     "[ in 2 ][AB]"},
    {"{% if messages %}a{% elif true %}b{% else %}c{% endif %}{% if not messages %}a{% elif none %}b{% else "
     "%}c{% endif %}",
     "ac"},
    {"{% macro f(a, b='d', c=none) %}<{{ a }},{{ b }},{{ c }}>{% endmacro %}{{ f(1) }}{{ f('x', c=2) }}{{ "
     "f(b=3, a=messages|length) }}{{ f() }}",
     "<1,d,None><x,d,2><3,3,None><,d,None>"},
    {"{% macro g(n) %}{{ n }}{% if n > 0 %}{{ g(n - 1) }}{% endif %}{% endmacro %}{{ g(3) }}{% set n = 7 "
     "%}{{ g(0) }}{{ n }}",
     "321007"},
    {"{% set t = 'out' %}{% macro h() %}{{ t }}{% endmacro %}{% for t in ['in'] %}{{ h() }}{{ t }}{% endfor "
     "%}{% set t = 'new' %}{{ h() }}",
     "outinnew"},
    {"{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}", "1"},
    {"{% filter upper | replace('A', 'o') %}a{{ 'b' }}{% endfilter %}", "oB"},
    {"{% generation %}{% set x = 1 %}a{{ x }}{% endgeneration %}{{ x }}", "a1"},
    {"{% raw %}{{ x }}{% if %}{% endraw %}|{%- raw %} a {% endraw -%} b", "{{ x }}{% if %}| a b"},
    {"a {%- if true -%} b {%- endif -%} c {{- ' d ' -}} e {#- f -#} g", "abc d eg"},
    {"{{ 1 + 2 * 3 - 4 }}{{ 7 // 2 }}{{ -7 // 2 }}{{ 7 % 3 }}{{ -7 % 3 }}{{ 2 ** 5 }}{{ -2 ** 2 }}{{ +3 }}",
     "33-4123243"},
    {"{{ 'a' + 'b' }}{{ 'a' ~ 1 ~ none ~ true ~ [1] }}{{ 'ab' * 2 }}{{ [1] * 2 + [3] }}{{ 2 * 'x' }}",
     "aba1NoneTrue[1]abab[1, 1, 3]xx"},
    {"{{ 1 < 2 }}{{ 1 < 2 < 3 }}{{ 3 > 2 > 2 }}{{ 'a' < 'b' }}{{ 1 == true }}{{ (1 == 1) == true }}{{ 'a' != "
     "'b' }}{{ [1, 2] == [1, 2] }}{{ (1, 2) == [1, 2] }}",
     "TrueTrueFalseTrueTrueTrueTrueTrueFalse"},
    {"{{ 'a' in 'bab' }}{{ 1 in [1] }}{{ 'x' not in {'x': 1} }}{{ 'user' in messages[0] }}{{ 2 in (1, 2) }}",
     "TrueTrueFalseFalseTrue"},
    {"{{ 1 and 0 }}{{ '' or 'b' }}{{ not '' }}{{ none or false }}{{ 'a' if false }}{{ 'a' if true else 'b' "
     "}}{{ 'a' if 0 else 'b' if 1 else 'c' }}",
     "0bTrueFalseab"},
    {"{{ 'abcdef'[1:3] }}{{ 'abcdef'[-2:] }}{{ 'abcdef'[::-1] }}{{ 'abcdef'[::2] }}{{ "
     "'\xc3\xa4\xc3\xb6\xc3\xbc'[1] }}{{ '\xc3\xa4\xc3\xb6\xc3\xbc'[-1:] }}{{ 'abc'[5:] }}{{ 'abc'[2:0:-1] "
     "}}",
     "bceffedcbaace\xc3\xb6\xc3\xbc"
     "cb"},
    {"{{ [1, 2, 3, 4][1:] }}{{ [1, 2, 3][::-1] }}{{ [1, 2, 3][-1] }}{{ [1, 2][5] is defined }}{{ [1, 2, 3].1 "
     "}}{{ messages[::-1][0].role }}",
     "[2, 3, 4][3, 2, 1]3False2user"},
    {"{{ undefined_thing }}[{{ messages[9] }}][{{ messages[0].nothing }}]{{ undefined_thing is defined }}{{ "
     "(undefined_thing|default('d')) }}",
     "[][]Falsed"},
    {"{{ true }}{{ false }}{{ none }}{{ True }}{{ None }}{{ 12345678901 }}{{ [1, 'a', none, true, \"it's\", "
     "'q\"'] }}{{ {'a': 1, 2: [3]} }}",
     "TrueFalseNoneTrueNone12345678901[1, 'a', None, True, \"it's\", 'q\"']{'a': 1, 2: [3]}"},
    {"{{ 'a\\nb\\tc\\\\d\\'e\\x41\\u00e9\\U0001F600\\q' }}{{ \"x\" 'y' \"z\" }}",
     "a\nb\tc\\d'eA\xc3\xa9\xf0\x9f\x98\x80\\qxyz"},
    {"{{ 'a\\u200bb\\u00a0\\n' ~ ['a\\u200bb\\u00a0\xc3\xa9\\n\\x07'] }}",
     "a\xe2\x80\x8b"
     "b\xc2\xa0\n['a\\u200bb\\xa0\xc3\xa9\\n\\x07']"},
    {"{{ messages is iterable }}{{ messages is string }}{{ 'a' is string }}{{ {} is mapping }}{{ [] is "
     "sequence }}{{ 1 is number }}{{ true is number }}{{ true is integer }}{{ none is none }}{{ x is "
     "undefined }}{{ true is true }}{{ 1 is true }}{{ f is callable }}{{ range is callable }}",
     "TrueFalseTrueTrueTrueTrueTrueFalseTrueTrueTrueFalseTrueTrue"},
    {"{{ 3 is odd }}{{ 4 is even }}{{ 6 is divisibleby 3 }}{{ 1 is eq 1 }}{{ 1 is equalto(2) }}{{ 2 is gt 1 "
     "}}{{ 'a' is in 'abc' }}{{ 1 is not none }}{{ 'a' is lower }}{{ 'A' is upper }}{{ 1 is sameas 1 }}",
     "TrueTrueTrueTrueFalseTrueTrueTrueTrueTrueTrue"},
    {"{{ ' a '|trim }}{{ 'xax'|trim('x') }}{{ 'ab'|length }}{{ [1, 2]|count }}{{ "
     "'\xc3\xa4\xc3\xb6\xc3\xbc'|length }}{{ 'a'|upper }}{{ '\xc3\x89'|lower }}{{ 'hello "
     "wOrld-foo(bar'|title }}{{ 'aBC'|capitalize }}",
     "aa223A\xc3\xa9Hello World-Foo(BarAbc"},
    {"{{ [1, 2]|join(', ') }}{{ ['a']|join }}{{ 'abc'|join('-') }}{{ "
     "messages|map(attribute='role')|join('/') }}{{ messages|join(',', attribute='role') }}",
     "1, 2aa-b-cuser/assistant/useruser,assistant,user"},
    {"{{ messages|selectattr('role', 'equalto', 'user')|list|length }}{{ messages|rejectattr('role', 'in', "
     "['user'])|map(attribute='content')|list }}{{ [1, none, '']|select|list }}{{ [1, 2, "
     "3]|reject('odd')|list }}{{ [1, 'a']|select('string')|first }}",
     "2['\xc3\xa9\\n2'][1][2]a"},
    {"{{ ['b', 'A', 'c']|sort }}{{ [3, 1, 2]|sort(reverse=true) }}{{ [{'n': 2}, {'n': "
     "1}]|sort(attribute='n') }}{{ ['b', 'A']|sort(case_sensitive=true) }}{{ [1, 2]|reverse|list }}{{ "
     "'abc'|reverse }}{{ [1, 2]|last }}{{ []|first is defined }}",
     "['A', 'b', 'c'][3, 2, 1][{'n': 1}, {'n': 2}]['A', 'b'][2, 1]cba2False"},
    {"{{ '5'|int + 1 }}{{ 'x'|int }}{{ 'x'|int(7) }}{{ ' -3 '|int }}{{ true|int }}{{ 12|string + 'a' }}{{ "
     "none|default('d') }}{{ ''|default('d', true) }}{{ x|d('e') }}",
     "607-3112aNonede"},
    {"{{ 'a,b'|replace(',', ';') }}{{ 'aaa'|replace('a', 'b', 2) }}{{ 'ab'|list }}{{ {'a': 1}|items|list "
     "}}{{ {'a': 1}|list }}{{ ['a', 'b']|map('upper')|list }}",
     "a;bbba['a', 'b'][('a', 1)]['a']['A', 'B']"},
    {"{{ 'a\\nb\\n\\nc'|indent }}|{{ 'a\\nb'|indent(2, true) }}|{{ 'a\\n\\nb'|indent(width='> ', blank=true) "
     "}}",
     "a\n    b\n\n    c|  a\n  b|a\n> \n> b"},
    {"{{ messages[0]|tojson }}{{ {'a': [1, true, none, '\xc3\xa9\"\\\\\\n</x>']}|tojson }}{{ {'b': 1, 'a': "
     "{}}|tojson(indent=2) }}{{ []|tojson(indent=2) }}{{ {'b': 1, 'a': 2}|tojson(sort_keys=true, "
     "separators=(',', ':')) }}{{ '\xc3\xa9\xf0\x9f\x98\x80\\x7f'|tojson(ensure_ascii=true) }}",
     "{\"role\": \"user\", \"content\": \"What is 1+1? \"}{\"a\": [1, true, null, "
     "\"\xc3\xa9\\\"\\\\\\n</x>\"]}{\n  \"b\": 1,\n  \"a\": "
     "{}\n}[]{\"a\":2,\"b\":1}\"\\u00e9\\ud83d\\ude00\\u007f\""},
    {"{{ ('<' ~ [1]|tojson)|safe }}{{ 'x'|safe }}{{ 'x'|safe|trim }}", "<[1]xx"},
    {"{{ ' a b  c '.split() }}{{ 'a,b,,c'.split(',') }}{{ 'a,b,c'.split(',', 1) }}{{ 'a,b,c'.rsplit(',', 1) "
     "}}{{ ' a b c '.split(none, 1) }}{{ ' a b c '.rsplit(maxsplit=1) }}{{ ''.split() }}{{ ''.split(',') "
     "}}{{ 'a</t>b'.split('</t>')[-1] }}",
     "['a', 'b', 'c']['a', 'b', '', 'c']['a', 'b,c']['a,b', 'c']['a', 'b c '][' a b', 'c'][]['']b"},
    {"{{ '  a '.strip() }}|{{ '  a '.lstrip() }}|{{ '  a '.rstrip() }}|{{ 'xyax'.strip('xy') }}|{{ "
     "'\\n\\na\\n'.lstrip('\\n') }}|{{ '\xc3\xa9"
     "a\xc3\xa9'.rstrip('\xc3\xa9') }}",
     "a|a |  a|a|a\n|\xc3\xa9"
     "a"},
    {"{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith(('x', 'bc')) }}{{ 'abcab'.replace('ab', 'X') }}{{ "
     "'abab'.replace('b', '', 1) }}{{ 'ab'.replace('', '-') }}{{ 'abcab'.find('b') }}{{ '\xc3\xa4"
     "ab'.rfind('b') }}{{ 'x'.find('y') }}{{ 'banana'.count('an') }}{{ ','.join(['a', 'b']) }}",
     "TrueTrueXcXaab-a-b-12-12a,b"},
    {"{{ 'hello wORLD'.title() }}{{ 'hello wORLD'.capitalize() }}{{ 'Ab'.upper() }}{{ 'Ab'.lower() }}{{ "
     "'a\\nb\\r\\nc\\x0bd'.splitlines() }}{{ 'a\\nb\\n'.splitlines(true) }}{{ "
     "'prefix-a'.removeprefix('prefix-') }}{{ 'a.txt'.removesuffix('.txt') }}",
     "Hello WorldHello worldABab['a', 'b', 'c', 'd']['a\\n', 'b\\n']aa"},
    {"{{ messages[0].get('role') }}{{ messages[0].get('x') }}{{ messages[0].get('x', 'd') }}{% for k, v in "
     "messages[0].items() %}{{ k }}:{{ v }};{% endfor %}{{ messages[0].keys()|list }}{{ "
     "messages[0].values()|list }}{{ [1, 2, 1].count(1) }}{{ [1, 2].index(2) }}",
     "userNonedrole:user;content:What is 1+1? ;['role', 'content']['user', 'What is 1+1? ']21"},
    {"{{ strftime_now('%d %b %Y') }}{{ strftime_now('%Y-%m-%d') }}{{ strftime_now('%A, %B %d, %Y %H:%M:%S %p "
     "%j %%') }}{{ dict(a=1, b='x') }}",
     "26 Jul 20242024-07-26Friday, July 26, 2024 00:00:00 AM 208 %{'a': 1, 'b': 'x'}"},
    {"{{ tools is none }}{{ tools is defined }}{{ documents is none }}{{ custom_tools is defined }}{{ "
     "bos_token }}{{ eos_token }}{{ pad_token is defined }}{{ add_generation_prompt }}",
     "TrueTrueTrueFalse<s></s>FalseTrue"},
    {"{%- set x = messages|selectattr('role', 'equalto', 'nobody') %}{{ 'lazy' if x else 'none' }}{{ x|list "
     "}}{% for y in [1]|map('string') %}{{ y }}{% endfor %}",
     "lazy[]1"},
    {"{% set l = ['a', 'b']|reverse %}{% for x in l %}{{ x }}{% endfor %}{% for x in l %}{{ x }}{% endfor %}",
     "ba"},
    {"{{ raise_exception('no') if false else 'yes' }}{{ messages[0].content.split('1')[0].strip().upper() "
     "}}{{ (messages|length + 1)|string|length }}{{ not messages is string and true }}",
     "yesWHAT IS1True"},
    {"  {% if true %}  \n  x\n  {% endif %}\ny {% if true %}z{% endif %}\n", "  \n  x\ny z"},
    {"  {%+ if true %}a{% endif +%}\nb\n", "  a\nb"},
    {"{{ 'a' }}\n{{ 'b' }}\n{# c #}\n{# d #} e\n\n", "a\nb\n e\n"},
    {"\t{% set x = 1 %}\t\n{{ x }}   {# f #}\r\n  {%- if x %}\r\n  g\r\n  {%- endif %}\r\n", "\t\n1     g"},
    {"\n\n{% if true %}\n\na\n\n{% endif %}\n\nb", "\n\n\na\n\n\nb"},
    {"{% for m in messages %}\n    {%- if m.role == 'user' %}\n        {{- '[' + m.content + ']' }}\n    {% "
     "else %}\n        x\n    {%- endif %}\n{% endfor %}\n",
     "[What is 1+1? ]\n        x[Sure?]\n"},
};

#endif
