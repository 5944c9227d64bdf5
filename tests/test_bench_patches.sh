#!/bin/sh
# test_bench_patches.sh - live runs whose solutions are patches to a repository: the bundled example (examples/patches/make), its flaky
# test found and left out, recorded patches as the policy, the first verified one chosen; killed and resumed.
. "$(dirname "$0")/shell.inc"

refuses 2 "say where clones" bench lab:story --verify patch --run no.brood
refuses 2 "no such folder" bench lab:story --verify patch,clones=missing --run no.brood
refuses 2 "name the command" bench lab:story --verify patch,clones=.,sandbox=off --run no.brood
refuses 2 "it has no 'language'" bench lab:story --verify patch,clones=.,language=c --run no.brood
refuses 2 "expected given or none" bench lab:story --verify patch,clones=.,show=all --run no.brood
if ! command -v git >/dev/null || ! [ -x /usr/bin/python3 ]; then
    echo "skip: no git, or no /usr/bin/python3"
    finish
    exit
fi

# ---- the example: always the same commits
ends 0 "$root/examples/patches/make" .
[ "$(git -C clones/own__shares rev-parse --short=12 main~2)" = 32af997774ab ] && good || bad "other commits"
ends 2 "$root/examples/patches/make" .
refuses 2 "--verify patch" bench task.jsonl --policy replay:patches.jsonl --reward none --run no.brood
refuses 2 "--references" verify --keep clean.jsonl --repositories clones task.jsonl
refuses 2 "too few arguments" verify --repositories clones task.jsonl
if ! "$BROOD" verify --repositories clones --references 12 --keep clean.jsonl task.jsonl >out 2>err; then
    echo "skip: no isolation by namespaces here: $(cat err)"
    finish
    exit
fi

# ---- what is flaky is said and left out of the task's file; patches are judged by what is left
for task in 1 2; do
    grep -Fq "own__shares-$task: left out: tests.test_shares.Shares.test_coin is flaky" err && good || bad "no flaky test" "$(cat err)"
done
grep -Fq "2 of 2 problems are kept: clean.jsonl" err && good || bad "what is kept is not said" "$(cat err)"
[ "$(wc -l <clean.jsonl)" -eq 2 ] && ! grep -q test_coin clean.jsonl && grep -q test_total clean.jsonl && good || bad "clean.jsonl" "$(cat clean.jsonl)"
says "2 of 2 tasks resolved; 4 of 12 patches pass" "$BROOD" verify --repositories clones clean.jsonl patches.jsonl
sed 's/.*"result":"\([^"]*\).*/\1/; s/tests.test_shares.Shares.//' patches.jsonl_results.jsonl >got
cat >want <<'END'
failed: 2 of 3 tests pass; test_nothing_is_lost does not
failed: 2 of 3 tests pass; test_nothing_is_lost does not
failed: the patch is not applied: it touches the tests
failed: the patch does not apply: error: patch failed: shares.py:3
passed
passed
failed: 3 of 4 tests pass; test_cents_have_two_digits does not
failed: 3 of 4 tests pass; test_cents_have_two_digits does not
passed
failed: 2 of 4 tests pass; test_cents_have_two_digits does not
failed: the patch is not applied: it is no patch: it changes no file
passed
END
same got want "verdicts of the recorded patches"

# ---- a live run: the same verdicts, what was wrong recorded for a revision to read, the first verified chosen. The tests are the
# grade: of patches that apply and fail them all is said in the same words, and no score; show=given names the first that fails
run() { "$BROOD" bench clean.jsonl --policy replay:patches.jsonl --reward none --strategy sample:n=6"$1" --verify "patch,clones=clones$2" --run "$3"; }
ends 0 run "" "" whole.brood
"$BROOD" report --jsonl whole.brood >whole.jsonl
# what is recorded of each solution: whether it was verified, and what was said
cat >lines.py <<'END'
import json, sys
for line in open(sys.argv[1]):
    problem = json.loads(line)
    for node in problem.get("nodes", []):
        print("passed" if node["verified"] else "failed: " + node["feedback"].replace("tests.test_shares.Shares.", ""))
    for choice in problem.get("choices", []):
        print("chosen", choice["path"], file=sys.stderr)
