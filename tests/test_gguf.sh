#!/bin/sh
# test_gguf.sh - the bundled small model as GGUF files: the same work, bit for bit where the weights are; what is damaged is told.
. "$(dirname "$0")/shell.inc"
if ! command -v python3 >/dev/null; then
    echo "no python3: nothing is exported"
    finish
    exit
fi
export="$root/lab/export_gguf.py" small="$root/lab/models/small"
question='Ida has 25 nuts. Now Ida has 8 times as many. Ida keeps half of them. Ida finds as many as at first. How many nuts does Ida have now?'
for type in F32 F16 BF16 Q8_0 Q4_0; do python3 "$export" "$small" small-$type.gguf $type || bad "export of $type"; done

# ---- what the file is
says 'F16 (29), F32 (9)' "$BROOD" model small-F16.gguf
says 'tied to the embeddings' "$BROOD" model small-F16.gguf
cp small-F16.gguf sha256-0123
says 'F16 (29), F32 (9)' "$BROOD" model sha256-0123 # known by its bytes
says 'ends with    426 "<|end|>"' "$BROOD" model small-F16.gguf
says 'chat format  lab' "$BROOD" model small-F16.gguf
says 'temperature 0.6' "$BROOD" model small-F16.gguf
says 'Q4_0 (25)' "$BROOD" model small-Q4_0.gguf
says '"tensor_types":{"F32":9,"F16":4,"Q8_0":25}' "$BROOD" model --json small-Q8_0.gguf
says 'it fits' "$BROOD" model small-F32.gguf
for key in family shape context head work sampling; do
    "$BROOD" model "$small" | grep "^$key " >folder.$key
    "$BROOD" model small-F32.gguf | grep "^$key " >file.$key
    same folder.$key file.$key "$key of the folder and of the file"
done

# ---- the same tokens with the same probabilities, to the last bit, greedily and sampled
solve() { # POLICY STRATEGY OUT
    "$BROOD" solve --json --reward none --policy "$1" --strategy "$2" "$question" 2>err |
        sed 's/"seconds":[0-9.e+-]*//' >"$3" || bad "solve with $1" "$(cat err)"
}
for strategy in greedy sample:n=8; do
    solve "$small" $strategy folder.json
    grep -q '"logprob":-' folder.json && good || bad "no probabilities" "$(head -c 300 folder.json)"
    for type in F32 F16; do
        solve small-$type.gguf $strategy $type.json
        same folder.json $type.json "$strategy of the folder and of $type"
    done
done
for type in BF16 Q8_0 Q4_0; do
    solve small-$type.gguf greedy $type.json
    grep -q '"answer":"[0-9]*"' $type.json && good || bad "$type gives no answer" "$(head -c 300 $type.json)"
done
"$BROOD" solve --json --reward none --policy small-Q8_0.gguf --threads 1 "$question" 2>err | sed 's/"seconds":[0-9.e+-]*//' >one.json
"$BROOD" solve --json --reward none --policy small-Q8_0.gguf "$question" 2>err | sed 's/"seconds":[0-9.e+-]*//' >all.json
same one.json all.json "one thread and all"

# ---- a folder that holds the file, a set of parts is in test_gguf.c
mkdir folder && cp small-F16.gguf folder/any.gguf
solve folder greedy folder2.json
solve "$small" greedy folder.json
same folder.json folder2.json "the folder of a GGUF file"

# ---- what is no model
head -c 100000 small-F16.gguf >cut.gguf
refuses 2 'cut short, download it again' model cut.gguf
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 460000\n' >pointer.gguf
refuses 2 'this is a Git LFS pointer, not the file' model pointer.gguf
refuses 2 'this is a Git LFS pointer, not the file' solve --policy pointer.gguf x
cp -r "$small" lfs && cp pointer.gguf lfs/tokenizer.json
refuses 2 'lfs/tokenizer.json: this is a Git LFS pointer' model lfs
refuses 2 'no such model folder or GGUF file' model absent.gguf
cp small-F16.gguf folder/other.gguf
refuses 2 '2 GGUF models are in this folder' model folder
python3 - <<'EOF'
import struct
data = bytearray(open("small-F32.gguf", "rb").read())
data[-100:-96] = struct.pack("<f", float("nan"))  # in the last tensor of the file
open("nan.gguf", "wb").write(data)
EOF
refuses 2 'tensor model.norm.weight has a weight that is not a finite number' solve --policy nan.gguf --reward none x
finish
