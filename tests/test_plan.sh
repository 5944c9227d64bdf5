#!/bin/sh
# test_plan.sh - a plan from runs of the exact toy policy to a run by it: brood bench, brood plan, brood bench --plan, brood solve --plan.
. "$(dirname "$0")/shell.inc"
chain=depth=5,p=0.7,q=0.1,spread=0.3
i=0
while [ $i -lt 80 ]; do
    echo "{\"id\":\"c$i\",\"problem\":\"calibration chain $i\",\"answer\":$((i % 3)),\"level\":1}"
    i=$((i + 1))
done >calibration.jsonl
sed 's/calibration/other/;s/"c/"t/' calibration.jsonl >other.jsonl

bench() {
    "$BROOD" bench "$@" --policy "toy:$chain" --reward "toy:$chain,noise=0.1" >out 2>err </dev/null && good || bad "bench $*" "$(head -c 400 err)"
}
bench calibration.jsonl -n 32 --run s.brood
bench calibration.jsonl --strategy beam:n=8,width=4 --run b.brood
bench calibration.jsonl --strategy greedy --run g.brood
bench other.jsonl -n 32 --run o.brood

says 'fitted to 3 runs over 80 problems, 32 samples of each' "$BROOD" plan s.brood b.brood g.brood -o plan.json
for part in 'predicted, %' 'Brier score' 'the plan: what follows the pilot' 'plan, difficulty known' 'one strategy' 'majority'; do
    grep -Fq "$part" out && good || bad "brood plan does not say '$part'" "$(head -c 600 out)"
done
says '"unit": "tokens"' cat plan.json
says '"unit": "flops"' sh -c "'$BROOD' plan s.brood b.brood --by flops --bins absolute --each --pilots 2,8 -o flops.json >/dev/null && cat flops.json"
says 'problems of the other run' "$BROOD" plan s.brood --check o.brood
"$BROOD" plan s.brood b.brood g.brood -o again.json >/dev/null 2>&1
same plan.json again.json 'the same runs'
says '"checked":' "$BROOD" plan s.brood --check o.brood --json
for key in plan reliability lines; do
    "$BROOD" plan s.brood --json | grep -Fq "\"$key\":" && good || bad "--json has no $key"
done

for n in 1 4 32; do bench other.jsonl --plan plan.json -n $n --run a$n.brood; done
bench other.jsonl --plan flops.json -n 8 --run f.brood
# More budget, more tokens; and what a plan spends is near what it says.
tokens() { "$BROOD" report --json "$1" | sed 's/.*"spend":{"tokens_generated":\([0-9]*\)[^0-9].*/\1/'; }
[ "$(tokens a1.brood)" -le "$(tokens a4.brood)" ] && [ "$(tokens a4.brood)" -le "$(tokens a32.brood)" ] && good || bad "tokens do not rise with the budget"
[ "$(tokens a32.brood)" -le $((33 * 5)) ] && good || bad "32 samples' worth is $(tokens a32.brood) tokens, of 160"
says '"plan":' "$BROOD" report --jsonl a4.brood
says 'another plan' sh -c "'$BROOD' bench other.jsonl --plan flops.json -n 4 --policy toy:$chain --reward toy:$chain,noise=0.1 --run a4.brood 2>&1; true"
says 'support:' "$BROOD" solve --policy "toy:$chain" --reward "toy:$chain" --plan plan.json -n 32 'a chain'
says 'support:' "$BROOD" solve --policy "toy:$chain" --reward "toy:$chain" --strategy adaptive:n=32 'a chain'
says 'support:' "$BROOD" solve --policy "toy:$chain" --strategy adaptive:n=32 'a chain'

refuses 2 'brood plan' plan
refuses 2 'no run of independent samples' plan g.brood b.brood
refuses 2 '--by' plan s.brood --by miles
refuses 2 '--bins' plan s.brood --bins wide
refuses 2 '--pilots' plan s.brood --pilots 0
refuses 2 'no.brood' plan no.brood
refuses 2 'task' plan s.brood o.brood
refuses 2 'nowhere' plan s.brood -o nowhere/plan.json
refuses 2 '--plan' solve --policy "toy:$chain" --plan no.json 'a chain'
refuses 2 'other.jsonl: not valid JSON' solve --policy "toy:$chain" --plan other.jsonl 'a chain'
refuses 2 'adaptive' solve --policy "toy:$chain" --reward "toy:$chain" --plan plan.json --strategy sample 'a chain'
refuses 2 'reward model' solve --policy "toy:$chain" --plan plan.json -n 32 'a chain'
finish
