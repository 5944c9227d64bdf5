#!/bin/sh
# test_verify.sh - brood verify: files as HumanEval publishes them, in and out; as root and as an ordinary user.
. "$(dirname "$0")/shell.inc"

cat >problems.jsonl <<'END'
{"task_id":"Own/0","prompt":"def twice(x):\n    \"\"\" Twice the number. \"\"\"\n","entry_point":"twice","canonical_solution":"    return 2 * x\n","test":"def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(-4) == -8\n"}
{"task_id":"Own/1","prompt":"from typing import List\ndef helper(x):\n    return x + 1\n\ndef largest(xs: List[int]) -> int:\n    \"\"\" The largest. \"\"\"\n","entry_point":"largest","canonical_solution":"    return max(xs)\n","test":"def check(candidate):\n    assert candidate([1, helper(2)]) == 3\n    assert largest([5]) == 5\n"}
END
cat >samples.jsonl <<'END'
{"task_id":"Own/0","completion":"    return 2 * x\n","model":"kept"}
{"task_id":"Own/0","completion":"    return x\n"}
{"task_id":"Own/0","completion":"    return 2 * x\n"}
{"task_id":"Own/0","completion":"    import os; os._exit(0)\n"}
{"task_id":"Own/1","completion":"    return max(xs)\n"}
{"task_id":"Own/1","completion":"    return undefined\n"}
{"task_id":"Own/1","completion":"    while True: pass\n"}
{"task_id":"Own/1","completion":"    raise SystemExit(0)\n"}
END
cat >wanted.jsonl <<'END'
{"task_id":"Own/0","completion":"    return 2 * x\n","model":"kept","result":"passed","passed":true}
{"task_id":"Own/0","completion":"    return x\n","result":"failed: ","passed":false}
{"task_id":"Own/0","completion":"    return 2 * x\n","result":"passed","passed":true}
{"task_id":"Own/0","completion":"    import os; os._exit(0)\n","result":"failed: ended before the tests had: exit status 0","passed":false}
{"task_id":"Own/1","completion":"    return max(xs)\n","result":"passed","passed":true}
{"task_id":"Own/1","completion":"    return undefined\n","result":"failed: name 'undefined' is not defined","passed":false}
{"task_id":"Own/1","completion":"    while True: pass\n","result":"timed out","passed":false}
{"task_id":"Own/1","completion":"    raise SystemExit(0)\n","result":"failed: 0","passed":false}
END

# ---- wrong usage
refuses 2 "missing.jsonl" verify missing.jsonl samples.jsonl
refuses 2 "too few arguments" verify problems.jsonl
refuses 2 "namespaces or filtered" verify --isolation none problems.jsonl samples.jsonl
refuses 2 "from 0.01" verify --seconds 0 problems.jsonl samples.jsonl
for option in repositories run container; do
    refuses 2 "--$option is for tasks whose solutions are patches" verify --$option . problems.jsonl samples.jsonl
done
refuses 2 "samples.jsonl:1" verify samples.jsonl samples.jsonl
echo >empty.jsonl
refuses 2 "no problems" verify empty.jsonl samples.jsonl
refuses 2 "no-such-python: cannot be run" verify --python no-such-python problems.jsonl samples.jsonl

if ! command -v python3 >/dev/null; then
    echo "skip: no python3: Python programs cannot be run here"
    finish
    exit
fi
level=namespaces
"$BROOD" verify problems.jsonl samples.jsonl -o probe.jsonl >out 2>err || level=filtered
if ! "$BROOD" verify --isolation $level problems.jsonl samples.jsonl -o probe.jsonl >out 2>err; then
    echo "skip: no isolation here: $(cat err)"
    finish
    exit
fi
[ $level = namespaces ] || echo "note: no namespaces here: $(head -c 300 err)"
verify() { "$BROOD" verify --isolation $level --seconds 0.3 "$@"; }

refuses 2 "missing.jsonl" verify --isolation $level problems.jsonl missing.jsonl
refuses 2 "no samples" verify --isolation $level problems.jsonl empty.jsonl
echo '{"task_id":"Own/7","completion":""}' >other.jsonl
refuses 2 "other.jsonl:1: task_id 'Own/7'" verify --isolation $level problems.jsonl other.jsonl
echo '{"task_id":"Own/1"}' >other.jsonl
refuses 2 "completion" verify --isolation $level problems.jsonl other.jsonl
[ ! -e other.jsonl_results.jsonl ] && good || bad "results of samples that cannot be read"

