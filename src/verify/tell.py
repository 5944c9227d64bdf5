# tell.py - what failed, in words that a revision may read: the test, its call, what came and what was expected. It stands
# before runner.py and runs in the judge. What a program has a hand in is quoted, printable, in one line and cut; it decides
# nothing here: the verdict has been reached before.
import ast, re, reprlib

SHOWN, CHARACTERS_MAX = 240, 1 << 16
ADDRESS = re.compile('0x[0-9a-f]{5,}')


def plain(text, most=SHOWN):
    """One line of printable characters, the same in each run."""
    text = ADDRESS.sub('0x...', text[:CHARACTERS_MAX])
    text = ' '.join(''.join(c if c.isprintable() else ' ' for c in text).split())
    return text if len(text) <= most else text[:most - 3] + '...'


class Short(reprlib.Repr):
    def __init__(self):
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother, self.maxlong = 5, 200, 120, 80
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = self.maxarray = self.maxdict = 40

    def repr_int(self, x, level):
        return super().repr_int(x, level) if x.bit_length() < 4000 else '<an integer of %d bits>' % x.bit_length()


SHORT = Short()


def value_text(x):
    try:
        return plain(SHORT.repr(x))
    except BaseException:
        return '<' + type(x).__name__ + '>'


def quoted(text):
    """What a program reads or prints, as a literal: where it ends is plain to see."""
    return plain(repr(text if len(text) <= 200 else text[:200] + '...'))


def call_text(name, args, named):
    words = [value_text(x) for x in args] + [k + '=' + value_text(x) for k, x in named.items()]
    return plain(name + '(' + ', '.join(words) + ')', 2 * SHOWN)


class Marked(ast.NodeTransformer):
    """Asserts that compare leave both sides with `brood_seen`, which gives them back."""

    def visit_Assert(self, node):
        test = node.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            name = ast.Name('brood_seen', ast.Load())
            sides = [ast.Call(name, [ast.Constant(node.lineno), ast.Constant(i), side], [])
                     for i, side in enumerate((test.left, test.comparators[0]))]
            compare = ast.Compare(sides[0], test.ops, [sides[1]])
            node.test = ast.fix_missing_locations(ast.copy_location(compare, test))
        return node


SIGNS = {ast.Eq: '==', ast.NotEq: '!=', ast.Lt: '<', ast.LtE: '<=', ast.Gt: '>', ast.GtE: '>=', ast.Is: 'is', ast.IsNot: 'is not',
         ast.In: 'in', ast.NotIn: 'not in'}


class Teller:
    """Tests, compiled so that what failed can be told."""

    def __init__(self, source):
        self.source, self.tree, self.sides = source, ast.parse(source), {}
        self.code = compile(Marked().visit(ast.parse(source)), '<tests>', 'exec')

    def see(self, line, i, side):
        if i == 0:
            self.sides[line] = []
        self.sides.setdefault(line, []).append(side)
        return side

    def statement(self, line):
        """The innermost statement that the line lies in."""
        found, below = None, self.tree.body
        while below:
            inside = [x for x in below if x.lineno <= line <= (x.end_lineno or x.lineno)]
            found, below = (inside[-1], []) if inside else (found, [])
            for field in ('body', 'orelse', 'finalbody', 'handlers'):
                below = below + getattr(found, field, []) if inside else []
        return found

    def compared(self, statement, came):
        """What was compared with what; `came`: [what the last call gave]."""
        test = statement.test if isinstance(statement, ast.Assert) else None
        sides = self.sides.get(statement.lineno, ())
        if not isinstance(test, ast.Compare) or len(sides) != 2:
            return ['Returned: ' + value_text(x) for x in came]
        a, b = (value_text(x) for x in sides)
        if not isinstance(test.ops[0], (ast.Eq, ast.Is)):
            return ['Compared: ' + a + ' ' + SIGNS[type(test.ops[0])] + ' ' + b]
        if came and sides[1] is came[0] and sides[0] is not came[0]:
            a, b = b, a
        return ['Got: ' + a, 'Expected: ' + b]

    def tell(self, e, candidate):
        """e: what ended the tests."""
        line, trace = 0, e.__traceback__
        while trace:
            if trace.tb_frame.f_code.co_filename == '<tests>':
                line = trace.tb_lineno
            trace = trace.tb_next
        statement, lines = self.statement(line), []
        if statement:
            text = ast.get_source_segment(self.source, statement) or ''
            simple = not getattr(statement, 'body', None)
            lines.append('Test: ' + plain(text if simple else text.split('\n')[0], 300))
        if candidate.last:
            lines.append('Call: ' + call_text(candidate.__name__, *candidate.last))
        if isinstance(e, AssertionError) and statement and e is not candidate.thrown:
            lines += self.compared(statement, candidate.came)
        elif candidate.last and e is not candidate.thrown and not candidate.gone:
            lines += ['Returned: ' + value_text(x) for x in candidate.came]
        return '\n'.join(lines)


def program_line(e, name):
    """The line of the program that an exception came from, as far as it says so; 0: none."""
    try:
        line, trace = 0, e.__traceback__
        if isinstance(e, SyntaxError) and e.filename == name:
            line = e.lineno
        while trace:
            if trace.tb_frame.f_code.co_filename == name:
                line = trace.tb_lineno
            trace = trace.tb_next
        return line if type(line) is int else 0
    except BaseException:
        return 0
