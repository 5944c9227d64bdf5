#!/bin/sh
# test_verify_layouts.sh - problems in the layouts of EvalPlus, MBPP and CodeContests; languages; references.
. "$(dirname "$0")/shell.inc"

results() { # name of the file with samples: task and result of each
    sed 's/.*"task_id":"\{0,1\}\([^",]*\).*"result":"\([^"]*\).*/\1 \2/' "$1_results.jsonl"
}

# ---- what is refused, before anything runs
echo '{"task_id":1,"completion":"x"}' >samples.jsonl
echo '{"task_id":3,"test_list":[],"code":"def f(x): pass"}' >wrong.jsonl
refuses 2 'wrong.jsonl:1: "test_list"' verify wrong.jsonl samples.jsonl
echo '{"task_id":3,"test_list":["assert 1"]}' >wrong.jsonl
refuses 2 "which function the first test calls" verify wrong.jsonl samples.jsonl
echo '{"name":"a","public_tests":{"input":["1"],"output":[]}}' >wrong.jsonl
refuses 2 'wrong.jsonl:1: "public_tests"' verify wrong.jsonl samples.jsonl
echo '{"name":"a","public_tests":{"input":[],"output":[]}}' >wrong.jsonl
refuses 2 "no tests" verify wrong.jsonl samples.jsonl
echo '{"task_id":1,"prompt":"","entry_point":"f","test":""}' >plain.jsonl
refuses 2 "Python alone" verify --language c plain.jsonl samples.jsonl
refuses 2 "language 'cobol'" verify --language cobol plain.jsonl samples.jsonl

if ! "$BROOD" verify plain.jsonl samples.jsonl -o probe.jsonl >out 2>err; then
    echo "skip: no isolation by namespaces here: $(cat err)"
    finish
    exit
fi

# ---- MBPP: whole programs, asserts, imports of the tests; a task that is a number
cat >mbpp.jsonl <<'END'
{"text":"Write a function to double.","code":"def helper(x):\r\n  return x\r\ndef double(x):\r\n  return helper(2 * x)","task_id":11,"test_setup_code":"","test_list":["assert double(100000) == 200000","assert set(double([1])) == {1}","assert double(2) == 4"],"challenge_test_list":[]}
{"source_file":"own","task_id":12,"prompt":"A root.","code":"import math\ndef root(x):\n  return math.sqrt(x)","test_imports":["import math"],"test_list":["assert math.isclose(root(2), 1.414213, rel_tol=1e-4)"]}
{"task_id":13,"code":"def wrong(x):\n  return x","test_list":["assert wrong(1) == 2"]}
END
cat >mbpp_samples.jsonl <<'END'
{"task_id":11,"completion":"def double(x):\n    return x + x"}
{"task_id":11,"solution":"def double(x):\n    return 2 * x if x != 100000 else 0"}
{"task_id":11,"solution":"def double(x):\n    return x + x"}
{"task_id":12,"completion":"def root(x): return x ** 0.5"}
{"task_id":13,"completion":"def wrong(x): return x + 1"}
END
says "5 samples (4 different programs)" "$BROOD" verify mbpp.jsonl mbpp_samples.jsonl
results mbpp_samples.jsonl >got
printf '11 passed\n11 failed: \n11 passed\n12 passed\n13 passed\n' >want
same got want "MBPP"
"$BROOD" verify --references 2 mbpp.jsonl mbpp_samples.jsonl >out 2>err
if grep -q "13 is left out: its reference fails its own tests" err && ! grep -q "1[12] is left out" err && grep -q "4 samples\|of 2 problems" out; then good; else bad "references" "$(cat out err)"; fi

# ---- the same as one JSON list, as MBPP's sanitized problems are published; tests that cannot be run say nothing of programs
(echo '['; sed '$!s/$/,/' mbpp.jsonl; echo ']') >mbpp.json
"$BROOD" verify --references 1 --keep kept.jsonl mbpp.json mbpp_samples.jsonl -o list.jsonl >out 2>err
if cmp -s list.jsonl mbpp_samples.jsonl_results.jsonl && [ "$(head -n 2 mbpp.jsonl | cmp - kept.jsonl)" = "" ]; then good; else bad "a JSON list" "$(cat out err)"; fi
cat >needs.jsonl <<'END'
{"task_id":1,"prompt":"","entry_point":"f","test":"import no_such_module\ndef check(candidate):\n    assert candidate(1) == 1"}
{"task_id":2,"prompt":"","entry_point":"f","test":"def check(candidate):\n    assert candidate(1) == 1\n    import no_such_module"}
{"task_id":3,"prompt":"","entry_point":"f","test":"def check(candidate):\n    assert candidate(1) == 1"}
END
for id in 1 2 3; do
    printf '{"task_id":%s,"completion":"def f(x):\\n    import no_such_module"}\n{"task_id":%s,"completion":"def f(x): return x"}\n' $id $id
done >needs_samples.jsonl
says "refused       3" "$BROOD" verify needs.jsonl needs_samples.jsonl
results needs_samples.jsonl | sed 's,\(Error\): .*,\1,' >got
cat >want <<'END'
1 failed: the tests: ModuleNotFoundError
1 failed: the tests: ModuleNotFoundError
2 failed: No module named 'no_such_module'
2 failed: the tests: ModuleNotFoundError
3 failed: No module named 'no_such_module'
3 passed
END
same got want "tests that cannot be run"