# ---- verdicts, in the published layout
says "8 samples (7 different programs) of 2 problems" verify problems.jsonl samples.jsonl
same samples.jsonl_results.jsonl wanted.jsonl "results"
says "37.5 %" verify problems.jsonl samples.jsonl
gzip -kf problems.jsonl
says '"pass":{"pass@1":{"mean":0.375' verify --json --workers 1 problems.jsonl.gz samples.jsonl -o again.jsonl
says '"verdicts":{"passed":3,"failed":3,"timed out":1,"crashed":1,"refused":0,"broken":0}' verify --json problems.jsonl samples.jsonl -o more.jsonl
same again.jsonl wanted.jsonl "results with one worker, from gzip, where --out says"
head -n 3 samples.jsonl >part.jsonl
says "the other problems have no samples" verify problems.jsonl part.jsonl
printf '%s\n' '{"task_id":"Own/0","prompt":"def twice(x):\n","entry_point":"twice","test":"def check(candidate): pass"}' >never.jsonl
verify never.jsonl part.jsonl >out 2>err
if grep -Fq "Own/0: the tests never called twice" err && ! grep -q '"passed":true' part.jsonl_results.jsonl; then good; else bad "tests that call nothing" "$(cat err)"; fi

# ---- killed, it goes on: what was decided is not run again, what was not is; another check begins anew
sed 's/while True: pass/import time; time.sleep(1e6)/' samples.jsonl >sleepy.jsonl
# In the background a shell has SIGINT ignored: SIGTERM.
begin() { # verify ARGUMENTS in the background, until all programs but the one that sleeps are decided; its process in $!
    "$BROOD" verify --isolation $level --seconds 1000 "$@" -o late.jsonl >out 2>err </dev/null &
    until [ "$(grep -c '^\[' late.jsonl.part 2>/dev/null)" = 6 ]; do
        kill -0 $! 2>/dev/null || break
        sleep 0.02
    done
}
begin problems.jsonl sleepy.jsonl
kill -9 $!
wait $! 2>/dev/null
if [ -e late.jsonl.part ] && [ ! -e late.jsonl ]; then good; else bad "killed" "$(cat err)"; fi
sed -e '$d' -e 's/"failed","",/"failed","from before",/' late.jsonl.part >changed && cat changed >late.jsonl.part
printf '"cut of' >>late.jsonl.part
begin problems.jsonl sleepy.jsonl
kill -TERM $!
wait $!
if [ $? -eq 130 ] && grep -q "6 of 7 programs were decided and are kept: the same command goes on" err; then good; else bad "interrupted" "$(cat err)"; fi
printf '%s\n' '[5,"timed out","",2,0.5,1,1]' >>late.jsonl.part
"$BROOD" verify --isolation $level --seconds 1000 problems.jsonl sleepy.jsonl -o late.jsonl >out 2>err
sed -e 's/while True: pass/import time; time.sleep(1e6)/' -e 's/"failed: ",/"failed: from before",/' wanted.jsonl >want
same late.jsonl want "results of three processes"
[ ! -e late.jsonl.part ] && good || bad "what was kept is left"
printf '{"check":"0123456789abcdef"}\n[0,"passed","",1,0,1,1]\n[1,"passed","",1,0,1,1]\n' >late.jsonl.part
says "37.5 %" verify problems.jsonl samples.jsonl -o late.jsonl
same late.jsonl wanted.jsonl "what another check has left counts for nothing"
refuses 2 "cannot write here" verify --isolation $level problems.jsonl samples.jsonl -o no/such/folder
refuses 2 "not standard input" verify - samples.jsonl
refuses 2 "say with --out" verify problems.jsonl -
refuses 2 "missing.jsonl: cannot open" verify --repositories . missing.jsonl samples.jsonl

# ---- less isolation, only where it is asked for; an ordinary user
if [ $level = namespaces ]; then
    says "sandbox: namespaces" "$BROOD" verify problems.jsonl part.jsonl
fi
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null && [ -x /usr/bin/python3 ] &&
    setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$BROOD"; then
    mkdir theirs && chmod 755 "$dir" && chmod 777 theirs && cp problems.jsonl samples.jsonl theirs
    as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
    if as_nobody unshare -U true 2>/dev/null; then
        says "sandbox: namespaces" as_nobody "$BROOD" verify --python /usr/bin/python3 --seconds 0.3 theirs/problems.jsonl theirs/samples.jsonl
        same theirs/samples.jsonl_results.jsonl wanted.jsonl "results of an ordinary user"
    else
        echo "skip: an ordinary user may not make namespaces here"
    fi
else
    echo "skip: no ordinary user to become"
fi
finish
