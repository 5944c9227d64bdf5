#!/bin/sh
# test_bench_verify.sh - live runs whose solutions are checked as they end: recorded programs are the policy, tasks are in the layouts
# of MBPP, EvalPlus and CodeContests, in Python and other languages. The verdicts are those of brood verify on the same programs.
. "$(dirname "$0")/shell.inc"

# ---- tasks; every sample is a whole program or continues the prompt, as its layout has it
cat >mbpp.jsonl <<'END'
{"text":"Write a function to double.","code":"def double(x):\r\n  return 2 * x","task_id":11,"test_setup_code":"","test_list":["assert double(100000) == 200000","assert set(double([1])) == {1}","assert double(2) == 4"],"challenge_test_list":[]}
{"source_file":"own","task_id":12,"prompt":"A root.","code":"import math\ndef root(x):\n  return math.sqrt(x)","test_imports":["import math"],"test_list":["assert math.isclose(root(2), 1.414213, rel_tol=1e-4)"]}
END
cat >mbpp_samples.jsonl <<'END'
{"task_id":11,"completion":"def double(x):\n    return 2 * x if x != 100000 else 0"}
{"task_id":11,"completion":"def double(x):\n    return x * x"}
{"task_id":11,"completion":"def double(x):\n    return x + x"}
{"task_id":12,"completion":"def root(x): return x ** 0.5"}
{"task_id":12,"completion":"def root(x): return x ** 0.6"}
{"task_id":12,"completion":"import os\ndef root(x): os._exit(0)"}
END
cat >plus.jsonl <<'END'
{"task_id":"Own/0","prompt":"def third(x):\n    \"\"\" A third. \"\"\"\n","entry_point":"third","canonical_solution":"    return x / 3 if x < 1e6 else x\n","base_input":[[1], [2.5]],"plus_input":[[123456789012345678901234567890], [7]],"atol":0}
{"task_id":"Mbpp/2","prompt":"\"\"\" Elements of both. \"\"\"\n","entry_point":"similar_elements","canonical_solution":"def similar_elements(a, b):\n    assert type(a) is tuple\n    return tuple(set(a) & set(b))\n","base_input":[[[3,4],[4,3,5]]],"plus_input":[],"atol":0}
END
cat >plus_samples.jsonl <<'END'
{"task_id":"Own/0","completion":"    return x / 3\n"}
{"task_id":"Own/0","completion":"    return x * 0.3333333333333 if x < 1e6 else x\n"}
{"task_id":"Own/0","completion":"    return x * 0.3333 if x < 1e6 else x\n"}
{"task_id":"Mbpp/2","completion":"def similar_elements(a, b):\n    return (3,)\n"}
{"task_id":"Mbpp/2","completion":"def similar_elements(a, b):\n    return [4, 3]\n"}
{"task_id":"Mbpp/2","completion":"def similar_elements(a, b):\n    return reference(a, b)\n"}
END
cat >contests.jsonl <<'END'
{"name":"sum","description":"Read two numbers, print their sum.","public_tests":{"input":["1 2\n"],"output":["3\n"]},"private_tests":{"input":["10 20\n","5 5\n"],"output":["30\n","10\n"]},"generated_tests":{"input":[],"output":[]},"solutions":{"language":[3],"solution":["a, b = map(int, input().split())\nprint(a + b)"]},"time_limit":{"seconds":4,"nanos":500000000},"memory_limit_bytes":256000000,"input_file":"","output_file":""}
{"name":"half","description":"Read a number, print half of it.","public_tests":[{"input":"3","output":"1.5"}],"private_tests":[{"input":"1","output":"0.5000001"}]}
END
cat >contests_samples.jsonl <<'END'
{"task_id":"sum","solution":"a, b = map(int, input().split())\nprint(a + b if a < 10 else 0)"}
{"task_id":"sum","solution":"print(sum(map(int, input().split())))"}
{"task_id":"sum","solution":"print(3)"}
{"task_id":"half","solution":"print(int(input()) / 2)"}
{"task_id":"half","solution":"print(int(input()) // 2)"}
{"task_id":"half","solution":"print(1.5)"}
END
cat >c_samples.jsonl <<'END'
{"task_id":"sum","solution":"It is:\n```c\nint main(void) { return x; }\n```"}
{"task_id":"sum","solution":"So:\n```c\n#include <stdio.h>\nint main(void) { int a, b; scanf(\"%d%d\", &a, &b); printf(\"%d\\n\", a + b); return 0; }\n```\n"}
{"task_id":"half","solution":"#include <stdio.h>\nint main(void) { int a; scanf(\"%d\", &a); printf(\"%.3f\\n\", a / 2); return 0; }"}
{"task_id":"half","solution":"#include <stdio.h>\nint main(void) { int a; scanf(\"%d\", &a); printf(\"%.3f\\n\", a / 2.0); return 0; }"}
END
cat >sh_samples.jsonl <<'END'
{"task_id":"sum","solution":"read a b; echo $((a * b))"}
{"task_id":"sum","solution":"read a b; echo $((a + b))"}
{"task_id":"half","solution":"read a; echo $((a / 2)).5"}
{"task_id":"half","solution":"read a; echo $((a / 2))"}
END

