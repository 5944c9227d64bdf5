#!/bin/sh
# test_agree.sh - brood agree: programs chosen by agreement with self-written tests; tests and programs that want more.
. "$(dirname "$0")/shell.inc"

cat >problems.jsonl <<'END'
{"task_id":"Own/0","prompt":"import math\ndef helper(x):\n    return x + 1\n\ndef twice(x):\n    \"\"\" Twice the number. \"\"\"\n","entry_point":"twice","test":"def check(candidate):\n    assert False\n"}
{"task_id":"Own/1","prompt":"def first(xs):\n    \"\"\" The first. \"\"\"\n","entry_point":"first","test":"def check(candidate):\n    assert False\n"}
END
# three are right in two ways of writing it; three agree on a wrong one; two are right for positive numbers alone
cat >samples.jsonl <<'END'
{"task_id":"Own/0","completion":"    return x * x\n","passed":false}
{"task_id":"Own/0","completion":"    return x * x\n","passed":false}
{"task_id":"Own/0","completion":"    return x * x\n","passed":false}
{"task_id":"Own/0","completions":["    return 2 * x\n","    return x + x\n","    return x + x\n"],"passed":[true,true,true]}
{"task_id":"Own/0","completion":"    return 2 * abs(x)\n","passed":false}
{"task_id":"Own/0","completion":"    if x < 0: raise SystemExit\n    return 2 * x\n","passed":false}
{"task_id":"Own/1","completion":"    return xs[-1]\n","passed":false}
{"task_id":"Own/1","completion":"    return xs[0]\n","passed":true}
END
cat >tests.jsonl <<'END'
{"task_id":"Own/0","tests":[{"test":"assert twice(3) == 6","count":2},{"test":"assert twice(2) == 4","count":1}]}
{"task_id":"Own/0","tests":["assert twice(-1) == -2","assert twice(helper(4)) == 10, 'text'","assert twice(-3) == 9","assert twice(","assert math.floor(twice(0.7)) == 1"]}
END

refuses 2 "missing.jsonl" agree problems.jsonl missing.jsonl tests.jsonl
refuses 2 "too few arguments" agree problems.jsonl samples.jsonl
refuses 2 "no \"tests\"" agree problems.jsonl samples.jsonl samples.jsonl
refuses 2 "completion" agree problems.jsonl tests.jsonl tests.jsonl
refuses 2 "namespaces or filtered" agree --isolation none problems.jsonl samples.jsonl tests.jsonl
echo '{"task_id":"Own/7","tests":[]}' >other.jsonl
refuses 2 "other.jsonl:1: task_id 'Own/7'" agree problems.jsonl samples.jsonl other.jsonl
echo '{"task_id":"Own/0","tests":[]}' >other.jsonl
refuses 2 "no tests" agree problems.jsonl samples.jsonl other.jsonl
echo '{"task_id":"Own/0","tests":[3]}' >other.jsonl
refuses 2 "\"tests\"[0] is not a text" agree problems.jsonl samples.jsonl other.jsonl
echo '{"task_id":"Own/0","completions":["a"],"passed":[true,false]}' >other.jsonl
refuses 2 "one as long" agree problems.jsonl other.jsonl tests.jsonl

if ! command -v python3 >/dev/null; then
    echo "skip: no python3: Python programs cannot be run here"
    finish
    exit
fi
level=namespaces
"$BROOD" agree problems.jsonl samples.jsonl tests.jsonl -o probe.jsonl >out 2>err || level=filtered
if ! "$BROOD" agree --isolation $level problems.jsonl samples.jsonl tests.jsonl -o probe.jsonl >out 2>err; then
    echo "skip: no isolation here: $(cat err)"
    finish
    exit
fi
agree() { "$BROOD" agree --isolation $level --seconds 0.1 "$@"; }

# The right ones pass 2 + 1 + 1 + 1 + 1 = 6 tests, three solutions of them; the squares 1 + 1 = 2; those for
# positive numbers 5. Own/1 has no tests: the first program.
cat >wanted.jsonl <<'END'
{"task_id":"Own/0","completion":"    return x + x\n","solutions":3,"tests":6,"score":10.392304845413264,"groups":3}
{"task_id":"Own/1","completion":"    return xs[-1]\n","solutions":2,"tests":0,"score":0.0,"groups":1}
END
says "choices: choices.jsonl" agree problems.jsonl samples.jsonl tests.jsonl -o choices.jsonl
same choices.jsonl wanted.jsonl "choices"
# one sample: (3/8 + 1/2) / 2; behaviour: three squares come first, 0, and 1/2; agreement: 1 and 1/2
agree --json problems.jsonl samples.jsonl tests.jsonl -o choices.jsonl >measures 2>err
for text in '"one":{"mean":0.4375' '"behaviour":{"mean":0.25' '"agreement":{"mean":0.75' \
    '"any":{"mean":1.0'; do
    says "$text" cat measures