# ---- EvalPlus: what the reference gives, shortest input first, floats near, numbers of any size; MBPP+'s tuples
cat >plus.jsonl <<'END'
{"task_id":"Own/0","prompt":"def third(x):\n","entry_point":"third","canonical_solution":"    return x / 3 if x < 1e6 else x\n","base_input":[[1], [2.5]],"plus_input":[[123456789012345678901234567890], [7]],"atol":0}
{"task_id":"Mbpp/2","prompt":"def similar_elements(a, b):\n","entry_point":"similar_elements","canonical_solution":"    assert type(a) is tuple\n    return tuple(set(a) & set(b))\n","base_input":[[[3,4],[4,3,5]]],"plus_input":[],"atol":0}
END
cat >plus_samples.jsonl <<'END'
{"task_id":"Own/0","completion":"    return x * 0.3333333333333 if x < 1e6 else x\n"}
{"task_id":"Own/0","completion":"    return x * 0.3333 if x < 1e6 else x\n"}
{"task_id":"Own/0","completion":"    return x / 3\n"}
{"task_id":"Own/0","solution":"def third(x): return x / 3 if x < 1e6 else x\n"}
{"task_id":"Mbpp/2","completion":"    return sorted(set(a) & set(b)) if type(a) is tuple else None\n"}
{"task_id":"Mbpp/2","completion":"    return (3,)\n"}
END
says "6 samples" "$BROOD" verify --references 1 plus.jsonl plus_samples.jsonl
results plus_samples.jsonl >got
cat >want <<'END'
Own/0 passed
Own/0 failed: [1] gives 0.3333, not 0.3333333333333333
Own/0 failed: [123456789012345678901234567890] gives 4.115226300411523e+28, not 123456789012345678901234567890
Own/0 passed
Mbpp/2 passed
Mbpp/2 failed: [(3, 4), (4, 3, 5)] gives (3,), not (3, 4)
END
same got want "EvalPlus"

# ---- CodeContests: both shapes of tests, time limits of their own, references by language, flaky ones
cat >contests.jsonl <<'END'
{"name":"sum","description":"","public_tests":{"input":["1 2\n"],"output":["3\n"]},"private_tests":{"input":["10 20\n","5 5\n"],"output":["30\n","10\n"]},"generated_tests":{"input":[],"output":[]},"solutions":{"language":[2,3],"solution":["int main(){}","a, b = map(int, input().split())\nprint(a + b)"]},"time_limit":{"seconds":4,"nanos":500000000},"memory_limit_bytes":256000000,"input_file":"","output_file":""}
{"name":"any","public_tests":[{"input":"","output":"1"}],"private_tests":null,"solutions":[{"language":"PYTHON3","solution":"import os\nprint(os.urandom(1)[0] % 2)"}]}
{"name":"files","public_tests":{"input":["1"],"output":["1"]},"input_file":"in.txt","output_file":"out.txt"}
END
cat >contest_samples.jsonl <<'END'
{"task_id":"sum","solution":"print(sum(map(int, input().split())))"}
{"task_id":"sum","solution":"a, b = map(int, input().split())\nprint(a + b if a < 10 else 0)"}
{"task_id":"sum","solution":"print(sum(map(int, input().split())))"}
{"task_id":"any","solution":"print(1)"}
{"task_id":"files","solution":"print(1)"}
END
"$BROOD" verify --references 40 contests.jsonl contest_samples.jsonl >out 2>err
results contest_samples.jsonl >got
cat >want <<'END'
sum passed
sum failed: test 2: word 1 is 0, expected 30
sum passed
any passed
files failed: its programs use files of their own: in.txt
END
same got want "CodeContests"
if grep -q "any is left out: its reference passes only sometimes" err && ! grep -q "sum is left" err; then good; else bad "a flaky reference" "$(cat err)"; fi

# ---- another language: compiled once, inside
cat >c_samples.jsonl <<'END'
{"task_id":"sum","solution":"#include <stdio.h>\nint main(void) { int a, b; scanf(\"%d%d\", &a, &b); printf(\"%d\\n\", a + b); return 0; }"}
{"task_id":"sum","solution":"int main(void) { return x; }"}
END
if [ -x /usr/bin/cc ]; then
    says "2 samples" "$BROOD" verify --language c contests.jsonl c_samples.jsonl
    results c_samples.jsonl | cut -c 1-11 >got
    printf 'sum passed\nsum failed:\n' >want
    same got want "C"
else
    echo "skip: no /usr/bin/cc"
fi
# References run in the language that they are written in, whatever that of the samples; where there is none it is said.
"$BROOD" verify --language 'program.sh /bin/sh {source}' --references 40 --keep kept.jsonl contests.jsonl >out 2>err
if grep -q "any is left out: its reference passes only sometimes" err && grep -q "2 of 3 problems are kept" err &&
    grep -q "1 of 3 problems come without a solution that could be run, in Python or C++ (files is the first)" err; then
    good
else
    bad "references of another language than the samples" "$(cat err)"
fi
if [ -x /usr/bin/c++ ]; then
    cat >cpp.jsonl <<'END'
{"name":"right","public_tests":{"input":["7"],"output":["7"]},"solutions":{"language":[2],"solution":["#include <iostream>\nint main() { int a; std::cin >> a; std::cout << a; }"]}}
{"name":"wrong","public_tests":{"input":["7"],"output":["7"]},"solutions":{"language":[2],"solution":["int main() {}"]}}
END
    "$BROOD" verify --references 1 --keep kept.jsonl cpp.jsonl >out 2>err
    if grep -q "wrong is left out" err && [ "$(sed 's/.*"name":"\([a-z]*\).*/\1/' kept.jsonl)" = right ]; then good; else bad "references in C++" "$(cat err)"; fi
fi
echo '{"name":"sum","solution":"read a b; echo $((a + b))"}' >sh_samples.jsonl
says "passed" "$BROOD" verify --language 'program.sh /bin/sh {source}' contests.jsonl sh_samples.jsonl
finish
