# Follows TESTS = [...] and ENTRY = '...': which of these self-written tests does the candidate pass? Ends in
# an AssertionError that says so, a digit a test. A test is one assert of plain expressions; others pass nothing.
import ast as _ast, math as _math

_ATTRIBUTES = frozenset(('lower upper strip lstrip rstrip split join replace count index find startswith endswith '
                         'isdigit isalpha title capitalize items keys values copy sqrt pi floor ceil isclose inf nan'
                         ).split())
_NODES = (_ast.Module, _ast.Assert, _ast.BoolOp, _ast.BinOp, _ast.UnaryOp, _ast.IfExp, _ast.Dict,
          _ast.Set, _ast.List, _ast.Tuple, _ast.ListComp, _ast.SetComp, _ast.GeneratorExp, _ast.DictComp,
          _ast.comprehension, _ast.Compare, _ast.Call, _ast.keyword, _ast.Constant, _ast.Name, _ast.Attribute,
          _ast.Subscript, _ast.Slice, _ast.Starred, _ast.JoinedStr, _ast.FormattedValue, _ast.expr_context,
          _ast.boolop, _ast.operator, _ast.unaryop, _ast.cmpop)
_BUILTINS = {f.__name__: f for f in (abs, all, any, bool, bytes, complex, dict, divmod, enumerate, float, frozenset,
                                     int, isinstance, len, list, map, max, min, ord, chr, pow, range, repr, reversed,
                                     round, set, sorted, str, sum, tuple, type, zip)}
_KINDS = (int, float, str, list, dict, tuple, set)


def _plain(tree):
    if len(tree.body) != 1 or type(tree.body[0]) is not _ast.Assert:
        return False
    for node in _ast.walk(tree):
        if not isinstance(node, _NODES):
            return False
        if isinstance(node, _ast.Name) and node.id.startswith('_'):
            return False
        if isinstance(node, _ast.Attribute) and node.attr not in _ATTRIBUTES:
            return False
    return True


def _try(text, candidate, others):
    names = dict(others)
    names.update({'__builtins__': _BUILTINS, 'math': _math, ENTRY: candidate})
    try:
        tree = _ast.parse(text.strip())
        if not _plain(tree):
            return '0'
        exec(compile(tree, '<self-written>', 'exec'), names)
        return '1'
    except BaseException:
        if candidate.gone:  # its process has ended: nothing can be said of this test
            raise
        candidate.unsupported = None
        return '0'


def check(candidate):
    others = {k: v for k, v in globals().items()
              if not k.startswith('_') and k != 'check' and (isinstance(v, _KINDS) or type(v) is type(check))}
    raise AssertionError(''.join(_try(text, candidate, others) for text in TESTS))
