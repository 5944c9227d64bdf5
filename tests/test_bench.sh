#!/bin/sh
# test_bench.sh - brood bench, report, vote and score on the bundled models: recorded, killed, resumed, re-chosen, re-scored.
. "$(dirname "$0")/shell.inc"
task="lab:story --limit 10"

# ---- a run, its report, the same run again
# shellcheck disable=SC2086 # words are meant
ends 0 "$BROOD" bench $task -n 4 --run whole.brood
grep -q 'weighted' out && grep -q 'coverage' out && grep -q 'by level' out && good || bad "bench prints no table" "$(cat out)"
"$BROOD" report --jsonl whole.brood >whole.jsonl 2>err && good || bad "no export" "$(cat err)"
[ "$(wc -l <whole.jsonl)" -eq 11 ] && good || bad "the export has $(wc -l <whole.jsonl) lines, not 11"
ends 0 "$BROOD" bench $task -n 4 --run whole.brood --threads 1
"$BROOD" report --jsonl whole.brood >again.jsonl
same whole.jsonl again.jsonl "a finished run that is run again"
refuses 2 "another file" bench $task -n 8 --run whole.brood
ends 0 "$BROOD" bench $task -n 4
[ -f story-first10-small-prm-sample-n4-seed0.brood ] && good || bad "the run is not kept where it should be" "$(ls)"
ends 0 "$BROOD" bench $task --policy lab:large --strategy greedy --run greedy.brood
says '"curves"' "$BROOD" report --json whole.brood greedy.brood
says 'over greedy' "$BROOD" report whole.brood greedy.brood
says 'samples a problem' "$BROOD" report whole.brood greedy.brood
LC_ALL=C "$BROOD" report whole.brood greedy.brood >ascii
LC_ALL=C grep -q '[^ -~]' ascii && bad "more than ASCII in the C locale" "$(LC_ALL=C grep '[^ -~]' ascii | head -n 2)" || good

# ---- killed at any moment and resumed: the same records
for seconds in 0.05 0.15 0.3 0.5; do
    killed_after $seconds "$BROOD" bench $task -n 4 --run killed.brood
done
ends 0 "$BROOD" bench $task -n 4 --run killed.brood
"$BROOD" report --jsonl killed.brood >killed.jsonl
same whole.jsonl killed.jsonl "a run that was killed"

# ---- a budget for the whole run
# shellcheck disable=SC2086 # words are meant
{
    ends 0 "$BROOD" bench $task -n 8 --run-budget tokens=1500 --run shared.brood
    grep -q 'ended early' err && good || bad "bench does not say that problems ended early" "$(cat err)"
    ends 0 "$BROOD" bench $task -n 8 --run-budget usd=0.001 --prices policy_output=1,reward_input=0.1 --run dollars.brood
    refuses 2 "another run_budget" bench $task -n 8 --run-budget tokens=1501 --run shared.brood
    refuses 2 "say with --prices" bench $task -n 8 --run-budget usd=1
}
if command -v jq >/dev/null; then
    "$BROOD" report --json shared.brood | jq -e '.runs[0] | .done == 10 and .spend.tokens_generated * 10 <= 1500
        and .spend.tokens_generated * 10 > 1000' >out && good || bad "a run's tokens" "$(cat out)"
    "$BROOD" report --json dollars.brood | jq -e '.runs[0] | .done == 10 and .usd_all <= 0.001 and .usd_all > 0.0005' >out &&
        good || bad "a run's dollars" "$(cat out)"
fi

# ---- interrupted: status 130 and the command to go on
timeout -s INT --preserve-status 3 "$BROOD" bench lab:story -n 64 --run 'with space.brood' >out 2>err
[ $? -eq 130 ] && good || bad "an interrupted bench" "$(cat err)"
grep -Fxq "brood: to go on from there: brood bench lab:story -n 64 --run 'with space.brood'" err && good ||
    bad "the command to go on is not said" "$(cat err)"

# ---- choosing again, scoring again
says 'weighted' "$BROOD" vote whole.jsonl
"$BROOD" vote --json --select majority -n 4 whole.jsonl >vote.json
"$BROOD" report --json whole.brood >report.json
if command -v jq >/dev/null; then
    vote=$(jq '.rows[0].accuracy[0].mean' vote.json)
    report=$(jq '.runs[0].curves.majority[-1].accuracy.mean' report.json)
    [ "$vote" = "$report" ] && good || bad "vote says $vote, report $report"
fi
"$BROOD" score --reward lab:prm whole.jsonl >scored.jsonl 2>err
same whole.jsonl scored.jsonl "rewards given again"

long=$(printf '%0600d' 7)
{
    echo "{\"prompt\":\"$long\",\"text\":\"2+3 = 5.\"}"
    echo '{"prompt":"Ida has 2 nuts. Ida gets 3 more. How many nuts does Ida have now?","responses":["2+3 = 5.","2+3 = 6."]}'
} >long.jsonl
ends 0 "$BROOD" score --reward lab:prm long.jsonl
grep -q '"rewards":null' out && grep -Eq '"rewards":\[\[[0-9.e-]+\],\[[0-9.e-]+\]\]' out && good || bad "scores after a problem too long" "$(cat out)"
grep -q '1 of 3 solutions could not be scored' err && good || bad "no word about what could not be scored" "$(cat err)"

# ---- the signature: every token, score and choice of a fixed tiny run
"$BROOD" bench --signature >signature 2>err
same signature "$here/signature.txt" "the signature (if this change is meant, say why and write the new one)"
"$BROOD" bench --signature --threads 1 >signature.1 2>err
same signature signature.1 "the signature with one thread"
finish
