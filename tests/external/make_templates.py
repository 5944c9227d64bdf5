"""make_templates.py SEED N: random templates over the constructs that are interpreted, a JSON string a line.

They are written at random from a grammar, so most make little sense; what counts is that both interpreters make
the same of them.
"""
import json
import random
import sys

rng = random.Random(int(sys.argv[1]))
names = ["x", "y", "ns.a", "messages", "message", "m.content", "messages[0]", "messages[-1].role", "nothing", "loop"]
texts = ["''", "'a'", "'ab c'", "\"it's\"", "' \\n x \\t'", "'é—ü'", "'A-b(C'", "'a,b,,c'", "'<|im_end|>'", "'12'", "'\\\\'"]


def pick(*options):
    return rng.choice(options)


def leaf():
    return pick(
        lambda: rng.choice(names), lambda: rng.choice(names), lambda: rng.choice(texts), lambda: rng.choice(texts),
        lambda: str(rng.randint(-3, 12)), lambda: pick("true", "false", "none", "True", "None"))()


def atom():
    return pick(
        leaf, leaf, leaf, lambda: "[%s]" % ", ".join(leaf() for _ in range(rng.randint(0, 3))), lambda: "(%s, %s)" % (leaf(), leaf()),
        lambda: "{'a': %s, 'b': %s}" % (leaf(), leaf()), lambda: "(%s)" % filtered(leaf()), lambda: "range(%d)" % rng.randint(0, 4))()


def postfix(e):
    return e + pick(
        lambda: "[%d]" % rng.randint(-3, 3), lambda: "[%s:%s]" % (maybe_int(), maybe_int()),
        lambda: "[%s:%s:%s]" % (maybe_int(), maybe_int(), pick("", "2", "-1", "-2")), lambda: ".a", lambda: "['b']", lambda: ".role",
        lambda: ".%s()" % pick("strip", "lstrip", "rstrip", "upper", "lower", "title", "capitalize", "split", "splitlines", "items",
                               "keys", "values"),
        lambda: ".%s(%s)" % (pick("split", "rsplit", "strip", "lstrip", "rstrip", "startswith", "endswith", "count", "find", "rfind",
                                  "join", "get", "removeprefix", "removesuffix"), expr(0)),
        lambda: ".%s(%s, %s)" % (pick("replace", "split", "rsplit", "get"), expr(0), expr(0)))()


def filtered(e):
    return e + "|" + pick(
        lambda: pick("trim", "length", "upper", "lower", "title", "capitalize", "string", "list", "first", "last", "reverse", "items",
                     "join", "tojson", "int", "sort", "dictsort", "default", "indent", "list|last", "reverse|list", "items|list"),
        lambda: "join(%s)" % rng.choice(texts), lambda: "default(%s)" % expr(0), lambda: "default(%s, true)" % expr(0),
        lambda: "replace(%s, %s)" % (rng.choice(texts), rng.choice(texts)), lambda: "tojson(indent=%d)" % rng.randint(0, 4),
        lambda: "map(attribute='role')|list", lambda: "map('upper')|join('/')", lambda: "selectattr('role', 'equalto', 'user')|list",
        lambda: "rejectattr('content')|list", lambda: "select('string')|list", lambda: "reject('none')|list|length",
        lambda: "trim(%s)" % rng.choice(texts), lambda: "indent(%s)" % pick("2", "0", "width=3, first=true", "'> ', true, true"),
        lambda: "sort(reverse=true)", lambda: "sort(attribute='content')|map(attribute='content')|list")()


def maybe_int():
    return pick("", str(rng.randint(-4, 4)))


def test():
    return pick("defined", "undefined", "none", "string", "mapping", "sequence", "iterable", "number", "integer", "boolean", "true",
                "false", "odd", "even", "upper", "lower", "not none", "not defined", "in %s" % expr(0), "eq(%s)" % expr(0),
                "divisibleby 2", "equalto 'a'", "sameas true", "lt(3)", "ge 2", "not string")