END
python3 lines.py whole.jsonl >got 2>chosen
sed 's/failed: [0-9] of .*/failed: The patch applies, but tests of the task that are not shown do not pass./' want >unseen
same got unseen "verdicts of a live run"
grep -q '"verifier_score"' whole.jsonl && bad "a score, of tests that are the grade" "$(cat whole.jsonl)" || good
ends 0 run "" ",show=given" given.brood
"$BROOD" report --jsonl given.brood >given.jsonl
python3 lines.py given.jsonl >got 2>/dev/null
same got want "verdicts of a live run whose tests may be known"
grep -q '"verifier_score":0.75' given.jsonl && good || bad "no share of tests that pass" "$(cat given.jsonl)"
printf 'chosen 4\nchosen 2\n' >want
same chosen want "the first verified patches"
ends 0 run ",stop=verified,window=1" "" first.brood
"$BROOD" report --jsonl first.brood >first.jsonl
python3 lines.py first.jsonl 2>chosen >got
same chosen want "the first verified patches, the search ended by them"
[ "$(wc -l <got)" -eq 8 ] && good || bad "patches behind the first verified one were asked for" "$(cat got)"

# ---- killed at any moment and resumed: the same records; what the killed ones left is removed by the next
before=$(find /var/tmp -maxdepth 1 -name 'brood.??????' | sort)
for seconds in 0.2 0.4 0.6; do
    killed_after $seconds "$BROOD" bench clean.jsonl --policy replay:patches.jsonl --reward none --strategy sample:n=6 \
        --verify patch,clones=clones,workers=2 --run killed.brood
done
ends 0 run "" ,workers=2 killed.brood
"$BROOD" report --jsonl killed.brood >killed.jsonl
sed 1d whole.jsonl >whole.records
sed 1d killed.jsonl >killed.records
same whole.records killed.records "a run that was killed"
for folder in $(find /var/tmp -maxdepth 1 -name 'brood.??????' | sort); do # of this run, or of others that go on
    case $before in *"$folder"*) continue ;; esac
    if flock -n "$folder" true; then bad "$folder is left" "$(ls "$folder")"; else good; fi
done

# ---- patches as models write them; tests by a command outside of the sandbox; what cannot be told is no verdict
python3 - <<'END'
import json
lines = [json.loads(line) for line in open("patches.jsonl")]
gold = lines[4]["model_patch"]
forms = ["It loses the rest.\n\n```diff\n" + gold + "```\nNow it does not.", "So:\n" + gold.rstrip("\n"),
         "```python\nprint(1)\n```\n```\n" + gold + "```\n```\nnothing\n```"]
with open("forms.jsonl", "w") as out:
    print(json.dumps({"id": "own__shares-1", "samples": forms}), file=out)
END
ends 0 "$BROOD" bench clean.jsonl --limit 1 --policy replay:forms.jsonl --reward none --strategy sample:n=3 --run forms.brood \
    --verify 'patch,clones=clones,sandbox=off:env -C {folder} python3 -B -m unittest -v {tests}'
"$BROOD" report --jsonl forms.brood >forms.jsonl
python3 lines.py forms.jsonl 2>chosen >got
printf 'passed\npassed\npassed\n' >want
same got want "patches as models write them"
mkdir empty
"$BROOD" bench clean.jsonl --policy replay:patches.jsonl --reward none --strategy sample:n=1 --verify patch,clones=empty --run none.brood >out 2>err
grep -q "no clone of own/shares" out err && "$BROOD" report --jsonl none.brood | grep -q '"verified":true' && bad "verified without a clone" || good
finish
