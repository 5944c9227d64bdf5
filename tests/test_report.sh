#!/bin/sh
# test_report.sh - tables and chart of two runs of the exact toy policy, as tests/golden/report.txt has them. No trained model
# takes part: what differs is a change of sampling, selection, statistics or layout, and is either meant or wrong.
. "$(dirname "$0")/shell.inc"
chain=p=0.55,q=0.1,spread=0.2
ln -s "$here/golden/toy.jsonl" toy.jsonl
ends 0 "$BROOD" bench toy.jsonl --policy toy:$chain --reward toy:$chain,noise=0.3 -n 8 --run eight.brood
ends 0 "$BROOD" bench toy.jsonl --policy toy:p=0.7,q=0.1,spread=0.2 --strategy greedy --run greedy.brood
# Times are left out, and the columns that they widen.
LC_ALL=C "$BROOD" report eight.brood greedy.brood | sed 's/; [0-9.]* s a problem.*//; s/  *[0-9.]* s$//; s/  *time$//' >report.txt
same report.txt "$here/golden/report.txt" "the report (if the change is meant, write the new one)"
"$BROOD" report --json eight.brood >report.json
for k in 1 2 4 8; do
    grep -q "\"samples\":$k,\"accuracy\"" report.json && good || bad "--json has no point at $k"
done
grep -q '"different":{"solutions":64.0,"texts":55.0,' report.json && good || bad "--json counts other solutions"
grep -q '"verifier":null' report.json && good || bad "--json has a verifier that nobody asked"
# What was verified: every solution has a verdict, equal ones share an execution.
ends 0 "$BROOD" bench toy.jsonl --policy toy:$chain --reward none --verify toy:$chain -n 8 --run verified.brood
says '64 verdicts, 9 of them taken from equal solutions; 55 executions' "$BROOD" report verified.brood
"$BROOD" report --json verified.brood | grep -q '"verdicts":64.0,"equal":9.0,"executions":55.0,' && good ||
    bad "--json does not say what was verified"
"$BROOD" report --html verified.html verified.brood 2>/dev/null && grep -q 'executions took' verified.html && good ||
    bad "the page does not say what was verified"
# Dollars are tokens by prices.
says ' a problem, $' "$BROOD" report --prices policy_input=1,policy_output=2,reward_input=3 eight.brood
grep -q '"usd":null' report.json && good || bad "--json has a price that nobody gave"
"$BROOD" report --json --prices policy_input=1,policy_output=2,reward_input=3 eight.brood >priced.json
if command -v jq >/dev/null; then
    jq -e '.runs[0] | .costs as $c | (((($c.policy_prompt.read + $c.policy.read) * 1
        + $c.policy.generated * 2 + ($c.reward_prompt.read + $c.reward.read) * 3) / 1e6 - .usd) | fabs) < 1e-15
        and (.usd * .graded - .usd_all | fabs) < 1e-12 and .usd > 0' priced.json >out && good ||
        bad "dollars are not tokens by prices" "$(head -c 300 priced.json)"
fi
refuses 2 "policy_input=" report --prices nonsense=1 eight.brood
# The page: the same bytes to a file and to standard output; what samples buy; what cannot be.
says "page.html: " "$BROOD" report eight.brood greedy.brood --html page.html --trees 3
"$BROOD" report eight.brood greedy.brood --html - --trees 3 >again.html
same page.html again.html "the page"
[ "$(grep -c '<details class="p"' page.html)" -eq 1 ] && [ "$(grep -o '<details class="p"' page.html | wc -l)" -eq 3 ] && good || bad "not 3 trees"
"$BROOD" report eight.brood --html one.html --problem "$(sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' toy.jsonl | head -n 1)" >out
[ "$(grep -o '<details class="p"' one.html | wc -l)" -eq 1 ] && good || bad "not the tree of the one problem" "$(cat out)"
says "1 of greedy" "$BROOD" report eight.brood greedy.brood --at 4,1 --prices policy_input=1,policy_output=2
says '"offers":{"problems":8' "$BROOD" report eight.brood greedy.brood --at 4,1 --json
"$BROOD" report eight.brood greedy.brood --at 4,1 --html offers.html >out && says 'id="offers"' cat offers.html
refuses 2 "--at" report eight.brood greedy.brood --at 4
refuses 2 "8 samples" report eight.brood greedy.brood --at 9,1
echo '{"someone else": {"input": 1}}' >prices.json
refuses 2 "no prices of" report eight.brood --prices prices.json
echo '{"brood_plan": 1' >plan.json
refuses 2 "plan.json" report eight.brood --plan plan.json
refuses 2 "give one of them" report eight.brood --html page.html --json
refuses 2 "no run has" report eight.brood --html page.html --problem nobody
refuses 2 "--html FILE" report eight.brood --problem nobody
refuses 2 "nowhere" report eight.brood --html nowhere/page.html
finish