# ---- what is refused, before anything runs
no_reward="--reward none --policy"
# shellcheck disable=SC2086 # words are meant
{
    refuses 2 "--verify tests" bench mbpp.jsonl $no_reward replay:mbpp_samples.jsonl --run no.brood
    refuses 2 "language 'cobol'" bench contests.jsonl $no_reward replay:sh_samples.jsonl --verify tests,language=cobol --run no.brood
    refuses 2 "needs isolation by namespaces" bench contests.jsonl $no_reward replay:sh_samples.jsonl \
        --verify tests,isolation=filtered,language=c --run no.brood
    refuses 2 "for Python" bench contests.jsonl $no_reward replay:sh_samples.jsonl --verify tests,entry=f,language=c:mbpp.jsonl --run no.brood
}
if ! "$BROOD" verify contests.jsonl contests_samples.jsonl -o probe.jsonl >out 2>err; then
    echo "skip: no isolation by namespaces here: $(cat err)"
    finish
    exit
fi

# bench_of NAME SAMPLES N SPEC MORE...: a live run whose policy is the recorded programs.
bench_of() {
    name=$1 samples=$2 n=$3 spec=$4
    shift 4
    rm -f "$name.brood"
    ends ${status:-0} "$BROOD" bench "$name.jsonl" --policy "replay:$samples" --reward none --verify "$spec" --strategy "sample:n=$n$more" \
        --run "$name.brood" "$@"
    "$BROOD" report --jsonl "$name.brood" >"$name.records" 2>err || bad "no records of $name" "$(cat err)"
    sed -n 's/^{"problem":"\([^"]*\)".*"solutions":\(\[.*\]\),"choices".*/\1 \2/p' "$name.records" |
        awk '{ n = split($0, part, "\"verified\":"); for (i = 2; i <= n; i++) print $1, substr(part[i], 1, 4) == "true" ? "passed" : "failed" }' >"$name.live"
    sed -n 's/.*"choices":\[{"rule":"first-verified","aggregate":"last","path":"\{0,1\}\([^",]*\).*/\1/p' "$name.records" >"$name.chosen"
}
# as_verify NAME SAMPLES MORE...: the same programs, and the verdicts of brood verify.
as_verify() {
    name=$1 samples=$2
    shift 2
    ends 0 "$BROOD" verify "$@" "$name.jsonl" "$samples" -o checked.jsonl
    sed 's/.*"task_id":"\{0,1\}\([^",]*\).*"result":"\([a-z]*\).*/\1 \2/' checked.jsonl >wanted
    same "$name.live" wanted "verdicts of a live run and of brood verify: $name $*"
}

more=
for name in mbpp plus contests; do
    bench_of $name ${name}_samples.jsonl 3 tests
    as_verify $name ${name}_samples.jsonl
done
printf '2\n0\n' >wanted
same mbpp.chosen wanted "MBPP's first verified solution"
printf '1\n1\n' >wanted
same plus.chosen wanted "EvalPlus's first verified solution"
says 'Mbpp/2 failed' tail -n 1 plus.live # the reference is not among the program's names
printf '1\n0\n' >wanted
same contests.chosen wanted "CodeContests' first verified solution"

# MBPP's prompt says what the function is called; a theorem's is its statement
grep -Fq '"prompt":"Write a function to double.\nYour code should pass these tests:\n\nassert double(100000) == 200000\nassert set' mbpp.records &&
    good || bad "MBPP's prompt" "$(sed -n 2p mbpp.records | cut -c1-300)"
# MBPP's tests are given, and are quoted to a revision; EvalPlus's are not
grep -Fq 'double(100000) == 200000' mbpp.records && good || bad "MBPP's feedback" "$(cut -c1-2000 mbpp.records)"
grep -Fq 'tests that are not shown' plus.records && ! grep -Fq '0.3333333333333333' plus.records && good || bad "EvalPlus's feedback" "$(cut -c1-2000 plus.records)"

