#!/bin/sh
# test_prm_example.sh - a reward model that nobody has seen, by a small file: examples/prm, as docs/models.md goes through it. It is
# lab:prm in another form, so it must score as lab:prm does.
. "$(dirname "$0")/shell.inc"
question='Tom has 12 jars. Tom sells 5 of them. How many are left?'

if ! "$root/examples/prm/make" prm 2>err; then
    if command -v python3 >/dev/null; then bad "examples/prm/make" "$(cat err)"; else echo "skip: no python3"; fi
    finish
    exit
fi
cd prm || exit 1
ends 1 "$root/examples/prm/make" .
says "step reward  none: unseen: a head of 3 classes" "$BROOD" model unseen
says "step reward  unseen: softmax, good first of outputs 0 and 2; best used with min" "$BROOD" model unseen,profile=unseen.json
says 'closing {token:<score>}' "$BROOD" model unseen,profile=unseen.json
refuses 2 "profile=NAME" score solutions.jsonl --reward unseen
refuses 2 "profile=NAME" solve --policy lab:small --reward unseen "$question"
"$BROOD" score solutions.jsonl --reward unseen,profile=unseen.json >unseen.jsonl 2>err && good || bad "score" "$(cat err)"
"$BROOD" score solutions.jsonl --reward lab:prm >lab.jsonl 2>err && good || bad "score by lab:prm" "$(cat err)"
same unseen.jsonl lab.jsonl "rewards of the same model in two forms"
[ "$(grep -o '"rewards":\[0.9' unseen.jsonl | wc -l)" -eq 1 ] && [ "$(grep -o '"rewards":\[0.000' unseen.jsonl | wc -l)" -eq 2 ] &&
    good || bad "a right solution and two wrong ones" "$(cat unseen.jsonl)"
for strategy in sample beam:n=8,width=2; do
    for reward in unseen,profile=unseen.json lab:prm; do
        "$BROOD" solve --policy lab:small --strategy $strategy --reward $reward "$question" 2>err | sed 's/; [0-9.]* m\{0,1\}s$//' >"solved.$reward"
    done
    grep -Fq 'The answer is' solved.unseen,profile=unseen.json && good || bad "solve" "$(cat err)"
    same solved.unseen,profile=unseen.json solved.lab:prm "answers by the same model in two forms ($strategy)"
done

# ---- other labels, other scores; what is not right is said
sed 's/"good": 0/"good": 2/; s/"bad": 2/"bad": [0, 1]/' unseen.json >other.json
"$BROOD" score solutions.jsonl --reward unseen,profile=other.json >other.jsonl 2>err && ! cmp -s other.jsonl unseen.jsonl && good || bad "three labels" "$(cat err)"
sed 's/"good": 0/"good": 3/' unseen.json >wrong.json
refuses 2 "from 0 to 2" score solutions.jsonl --reward unseen,profile=wrong.json
sed 's/<score>/<rating>/' unseen.json >wrong.json
refuses 2 "<rating>" score solutions.jsonl --reward unseen,profile=wrong.json
sed 's/"closing"/"clossing"/' unseen.json >wrong.json
refuses 2 '"clossing" is unknown' model unseen,profile=wrong.json
refuses 2 "nowhere.json" model unseen,profile=nowhere.json
finish
