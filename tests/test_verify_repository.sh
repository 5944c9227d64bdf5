#!/bin/sh
# test_verify_repository.sh - patches against a repository's tests: a small repository made here, its task in SWE-bench's layout.
. "$(dirname "$0")/shell.inc"

if ! command -v git >/dev/null; then
    echo "skip: no git"
    finish
    exit
fi
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b

# ---- the repository: a bug, a test that will fail, one that passes, one that is flaky, one that another commit brought
mkdir -p clones/own__sums/tests && cd clones/own__sums || exit 1
git init -q .
cat >sums.py <<'END'
def mean(xs):
    return sum(xs) / 2


def total(xs):
    return sum(xs)
END
touch tests/__init__.py
cat >tests/test_sums.py <<'END'
import os, unittest
import sums


class Sums(unittest.TestCase):
    def test_total(self):
        """The total of a list is the sum."""
        self.assertEqual(sums.total([1, 2, 3]), 6)

    def test_coin(self):
        self.assertTrue(os.urandom(1)[0] % 2)
END
git add -A && git commit -qm base && base=$(git rev-parse HEAD)
sed -i 's,sum(xs) / 2,sum(xs) / len(xs),' sums.py && git diff >../../gold.patch && git checkout -q .
cat >>tests/test_sums.py <<'END'

    def test_mean(self):
        self.assertEqual(sums.mean([1, 2, 3]), 2)
END
git diff >../../test.patch && git checkout -q .
echo '# the answer is len(xs)' >later.txt && git add -A && git commit -qm later
cd "$dir" || exit 1

quote() { python3 -c 'import json, sys; print(json.dumps(sys.stdin.read()))'; }
record() { # commit, FAIL_TO_PASS, PASS_TO_PASS
    printf '{"instance_id":"own__sums-1","repo":"own/sums","base_commit":"%s","problem_statement":"mean is wrong","hints_text":"","version":"1","patch":%s,"test_patch":%s,"FAIL_TO_PASS":%s,"PASS_TO_PASS":%s}\n' "$1" "$(quote <gold.patch)" "$(quote <test.patch)" "$2" "$3"
}
record "$base" '"[\"test_mean (tests.test_sums.Sums)\"]"' '["tests.test_sums.Sums.test_total"]' >task.jsonl
sample() { printf '{"instance_id":"own__sums-1","model_name_or_path":"own","model_patch":%s}\n' "$(quote)"; }

# ---- what is refused
echo '{"instance_id":"own__sums-1","model_patch":""}' >samples.jsonl
refuses 2 "--repositories" verify task.jsonl samples.jsonl
for option in language isolation; do
    refuses 2 "--$option is for tasks whose solutions are programs" verify --repositories clones --$option c task.jsonl samples.jsonl
done
refuses 2 "--workers is for tasks" verify --repositories clones --workers 2 task.jsonl samples.jsonl
refuses 2 "give one of them" verify --repositories clones --run a --container b task.jsonl samples.jsonl
refuses 2 "no such folder" verify --repositories missing task.jsonl samples.jsonl
record HEAD '["t"]' '[]' >wrong.jsonl
refuses 2 "is no commit" verify --repositories clones wrong.jsonl samples.jsonl
record "$base" '[]' '[]' >wrong.jsonl
refuses 2 "lists of names" verify --repositories clones wrong.jsonl samples.jsonl
record "$base" '["--version"]' '[]' >wrong.jsonl
refuses 2 "lists of names" verify --repositories clones wrong.jsonl samples.jsonl

if ! "$BROOD" verify --repositories clones task.jsonl samples.jsonl -o probe.jsonl >out 2>err; then
    echo "skip: no isolation by namespaces here: $(cat err)"
    finish
    exit
fi
if ! [ -x /usr/bin/python3 ]; then
    echo "skip: no /usr/bin/python3"
    finish
    exit
fi