def expr(depth):
    if depth <= 0:
        return leaf()
    d = depth - 1
    return pick(
        atom, lambda: postfix(atom()), lambda: postfix(postfix(atom())), lambda: filtered(atom()), lambda: filtered(postfix(atom())),
        lambda: filtered(filtered(atom())), lambda: "%s %s %s" % (expr(d), pick("+", "-", "*", "//", "%", "~", "~"), expr(d)),
        lambda: "%s %s %s" % (expr(d), pick("==", "!=", "<", "<=", ">", ">=", "in", "not in"), expr(d)),
        lambda: "%s %s %s" % (expr(d), pick("and", "or"), expr(d)), lambda: "not " + expr(d), lambda: "%s is %s" % (expr(d), test()),
        lambda: "%s if %s else %s" % (expr(d), expr(d), expr(d)), lambda: "%s if %s" % (expr(d), expr(d)),
        lambda: "1 < %s < 5" % expr(d), lambda: "-" + atom(), lambda: "f(%s)" % expr(d), lambda: "f(%s, b=%s)" % (expr(d), expr(d)))()


def tag(inside):
    return "{%" + pick("", "", "-", "+") + " " + inside + " " + pick("", "", "-", "+") + "%}"


def show(inside):
    return "{{" + pick("", "", "-") + " " + inside + " " + pick("", "", "-") + "}}"


def data():
    return pick("", " ", "\n", "text", " text\n", "\n  ", "\n\n", "<|im_start|>", "a b\n\t", "}", "{ x", "'", "\r\n", "é\n")


def body(depth):
    return "".join(data() + statement(depth) for _ in range(rng.randint(1, 3))) + data()


def statement(depth):
    if depth <= 0:
        return show(expr(2))
    d = depth - 1
    return pick(
        lambda: show(expr(2)), lambda: show(expr(2)), lambda: "{#" + pick("", "-") + " note " + pick("", "-") + "#}",
        lambda: tag("set %s = %s" % (pick("x", "y", "ns.a", "x"), expr(2))), lambda: tag("set x, y = %s, %s" % (expr(1), expr(1))),
        lambda: tag("if " + expr(2)) + body(d) + tag("endif"),
        lambda: tag("if " + expr(1)) + body(d) + tag("elif " + expr(1)) + body(d) + tag("else") + body(d) + tag("endif"),
        lambda: tag("for m in messages" + pick("", " if m.role == 'user'", "[1:]", "|reverse")) + body(d) + tag("endfor"),
        lambda: tag("for x in " + expr(1)) + body(d) + pick("", tag("else") + body(d)) + tag("endfor"),
        lambda: tag("for m in messages") + show("loop.%s" % pick("index", "index0", "first", "last", "length", "revindex",
                                                                  "previtem.role", "nextitem.content", "cycle('a', 'b')", "depth")) +
        data() + tag("if " + expr(1)) + tag(pick("break", "continue")) + tag("endif") + body(d) + tag("endfor"),
        lambda: tag("for k, v in {'a': 1, 'b': [2]}" + pick(".items()", "|items", "|dictsort")) + show("k ~ v") + tag("endfor"),
        lambda: tag("set x") + body(d) + tag("endset"), lambda: tag("set y | %s" % pick("trim", "upper", "trim | length")) + body(d) + tag("endset"),
        lambda: tag("filter %s" % pick("upper", "trim", "indent(2)")) + body(d) + tag("endfilter"),
        lambda: tag("with x = %s, y = %s" % (expr(1), expr(1))) + body(d) + tag("endwith"),
        lambda: tag("macro f(a, b='d')") + body(d) + show("a") + tag("endmacro"), lambda: "{% raw %}" + "{{ x }} {% y %}" + tag("endraw"),
        lambda: tag("generation") + body(d) + tag("endgeneration"))()


for _ in range(int(sys.argv[2])):
    head = "{% set ns = namespace(a=1, b='z') %}{% macro f(a, b=2) %}<{{ a }}{{ b }}>{% endmacro %}{% set x = 'xy' %}"
    print(json.dumps(head + pick(lambda: body(2), lambda: body(1), lambda: show(expr(1)), lambda: show(expr(2)))()))
