#!/bin/sh
# test_cli.sh - what people type, right and wrong. Nothing here runs a model for longer than a moment.
. "$(dirname "$0")/shell.inc"
question='Ida has 25 nuts. Ida gets 5 more. How many nuts does Ida have now?'

# ---- wrong usage: status 2, one line that helps
refuses 2 "brood help"
refuses 2 "did you mean 'brood solve'?" slove "$question"
refuses 2 "'brood help' lists the commands" frobnicate
refuses 2 "no problem" solve
refuses 2 "the problem is empty" solve ''
refuses 2 "the problem is empty" solve -
refuses 2 "did you mean --policy?" solve --polcy lab:small "$question"
refuses 2 "did you mean --temperature?" solve --temp 1 "$question"
refuses 2 "two dashes" solve -policy lab:small "$question"
refuses 2 "quote what has spaces" solve How many nuts
refuses 2 "a value is missing" solve "$question" -n
refuses 2 "its value is empty" solve --policy= "$question"
refuses 2 "takes no value" solve --json=yes "$question"
refuses 2 "from 1 to" solve -n 0 "$question"
refuses 2 "'many'" solve -n many "$question"
refuses 2 "'-3'" solve -n -3 "$question"
refuses 2 "whole number" solve -n 1.5 "$question"
refuses 2 "from 0 to 10" solve --temperature hot "$question"
refuses 2 "from 0 to 10" solve --temperature=-1 "$question"
refuses 2 "known: greedy, sample" solve --strategy bem "$question"
refuses 2 "no parameter 'k'" solve --strategy sample:k=4 "$question"
refuses 2 "strategy 'greedy' has no parameter" solve --strategy greedy -n 4 "$question"
refuses 2 "needs a reward model" solve --select best --reward none "$question"
refuses 2 "use majority, best, weighted" solve --select vote "$question"
refuses 2 "last" solve --aggregate median "$question"
refuses 2 "positive number" solve --budget tokens=-5 "$question"
refuses 2 "samples=, tokens=, flops=, usd= or seconds=" solve --budget token=5 "$question"
refuses 2 "give on, off or auto" solve --speculate maybe "$question"
refuses 2 "say with --prices" solve --budget usd=1 "$question"
refuses 2 "policy_input=" solve --prices input=1 "$question"
refuses 2 "No such file" solve --prices no.json "$question"
refuses 2 "missing.txt" solve --file missing.txt
refuses 2 "one of them" solve --file missing.txt "$question"
printf 'caf\351 au lait' >latin1.txt
refuses 2 "byte 4 is not UTF-8" solve --file latin1.txt
refuses 2 "nowhere" solve --policy nowhere "$question"
refuses 3 "is the server running?" model http://127.0.0.1:1/v1
refuses 2 "BROOD_API_KEY" solve --policy http://me:secret@127.0.0.1:1/v1 "$question"
refuses 2 "models/tiny" solve --policy lab:tiny "$question"
refuses 2 "latin1.txt" solve --policy latin1.txt "$question"
refuses 2 "lab/models/small" solve --reward lab:small "$question"
refuses 2 "no task" bench
refuses 2 "missing.jsonl" bench missing.jsonl
refuses 2 "stroy" bench lab:stroy
printf '{"id":"a","problem":"1+1?","answer":"2"}\n{"id":"b","answer":"2"}\n' >short.jsonl
refuses 2 "short.jsonl:2: no prompt" bench short.jsonl
printf '{"task_id":"HumanEval/0","prompt":"def f():","entry_point":"f","test":"assert"}\n' >code.jsonl
refuses 2 "unit tests" bench code.jsonl
refuses 2 "no/such/folder" bench lab:story --limit 1 --run no/such/folder/run.brood
refuses 2 "not a run" bench lab:story --limit 1 --run short.jsonl
refuses 2 "first-verified" bench lab:story --select first-verified
refuses 2 "leave TASK out" bench --signature lab:story
refuses 2 "too few arguments" report
refuses 2 "missing.brood" report missing.brood
refuses 2 "not a run" report short.jsonl
refuses 2 "give one of them" report --json --jsonl missing.brood
refuses 2 "missing.jsonl" vote missing.jsonl
printf '{"problem":"a","text":"\\\\boxed{2}"}\n' >ungraded.jsonl
printf '{"text":"2"}\n' >ungraded-line.jsonl
refuses 2 "graded" vote ungraded.jsonl
refuses 2 "coverage" vote --select best-of-n ungraded.jsonl
refuses 2 "--reward lab:prm" score ungraded.jsonl
refuses 2 "none-such" score ungraded.jsonl --reward none-such
refuses 2 "ungraded-line.jsonl:1: no problem text" score ungraded-line.jsonl --reward lab:prm
refuses 2 "usage: brood equal" equal 1
refuses 2 "'3'" equal 1 2 3
refuses 2 "nowhere" model nowhere
refuses 2 "did you mean" help slove

# ---- a service that fails for good: status 3
refuses 3 "no solution could be written" solve --policy toy:fail=1 "$question"

# ---- help
says "usage: brood COMMAND" "$BROOD" help
says "usage: brood COMMAND" "$BROOD" --help
says "brood " "$BROOD" --version
for command in solve bench report vote score equal model help; do
    says "usage: brood $command" "$BROOD" help $command
    says "usage: brood $command" "$BROOD" $command --help
    says "examples:" "$BROOD" $command x -h
    says ".TH brood-$command 1" "$BROOD" help --man $command
done
says "sample:n=64,temperature=0.8" "$BROOD" help solve
says "top_p" "$BROOD" help bench

# ---- equal
says equal "$BROOD" equal '\frac{1}{2}' 0.5
ends 0 "$BROOD" equal -1 -2/2
ends 0 "$BROOD" equal 'x^2-1' '(x-1)(x+1)'
ends 1 "$BROOD" equal 'sqrt(2)' 1.41421356
ends 1 "$BROOD" equal 100 1
ends 0 "$BROOD" equal --lenient 100 1
ends 0 "$BROOD" equal -- --x --x

# ---- model
says "llama" "$BROOD" model lab:small
says "step reward" "$BROOD" model lab:prm
says '"flops_per_token"' "$BROOD" model --json lab:large

# ---- a closed or full output is an error, not silence
if [ -w /dev/full ]; then
    "$BROOD" help >/dev/full 2>err
    [ $? -eq 3 ] && good || bad "writing to a full disk is not noticed"
fi
finish