# ---- verdicts of patches
change() { (cd clones/own__sums && git checkout -q "$base" && sh -c "$1" && git add -A && git diff --cached && git reset -q --hard && git clean -qfd) | sample; }
{
    sample <gold.patch
    printf '' | sample
    change "sed -i 's,/ 2,/ 3,' sums.py"
    change "sed -i 's,/ 2,/ 4,' sums.py"
    change "sed -i 's,sum(xs) / 2,sum(xs) / len(xs),; s,return sum(xs)\$,return 7,' sums.py"
    change "sed -i 's|, 6)|, 7)|' tests/test_sums.py"
    change "printf 'import os\nos._exit(0)\n' >sums.py"
    change "printf 'print(\"OK\")\nraise SystemExit(0)\n' >sums.py"
    change "ln -s /etc/passwd link"
    change "rm sums.py"
    change "printf 'def mean(xs):\n    while True: pass\n' >broken.py; printf 'this is no python' >sums.py"
    printf -- '--- a/../escape\n+++ b/../escape\n@@ -0,0 +1 @@\n+x\n' | sample
    printf -- '--- /dev/null\n+++ b//etc/brood-was-here\n@@ -0,0 +1 @@\n+x\n' | sample
    printf -- '--- /dev/null\n+++ b/.git/hooks/post-checkout\n@@ -0,0 +1 @@\n+touch /tmp/brood-was-here\n' | sample
    printf -- '--- a/sums.py\n+++ b/sums.py\n@@ -1,2 +1,2 @@\n def other(xs):\n-    return 1\n+    return 2\n' | sample
    sample <gold.patch
} >samples.jsonl
cat >want <<'END'
passed
failed: the patch is not applied: it is no patch: it changes no file
passed
failed: 1 of 2 tests pass; test_mean (tests.test_sums.Sums) does not
failed: 1 of 2 tests pass; tests.test_sums.Sums.test_total does not
failed: the patch is not applied: it touches the tests
failed: 0 of 2 tests pass; test_mean (tests.test_sums.Sums) does not
failed: 0 of 2 tests pass; test_mean (tests.test_sums.Sums) does not
failed: the patch is not applied: it makes a link
failed: 0 of 2 tests pass; test_mean (tests.test_sums.Sums) does not
failed: 0 of 2 tests pass; test_mean (tests.test_sums.Sums) does not
failed: the patch is not applied: it names a file outside of the repository
failed: the patch is not applied: it names a file outside of the repository
failed: the patch is not applied: it names a file outside of the repository
failed: the patch does not apply: error: patch failed: sums.py:1
passed
END
says "1 of 1 tasks resolved; 3 of 16 patches pass" "$BROOD" verify --repositories clones task.jsonl samples.jsonl
sed 's/.*"result":"\([^"]*\).*/\1/' samples.jsonl_results.jsonl >got
same got want "verdicts of patches"
[ ! -e /tmp/brood-was-here ] && [ ! -e escape ] && good || bad "a patch has left something"
for folder in /var/tmp/brood.??????; do # those that others use now are locked
    [ -d "$folder" ] && flock -n "$folder" true && bad "copies are left" "$folder" || good
done
says '"resolved":1' "$BROOD" verify --json --repositories clones task.jsonl samples.jsonl

# ---- flaky tests are found and left out, aloud; as are tests that tell nothing
record "$base" '["tests.test_sums.Sums.test_mean", "tests.test_sums.Sums.test_total"]' '["test_coin (tests.test_sums.Sums)","tests.test_sums.Sums.test_gone"]' >flaky.jsonl
head -n 1 samples.jsonl >gold.jsonl
says "1 of 1 patches pass" "$BROOD" verify --references 12 --repositories clones flaky.jsonl gold.jsonl
for text in "test_coin (tests.test_sums.Sums) is flaky" "test_gone fails with the published patch" "test_total passes without a patch"; do
    if grep -Fq "$text" err; then good; else bad "does not say '$text'" "$(cat err)"; fi
done

# ---- a command outside of the sandbox, such as a container's
says "1 of 1 patches pass" "$BROOD" verify --container 'env -C {folder} python3 -B -m unittest -v {tests}' --repositories clones task.jsonl gold.jsonl
says "0 of 1 patches pass" "$BROOD" verify --container 'true {tests}' --repositories clones task.jsonl gold.jsonl

# ---- killed between two patches, it goes on with the next: the command stops at the second patch until it is killed
cat >once <<END
#!/bin/sh
echo run >>$dir/runs
if [ "\$(wc -l <$dir/runs)" -eq 2 ]; then : >$dir/stopped; exec sleep 1000000; fi
folder=\$1 && shift
exec env -C "\$folder" python3 -B -m unittest -v "\$@"
END
chmod +x once && rm -f runs
head -n 3 samples.jsonl >three.jsonl
"$BROOD" verify --container "$dir/once {folder} {tests}" --repositories clones task.jsonl three.jsonl >out 2>err </dev/null &
until [ -e stopped ]; do kill -0 $! 2>/dev/null || break; sleep 0.02; done
kill -TERM $!
wait $!
if [ $? -eq 130 ] && grep -q "[12] of 3 were decided and are kept: the same command goes on" err; then good; else bad "interrupted" "$(cat err)"; fi
"$BROOD" verify --container "$dir/once {folder} {tests}" --repositories clones task.jsonl three.jsonl >out 2>err
"$BROOD" verify --repositories clones task.jsonl three.jsonl -o straight.jsonl >out 2>err
same three.jsonl_results.jsonl straight.jsonl "results of an interrupted check"
[ ! -e three.jsonl_results.jsonl.part ] && good || bad "what was kept is left"

# ---- pytest's names and reports
cat >report <<'END'
#!/bin/sh
printf '=== short test summary info ===\nPASSED tests/test_a.py::test_one[x-1]\nPASSED tests/test_a.py::test_two\nFAILED tests/test_a.py::test_two - assert 0\nPASSED tests/test_a.py::test_three_more\n'
END
chmod +x report
for names in '["tests/test_a.py::test_one[x-1]"] 1' '["tests/test_a.py::test_two"] 0' '["tests/test_a.py::test_three"] 0'; do
    record "$base" "${names% *}" '[]' >pytest.jsonl
    says "${names##* } of 1 patches pass" "$BROOD" verify --container "$dir/report {tests}" --repositories clones pytest.jsonl gold.jsonl
done
finish
