#!/bin/sh
# test_lab_code.sh - the bundled programming task: its problems' own programs pass, wrong ones fail, its parts share nothing; what
# its policy was trained to repair reads as what a run puts before it.
. "$(dirname "$0")/shell.inc"
LAB=$root/lab

if ! command -v python3 >/dev/null; then
    echo "skip: no python3: Python programs cannot be run here"
    finish
    exit
fi
cat >split.py <<'END'
import hashlib, json, sys
seen = set()
for split, byte in (("code", 0), ("code-calibration", 1)):
    rows = [json.loads(line) for line in open(f"{sys.argv[1]}/tasks/{split}.jsonl")]
    assert [r["level"] for r in rows] == [1, 2, 3, 4, 5] * 60
    for r in rows:
        assert hashlib.sha1(r["prompt"].encode()).digest()[0] % 16 == byte and r["prompt"] not in seen, r["prompt"]
        assert 4 <= r["test"].count("assert ") <= 8
        seen.add(r["prompt"])
    with open(f"{split}-own.jsonl", "w") as out:
        for r in rows:
            print(json.dumps({"task_id": r["task_id"], "completion": r["canonical_solution"]}), file=out)
print("disjoint")
END
says disjoint python3 split.py "$LAB"

level=namespaces
if ! "$BROOD" verify --isolation $level "$LAB/tasks/code.jsonl" code-own.jsonl -o probe.jsonl >out 2>err; then
    level=filtered
    if ! "$BROOD" verify --isolation $level "$LAB/tasks/code.jsonl" code-own.jsonl -o probe.jsonl >out 2>err; then
        echo "skip: no isolation here: $(cat err)"
        finish
        exit
    fi
fi
# checked SPLIT SAMPLES PASSED: all problems have samples, and so many pass.
checked() {
    ends 0 "$BROOD" verify --isolation $level "lab:$1" "$2" -o results.jsonl
    n=$(grep -c '"passed":true' results.jsonl)
    if [ "$n" = "$3" ]; then good; else bad "$1: $n of $2 pass, not $3" "$(tail -n 3 out)"; fi
}

for split in code code-calibration; do
    checked $split $split-own.jsonl 300
    # every sixth wrong program: one number off by one, one operator exchanged, one line left out
    (cd "$LAB" && PYTHONDONTWRITEBYTECODE=1 python3 programs_task.py mutants "tasks/$split.jsonl") |
        awk 'NR % 6 == 1' >wrong.jsonl
    if [ "$(wc -l <wrong.jsonl)" -gt 400 ]; then good; else bad "$split: only $(wc -l <wrong.jsonl) wrong programs"; fi
    checked $split wrong.jsonl 0
done

# Requests for revisions in a run, with what failed and without, against those that training made: letters and tokens.
for told in verifier none; do
    ends 0 "$BROOD" bench lab:code-calibration --limit 40 --policy lab:code --verify "tests,isolation=$level" \
        --strategy "revise:n=4,length=4,stop=verified,feedback=$told" --run $told.brood
    "$BROOD" report --jsonl $told.brood >$told.jsonl
    says_all() { PYTHONDONTWRITEBYTECODE=1 python3 "$LAB/repairs.py" check "$1" "$LAB/tasks/code-calibration.jsonl"; }
    says "0 differ" says_all $told.jsonl
done
finish
