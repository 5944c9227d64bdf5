"""Writes a trained checkpoint as a Hugging Face folder (safetensors, F16) and reads such a folder back.

    export.py small|large|prm|code|repair     work/NAME.pt -> models/NAME
"""
import json
import os
import struct
import sys

import torch

import model
import programs_text
import tokenizer

TEMPERATURE = 0.6
WORDS = {t.size: t for t in (programs_text.CODE, programs_text.REPAIR)}


def config(shape, end_id):
    common = {
        "model_type": "llama", "vocab_size": shape.vocabulary, "hidden_size": shape.width,
        "intermediate_size": shape.inner, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads, "head_dim": shape.head, "hidden_act": "silu",
        "max_position_embeddings": shape.context, "rms_norm_eps": shape.epsilon, "rope_theta": shape.theta,
        "rope_scaling": None, "attention_bias": False, "mlp_bias": False, "attention_dropout": 0.0,
        "tie_word_embeddings": True, "bos_token_id": None, "eos_token_id": end_id,
        "pad_token_id": end_id, "torch_dtype": "float16",
    }
    if not shape.labels:
        return {"architectures": ["LlamaForCausalLM"], **common}
    labels = {"num_labels": 2, "id2label": {"0": "wrong", "1": "right"}, "label2id": {"wrong": 0, "right": 1}}
    return {"architectures": ["LlamaForTokenClassification"], **common, **labels, "classifier_dropout": 0.0}


def write_tensors(path, tensors):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, t in tensors.items():
        size = t.numel() * 2
        header[name] = {"dtype": "F16", "shape": list(t.shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for t in tensors.values():
            out.write(t.half().contiguous().numpy().tobytes())


def read_tensors(path):
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, about in json.loads(data[8:start]).items():
        if name != "__metadata__":
            a, b = about["data_offsets"]
            part = torch.frombuffer(bytearray(data[start + a : start + b]), dtype=torch.float16)
            tensors[name] = part.view(about["shape"]).float()
    return tensors


def write_json(path, content):
    with open(path, "w") as out:
        json.dump(content, out, indent=2)
        out.write("\n")


def write(net, folder):
    os.makedirs(folder, exist_ok=True)
    words = WORDS.get(net.shape.vocabulary, tokenizer.STORY)
    write_tensors(f"{folder}/model.safetensors", dict(sorted(net.state_dict().items())))
    write_json(f"{folder}/config.json", config(net.shape, words.end_id))
    if not net.shape.labels:
        write_json(f"{folder}/generation_config.json", {
            "do_sample": True, "temperature": TEMPERATURE if words is tokenizer.STORY else 1.0, "top_p": 1.0, "top_k": 0,
            "eos_token_id": words.end_id, "pad_token_id": words.end_id})
    words.write(folder)


def repair_from_code():
    """The policy `code` with the tokens of `repair`: a token that there was keeps its row, a new one has a small random row."""
    tensors, key = read_tensors("models/code/model.safetensors"), "model.embed_tokens.weight"
    rows, was, now = tensors[key], programs_text.CODE, programs_text.REPAIR
    tensors[key] = torch.randn(now.size, rows.shape[1]) * rows[: was.end_id].std() / 2
    for i, piece in enumerate(now.vocabulary):
        if piece in was.ids:
            tensors[key][i] = rows[was.ids[piece]]
    tensors[key][now.end_id] = rows[was.end_id]
    net = model.Llama(model.SHAPES["repair"])
    net.load_state_dict(tensors)
    return net


def load(name):
    """The model of models/NAME: weights as stored (F16), arithmetic in float32."""
    net = model.Llama(model.SHAPES[name])
    net.load_state_dict(read_tensors(f"models/{name}/model.safetensors"))
    return net.eval()


def main():
    name = sys.argv[1]
    net = model.Llama(model.SHAPES[name])
    net.load_state_dict(torch.load(f"work/{name}.pt")["net"])
    write(net, f"models/{name}")
    print(name, model.count(net), "parameters (all, without embeddings)")


if __name__ == "__main__":
    main()