done

# ---- tests that want more than to call the program pass nothing and do nothing
cat >evil.jsonl <<'END'
{"task_id":"Own/0","tests":["assert twice(1) == 2","import os; os._exit(0)","assert ().__class__","assert (lambda: 1)()","assert [g for g in [1]] and open('x')","assert (x for x in [1]).gi_frame","assert twice(twice)","assert __import__('os')","raise SystemExit","assert eval('1')","assert twice(1) == 2 and helper.__globals__","assert '{0.__class__}'.format(1)"]}
END
says "choices" agree problems.jsonl samples.jsonl evil.jsonl -o choices.jsonl
says '"tests":1,' head -n 1 choices.jsonl

# ---- a program that hangs or ends under a test loses that test alone
cat >hang.jsonl <<'END'
{"task_id":"Own/0","completion":"    while x < 0: pass\n    return 2 * x\n"}
{"task_id":"Own/0","completion":"    import os\n    if x < 0: os._exit(0)\n    return 2 * x\n"}
END
says "choices" agree problems.jsonl hang.jsonl tests.jsonl -o choices.jsonl
says '"solutions":2,"tests":5,' cat choices.jsonl

# ---- a program cannot say itself which tests it passes
cat >forged.jsonl <<'END'
{"task_id":"Own/0","completion":"    return 0\nraise AssertionError('1111111')\n"}
{"task_id":"Own/0","completion":"    raise AssertionError('1111111')\n"}
{"task_id":"Own/0","completion":"    return type('E', (int,), {'__eq__': lambda a, b: True})(5)\n"}
END
says "choices" agree problems.jsonl forged.jsonl tests.jsonl -o choices.jsonl
says '"tests":0,"score":0.0,"groups":1' cat choices.jsonl

# ---- killed, it goes on: what was run is not run again, what was not is; another check begins anew
sed 's/return x \* x\\n/__import__(\\"time\\").sleep(1e6)\\n/' samples.jsonl >sleepy.jsonl
# In the background a shell has SIGINT ignored: SIGTERM.
begin() { # agree ARGUMENTS in the background, until all programs but the one that sleeps were run; its process in $!
    "$BROOD" agree --isolation $level --seconds 1000 --workers 2 "$@" -o late.jsonl >out 2>err </dev/null &
    until [ "$(grep -c '^\[' late.jsonl.part 2>/dev/null)" = 4 ]; do
        kill -0 $! 2>/dev/null || break
        sleep 0.02
    done
}
begin problems.jsonl sleepy.jsonl tests.jsonl
kill -9 $!
wait $! 2>/dev/null
if [ -e late.jsonl.part ] && [ ! -e late.jsonl ]; then good; else bad "killed" "$(cat err)"; fi
# an earlier process says that x + x fails the first test, which counts twice: others win; what 2 * x passes is cut off
sed -e '/^\[1,/d' -e 's/^\[2,"1/[2,"0/' late.jsonl.part >changed && cat changed >late.jsonl.part
printf '"cut of' >>late.jsonl.part
begin problems.jsonl sleepy.jsonl tests.jsonl
kill -TERM $!
wait $!
if [ $? -eq 130 ] && grep -q "4 of 5 programs were run and are kept: the same command goes on" err; then good; else bad "interrupted" "$(cat err)"; fi
printf '%s\n' '[0,"0000000",1,0.5]' >>late.jsonl.part
"$BROOD" agree --isolation $level --seconds 1000 problems.jsonl sleepy.jsonl tests.jsonl -o late.jsonl >out 2>err
sed -e 's/return x + x/return 2 * abs(x)/' -e 's/"solutions":3,"tests":6,"score":10.392304845413264,"groups":3/"solutions":2,"tests":5,"score":7.0710678118654755,"groups":4/' \
    wanted.jsonl >want
same late.jsonl want "choices of three processes"
[ ! -e late.jsonl.part ] && good || bad "what was kept is left"
printf '{"check":"0123456789abcdef"}\n[1,"0000000",0,1]\n[2,"0000000",0,1]\n' >late.jsonl.part
says "choices: late.jsonl" agree problems.jsonl samples.jsonl tests.jsonl -o late.jsonl
same late.jsonl wanted.jsonl "what another check has left counts for nothing"
refuses 2 "cannot write here" agree --isolation $level problems.jsonl samples.jsonl tests.jsonl -o no/such/folder
finish
