#!/bin/sh
# test_quantise.sh - --weights at the command line: the same work from a folder and from a GGUF file, at any number of threads, recorded.
. "$(dirname "$0")/shell.inc"
export XDG_CACHE_HOME="$dir/cache"
small="$root/lab/models/small" export="$root/lab/export_gguf.py"
question='Ida has 25 nuts. Now Ida has 8 times as many. Ida keeps half of them. How many nuts does Ida have now?'

says 'Q4_0 (24), F16 (13), Q8_0 (1)' "$BROOD" model "$small" --weights q4_0
refuses 2 'weights q3: give bf16, q8_0' model "$small" --weights q3
refuses 2 'weights q8_0 are for models that run here' solve --policy toy: --reward none --weights q8_0 x

says 'BF16 (25), F16 (13); inputs of products are rounded to BF16, too' "$BROOD" model "$small" --weights bf16
says 'token in F16' "$BROOD" model "$small" --weights bf16

solve() { # POLICY THREADS OUT [WEIGHTS]
    "$BROOD" solve --json --reward none --weights "${4:-q8_0}" --policy "$1" --threads "$2" --strategy sample:n=8 "$question" 2>err |
        sed 's/"seconds":[0-9.e+-]*//' >"$3" || bad "solve with $1" "$(cat err)"
}
solve "$small" 1 one.json
grep -q '"logprob":-' one.json && good || bad "no probabilities" "$(head -c 300 one.json)"
solve "$small" 2 two.json
same one.json two.json "one thread and two"
solve "$small" 1 bf1.json bf16
solve "$small" 2 bf2.json bf16
same bf1.json bf2.json "BF16: one thread and two"
BROOD_ISA=generic solve "$small" 2 bf3.json bf16
same bf1.json bf3.json "BF16: another instruction set"
if command -v python3 >/dev/null; then
    for type in F32 F16; do
        python3 "$export" "$small" small.gguf $type || bad "export of $type"
        solve small.gguf 2 file.json
        same one.json file.json "a folder and a GGUF file of $type, quantised"
        solve small.gguf 2 file.json bf16
        same bf1.json file.json "a folder and a GGUF file of $type, BF16"
    done
    python3 "$export" "$small" small.gguf Q4_0
    refuses 2 'coded already' model small.gguf --weights q8_0
fi

# ---- a run knows its weights
bench="bench lab:story --limit 1 --strategy sample:n=2 --run run.brood"
ends 0 "$BROOD" $bench --weights q8_0 --reward-weights file
"$BROOD" report --jsonl run.brood | head -1 >run.json
grep -q '"policy":{[^}]*"weights":"q8_0","kv":"f16"}' run.json && good || bad "the run does not say q8_0" "$(head -c 400 run.json)"
grep -q '"reward":{[^}]*"kv"' run.json && bad "the reward model keeps F32" || good
grep -q '"reward":{[^}]*"weights"' run.json && bad "the reward model's weights are the file's" || good
ends 0 "$BROOD" $bench --weights q8_0 --reward-weights file
refuses 2 'another policy' $bench --weights q5_0 --reward-weights file
refuses 2 'another policy' $bench
refuses 2 'another policy' $bench --weights bf16 --reward-weights file
refuses 2 'another policy' $bench --weights q8_0 --reward-weights file --kv f32

# ---- how keys and values are kept
says 'a token in F32' "$BROOD" model lab:small
says 'token in F16' "$BROOD" model "$small" --weights q8_0
says 'token in F16' "$BROOD" model lab:small --kv f16
says 'token in F32' "$BROOD" model "$small" --weights q8_0 --kv f32
refuses 2 'keys and values as q8: give f16, f32 or auto' model lab:small --kv q8
refuses 2 'keys and values as f16 are for models that run here' solve --policy toy: --reward none --kv f16 x
kept() { "$BROOD" solve --json --kv "$1" --threads "$2" --strategy sample:n=8 "$question" 2>err | sed 's/"seconds":[0-9.e+-]*//'; }
kept f16 1 >half1.json && kept f16 2 >half2.json && kept f32 2 >whole.json && kept auto 1 >auto.json
same half1.json half2.json "F16: one thread and two"
same whole.json auto.json "elements are F32 by themselves"
cmp -s half1.json whole.json && bad "F16 and F32 gave the same probabilities" || good
env -u HOME -u XDG_CACHE_HOME "$BROOD" model "$small" --weights q5_1 >out 2>err
grep -q 'no place for quantised weights: set XDG_CACHE_HOME' err && good || bad "without a place" "$(cat out err)"
finish
