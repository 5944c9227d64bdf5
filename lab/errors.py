"""Invented wrong steps: what a careless solver might write after a right prefix, and how it would go on."""
import problems


def compute(left, op, right):
    return {"+": left + right, "-": abs(left - right), "*": left * right, "/": left // max(right, 1)}[op]


def slip(rng, number):
    """A number that looks like this one: a carry forgotten, a digit misread, dropped, doubled or two exchanged."""
    digits = list(str(number))
    at = rng.randrange(len(digits))
    kind = rng.random()
    if kind < 0.5:
        wrong = number + rng.choice((-2, -1, -1, 1, 1, 2)) * 10 ** rng.randrange(len(digits))
        return wrong if wrong > 0 else number + 1
    if kind < 0.8:
        digits[at] = str(rng.randrange(10))
    elif kind < 0.87:
        del digits[at]
    elif kind < 0.94:
        digits.insert(at, rng.choice(digits))
    else:
        digits[at], digits[at - 1] = digits[at - 1], digits[at]
    return int("".join(digits) or "7")


def wrong_result(rng, step, problem):
    left, op, right, result = step
    if rng.random() < 0.15 and op in "*/":
        return left, op, right, compute(left, op, max(2, right + rng.choice((-1, 1))))
    return left, op, right, slip(rng, result)


def wrong_operand(rng, step, problem):
    left, op, right, _ = step
    if rng.random() < 0.5:
        left = slip(rng, left)
    else:
        right = rng.randint(2, 9) if op in "*/" else slip(rng, right)
    return left, op, right, compute(left, op, right)


def other_number(rng, step, problem):
    """A number from elsewhere in the story, or from an earlier step; after a puzzle, mostly its other part."""
    left, op, right, _ = step
    for place in problems.puzzles(problem):
        _, _, part, rest = problem.steps[place + 1]
        if op == "+" and part == right and rng.random() < 0.7:
            return left, op, rest, left + rest
    told = [int(w.strip(".")) for w in problem.text.split() if w.strip(".").isdigit()]
    right = rng.choice(told + [s[3] for s in problem.steps])
    return left, op, right, compute(left, op, right)


def other_operation(rng, step, problem):
    left, op, right, _ = step
    op = rng.choice("+-*" if right < 10 else "+-")
    return left, op, right, compute(left, op, right)


def other_step(rng, step, problem):
    """Skips or repeats a sentence: another step's operation on the present number."""
    _, op, right, _ = rng.choice(problem.steps)
    return step[0], op, right, compute(step[0], op, right)


KINDS = [wrong_result, wrong_operand, other_number, other_operation, other_step]
WEIGHTS = [10, 3, 2, 1, 2]


def wrong_guess(rng, step, puzzle):
    """Another count, multiplied well."""
    total, size, other = puzzle
    count = rng.choice([n for n in range(1, max(4, total // size + 1)) if n != step[0]])
    return count, "*", size, count * size


def misfit(rng, part, puzzle):
    """The lines after a wrong guess: what is left, and what that is made out to be."""
    total, _, other = puzzle
    rest = compute(total, "-", part)
    count = max(1, rest // other + rng.choice((0, 0, 0, 1)))
    made = rest if rng.random() < 0.7 and rest != count * other else count * other
    return f"{total}-{part} = {rest}.\n{problems.step_text((count, '*', other, made), rng)}"


def wrong_step(rng, problem, index):
    """Text of a wrong step at that place (the last place is the final sentence)."""
    right = len(problem.steps)
    gold = problems.step_text(problem.steps[index]) if index < right else problems.final_text(problem.answer)
    puzzles = problems.puzzles(problem)
    while True:
        if index == right or rng.random() < 0.03:
            text = wrong_ending(rng, problem, index)
        elif index in puzzles and rng.random() < 0.8:
            text = problems.step_text(wrong_guess(rng, problem.steps[index], puzzles[index]), rng)
        else:
            kind = rng.choices(KINDS, WEIGHTS)[0]
            step = kind(rng, problem.steps[index], problem)
            if step[3] > 2 * problems.TOP:
                continue
            text = problems.step_text(step, rng)
        if problems.canonical(text) != problems.canonical(gold):
            return text


def wrong_ending(rng, problem, index):
    """Stops too early, copies the last number badly, or goes on after the end."""
    before = problem.steps[index - 1][3] if index else problem.steps[0][0]
    choice = rng.random()
    if index < len(problem.steps) or choice < 0.2:
        return problems.final_text(rng.choice([before] + [s[3] for s in problem.steps]))
    if choice < 0.8:
        return problems.final_text(slip(rng, before))
    _, op, right, _ = rng.choice(problem.steps)
    return problems.step_text((before, op, right, compute(before, op, right)), rng)


def wrong_block(rng, problem, place):
    """Text of a wrong step at that place of the solution: of a puzzle the guess is wrong, or only the check."""
    blocks = problem.blocks()
    if place == len(blocks) or len(blocks[place]) == 1:
        return wrong_step(rng, problem, blocks[place][0] if place < len(blocks) else len(problem.steps))
    index, wrong = blocks[place][0], rng.choice((0, 0, 0, 0, 1, 2))
    if wrong:
        lines = problems.block_text(problem, blocks[place], rng).split("\n")
        lines[wrong] = wrong_step(rng, problem, index + wrong)
        return "\n".join(lines)
    guess = wrong_step(rng, problem, index)
    parts = problems.canonical(guess)
    if not isinstance(parts, tuple):
        return guess
    return guess + "\n" + misfit(rng, int(parts[3]), problems.puzzles(problem)[index])


def continuation(rng, problem, place, wrong):
    """How a solver would go on after writing `wrong` at that place: one or two steps, consistent with it."""
    parts, blocks = [p for p in problems.content(wrong) if isinstance(p, tuple)], problem.blocks()
    if not parts or place >= len(blocks):
        return []
    puzzles, gold, steps = problems.puzzles(problem), problem.steps, []
    value = part = int(parts[0][3])
    if blocks[place][0] in puzzles:
        value = gold[blocks[place][-1] + 1][0]
    for block in blocks[place + 1 : place + 1 + rng.randint(1, 2)]:
        index, step = block[0], gold[block[0]]
        if index in puzzles:
            part = step[3]
            steps.append(problems.block_text(problem, block, rng))
            continue
        right = part if index - 3 in puzzles else step[2]
        step = value, step[1], right, compute(value, step[1], right)
        value = step[3]
        steps.append(problems.step_text(step, rng))
    if place + 1 >= len(blocks):
        steps.append(problems.final_text(value))
    return steps