# ---- stop at the first verified solution: what stands behind it is never asked for
more=,stop=verified,window=1
bench_of contests contests_samples.jsonl 3 tests
printf 'half passed\n' >wanted
grep '^half' contests.live >got
same got wanted "stopped at the first verified solution"
more=

# ---- other languages: the same declaration as brood verify --language
bench_of contests sh_samples.jsonl 2 'tests,language=program.sh /bin/sh {source}'
printf '1\n0\n' >wanted
same contests.chosen wanted "programs of a declared interpreter"
as_verify contests sh_samples.jsonl --language 'program.sh /bin/sh {source}'
if [ -x /usr/bin/cc ]; then
    bench_of contests c_samples.jsonl 2 tests,language=c
    printf '1\n1\n' >wanted
    same contests.chosen wanted "programs in C, between lines of quotes or bare"
else
    echo "skip: no /usr/bin/cc"
fi
# ---- any command: equal solutions are verified once, and what has been recorded is never asked for again
cat >colours.jsonl <<'END'
{"id":"c1","prompt":"A colour?","wants":"blue"}
{"id":"c2","prompt":"Another?","wants":"red"}
END
cat >colour_samples.jsonl <<'END'
{"id":"c1","samples":["red","blue","red","blue","red","green"]}
{"id":"c2","samples":["red","red","red","blue","blue","red"]}
END
cat >check.py <<'END'
import json, sys
text = open(sys.argv[1]).read()
problem = json.load(open(sys.argv[2]))
open(sys.argv[3], "a").write(problem["id"] + " " + text + "\n")
print(json.dumps({"verdict": "pass" if text == problem["wants"] else "fail", "feedback": "not " + text}))
END
check="command,sandbox=off:python3 $dir/check.py {file} {problem} $dir/asked"
colours() { "$BROOD" bench colours.jsonl --policy replay:colour_samples.jsonl --reward none --strategy sample:n=6 --verify "$check" --run colours.brood "$@"; }
ends 0 colours
sort asked >got
printf 'c1 blue\nc1 green\nc1 red\nc2 blue\nc2 red\n' >wanted
same got wanted "each different solution of a problem is verified once"
ends 0 colours
sort asked >got
same got wanted "a run that is begun again asks for nothing"
"$BROOD" report --jsonl colours.brood | sed 1d | grep -o '"verified":[a-z]*' | sort | uniq -c | tr -s ' ' >got
printf ' 12 "verified":false\n 12 "verified":true\n' >wanted # of six solutions and as many nodes of two problems: 2 + 4 pass
same got wanted "verdicts of equal solutions"

# more problems at once than lines are kept read: each against its own tests
i=0
: >ones.jsonl
: >ones_samples.jsonl
while [ $i -lt 30 ]; do
    printf '{"task_id":"p%d","prompt":"A number.","entry_point":"f","test":"def check(f):\\n    assert f(0) == %d"}\n' $i $i >>ones.jsonl
    printf '{"task_id":"p%d","completion":"def f(x): return %d"}\n{"task_id":"p%d","completion":"def f(x): return %d"}\n' $i $((i + 1)) $i $i >>ones_samples.jsonl
    i=$((i + 1))
done
bench_of ones ones_samples.jsonl 2 tests
if [ "$(cut -d ' ' -f 2 ones.live | tr '\n' ' ' | sed 's/failed passed //g')" = "" ] && [ "$(wc -l <ones.live)" -eq 60 ]; then good; else bad "many problems" "$(head -c 600 ones.live)"; fi

# a task whose tests call a function is for Python: no verdict, and that is said;
# a verifier that decided nothing has failed for good, also when the run is begun again, and the records stay
status=3
bench_of mbpp mbpp_samples.jsonl 3 tests,language=perl
status=0
grep -q 'Python alone' err mbpp.records && good || bad "tests that call a function, in Perl" "$(head -c 600 mbpp.records)"
undecided() { "$BROOD" bench colours.jsonl --policy replay:colour_samples.jsonl --reward none --strategy sample:n=2 --verify "command,accept=exit,sandbox=off:sh -c 'exit 3'" --run undecided.brood; }
for again in 1 2; do
    ends 3 undecided
    grep -q "could decide on none of 4 solutions: verifier command: its exit status was neither 0 nor 1" err && ! grep -q "go on from there" err && good || bad "bench, time $again, with a verifier that never decides" "$(cat err)"
done
says '"complete":' "$BROOD" report --jsonl undecided.brood
finish
