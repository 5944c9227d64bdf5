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
    """A number from elsewhere in the story, or from an earlier step."""
    left, op, right, _ = step
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


def wrong_step(rng, problem, index):
    """Text of a wrong step at that place (the last place is the final sentence)."""
    right = len(problem.steps)
    gold = problems.step_text(problem.steps[index]) if index < right else problems.final_text(problem.answer)
    while True:
        if index == right or rng.random() < 0.03:
            text = wrong_ending(rng, problem, index)
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


def continuation(rng, problem, index, wrong):
    """How a solver would go on after writing `wrong` at that place: one or two steps, consistent with it."""
    parts = problems.canonical(wrong)
    if not parts or isinstance(parts, str):
        return []
    value, steps = int(parts[3]), []
    for left, op, right, _ in problem.steps[index + 1 : index + 1 + rng.randint(1, 2)]:
        result = compute(value, op, right)
        steps.append(problems.step_text((value, op, right, result), rng))
        value = result
    if index + 1 >= len(problem.steps):
        steps.append(problems.final_text(value))
    return steps
