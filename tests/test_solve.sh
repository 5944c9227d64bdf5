#!/bin/sh
# test_solve.sh - brood solve on the bundled models.
. "$(dirname "$0")/shell.inc"
question='Ida has 25 nuts. Now Ida has 8 times as many. Ida keeps half of them. How many nuts does Ida have now?'

parses() { # FILE: one JSON value
    if command -v jq >/dev/null; then jq -e . <"$1" >/dev/null; elif command -v python3 >/dev/null; then
        python3 -m json.tool <"$1" >/dev/null; else grep -q '^{.*}$' "$1"; fi
}
without_time() { sed 's/"seconds":[0-9.e+-]*//; s/; [0-9.]* m\{0,1\}s$//' "$1"; }

# ---- the same problem by argument, standard input and file
"$BROOD" solve "$question" >argument 2>err && good || bad "solve ended with $?" "$(cat err)"
printf '%s\n' "$question" >problem.txt
"$BROOD" solve --file problem.txt >file 2>err && "$BROOD" solve - <problem.txt >stdin 2>err && good || bad "solve by file or stdin" "$(cat err)"
for f in argument file stdin; do without_time $f >$f.stripped; done
same argument.stripped file.stripped "an argument and a file"
same argument.stripped stdin.stripped "an argument and standard input"
[ -s err ] && bad "short work is not quiet" "$(cat err)" || good
for word in 'The answer is' 'support: ' 'chosen by weighted' 'cost: 16 solutions' 'FLOP by the policy' 'by the reward model'; do
    if grep -Fq "$word" argument; then good; else bad "solve does not say '$word'" "$(cat argument)"; fi
done

# ---- machines
"$BROOD" solve --json "$question" >one.json 2>err && parses one.json && good || bad "--json does not parse" "$(head -c 300 one.json)"
[ "$(wc -l <one.json)" -eq 1 ] && good || bad "--json is not one line"
for key in answer select votes margin classes solutions rewards steps flops_policy flops_reward tokens_generated; do
    if grep -q "\"$key\"" one.json; then good; else bad "--json has no $key"; fi
done
if command -v jq >/dev/null; then # what is said fits together
    jq -e '. as $o | .solutions[.chosen] as $x | .answer == $x.answer and .classes[0].votes == .votes
        and ([.classes[].votes] | add) == .voters and (.solutions | length) == 16
        and ([.solutions[] | (.rewards | length) == (.steps | length)] | all)
        and .voters == ([.solutions[] | select(.complete and .answer != null)] | length)' one.json >out && good ||
        bad "--json contradicts itself" "$(head -c 600 one.json)"
fi
"$BROOD" solve --json --threads 1 "$question" >two.json 2>err
without_time one.json >one.stripped
without_time two.json >two.stripped
same one.stripped two.stripped "one thread and all"
first=$(head -n 1 argument)
grep -Fq "\"answer\":\"$first\"" one.json && good || bad "text and --json disagree on the answer '$first'"

# ---- fewer and other
says 'cost: 1 solution, ' "$BROOD" solve -n 1 "$question"
says 'chosen by majority' "$BROOD" solve --policy lab:large --strategy greedy "$question"
says 'chosen by best rewards (prod)' "$BROOD" solve --select best --aggregate prod -n 4 "$question"
"$BROOD" solve --all -n 5 "$question" >all 2>err
[ "$(grep -c 'log-probability' all)" -eq 5 ] && good || bad "--all does not list five solutions" "$(cat all)"
says 'cost: 3 solutions' "$BROOD" solve --budget samples=3 "$question"
says 'the search ended early: budget' "$BROOD" solve --budget tokens=60 -n 64 "$question"

# ---- interrupted: the best answer so far, status 130
for strategy in sample:n=100000; do
    timeout -s INT --preserve-status 3 "$BROOD" solve --strategy $strategy "$question" >out 2>err
    [ $? -eq 130 ] && grep -q 'ended early: stopped' out && good || bad "an interrupted $strategy" "$(head -c 300 out err)"
done
toy="--policy toy:depth=6,slow=9 --reward toy:depth=6,noise=0.1"
# shellcheck disable=SC2086 # words are meant
{
    "$BROOD" solve $toy --strategy beam:n=16,width=4 "$question" >plain 2>err
    says 'were asked for' "$BROOD" solve $toy --strategy beam:n=16,width=4 --speculate on "$question"
}
sed '/^cost\|^of that\|^on top\|^written/d' out >ahead.stripped
sed '/^cost\|^of that/d' plain >plain.stripped
same plain.stripped ahead.stripped "steps written ahead and the search without"

# one thread at temperature 2 writes few equal steps, so that also a quick machine has work for longer than the deadline
for strategy in sample:n=100000 beam:n=4096 dvts:n=4096 mcts:n=4096,width=64 its-pf:n=4096; do
    for limit in seconds=0.3 'tokens=3000' 'usd=0.01'; do # prices: so many tokens that the budget ends it
        "$BROOD" solve --strategy $strategy --budget $limit --prices policy_output=10,reward_input=1 --threads 1 --temperature 2 \
            "$question" >out 2>err
        [ $? -eq 0 ] && grep -q '^support: ' out && grep -Eq 'ended early: (deadline|budget \((tokens|usd)\))' out && good ||
            bad "$strategy ended by $limit" "$(head -c 600 out err)"
    done
done
# why a piece of work failed is said, here by a verifier that cannot tell: then it has failed for good
why='verifier command: its exit status was neither 0 nor 1'
for json in "" --json; do
    "$BROOD" solve $json -n 2 --verify "command,accept=exit:sh -c 'exit 3'" "$question" >out 2>err
    if [ $? -eq 3 ] && grep -q "could decide on none of 2 solutions: $why" err && grep -q "$why" out; then good; else bad "a verifier that cannot tell $json" "$(cat out err)"; fi
done
says "(no answer: the verifier passed no solution)" "$BROOD" solve -n 2 --verify command,accept=exit:false "$question"

finish
