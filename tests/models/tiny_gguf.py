"""A real GGUF model of a hundred kilobytes, made here: llama.cpp loads it, and what it says is noise.

One layer of random numbers over a vocabulary of bytes. That is enough for everything about a local model but its
answers: loading, streaming, cancelling, sharing, and grammars, which hold even noise to a schema.
"""

import random
import struct

ALIGNMENT = 32
CONTEXT = 32_768
WIDTH, INNER, HEADS, LAYERS = 32, 64, 2, 1
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_model(path, *, architecture="llama", seed=1):
    """Writes the model to `path`; gives `path`."""
    tokens = [*_byte_letters(), "<|im_start|>", "<|im_end|>"]
    path.write_bytes(gguf(_metadata(architecture, tokens), _tensors(tokens, random.Random(seed))))
    return path


def gguf(metadata, tensors, *, version=3, magic=b"GGUF"):
    """The bytes of a GGUF file. `tensors` are (name, dimensions, numbers as 4-byte floats)."""
    listed = data = b""
    for name, dimensions, numbers in tensors:
        listed += string(name) + struct.pack("<I", len(dimensions))
        listed += struct.pack(f"<{len(dimensions)}Q", *dimensions) + struct.pack("<IQ", 0, len(data))
        data = padded(data + struct.pack(f"<{len(numbers)}f", *numbers))
    head = magic + struct.pack("<IQQ", version, len(tensors), len(metadata))
    head += b"".join(string(key) + value(each) for key, each in metadata.items())
    return padded(head + listed) + data


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def value(each):
    """A metadata value with its type before it."""
    if isinstance(each, bool):
        return struct.pack("<I?", 7, each)
    if isinstance(each, int):
        return struct.pack("<II", 4, each)
    if isinstance(each, float):
        return struct.pack("<If", 6, each)
    if isinstance(each, str):
        return struct.pack("<I", 8) + string(each)
    inner = [struct.pack("<Ii", 5, e) if type(e) is int else value(e) for e in each]
    return struct.pack("<I", 9) + inner[0][:4] + struct.pack("<Q", len(inner)) + b"".join(i[4:] for i in inner)


def padded(data):
    return data + b"\0" * (-len(data) % ALIGNMENT)


def _metadata(architecture, tokens):
    return {
        "general.architecture": architecture,
        "general.name": "tiny",
        f"{architecture}.context_length": CONTEXT,
        f"{architecture}.embedding_length": WIDTH,
        f"{architecture}.block_count": LAYERS,
        f"{architecture}.feed_forward_length": INNER,
        f"{architecture}.attention.head_count": HEADS,
        f"{architecture}.attention.head_count_kv": HEADS,
        f"{architecture}.attention.layer_norm_rms_epsilon": 1e-5,
        f"{architecture}.rope.dimension_count": WIDTH // HEADS,
        f"{architecture}.vocab_size": len(tokens),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * 256 + [3, 3],
        "tokenizer.ggml.merges": ["Ġ t"],
        "tokenizer.ggml.bos_token_id": 256,
        "tokenizer.ggml.eos_token_id": 257,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE,
    }


def _tensors(tokens, chance):
    """Every token's first number is the same, so the answer's first number can make tokens unlikely: all but ASCII's.

    Random bytes are seldom UTF-8, which a server rightly refuses to send; and an end would come too soon.
    """
    size = len(tokens)

    def noise(count):
        return [chance.gauss(0, 0.3) for _ in range(count)]

    def ones(count):
        return [1.0] * count

    heard = [n for _ in range(size) for n in (4.0, *noise(WIDTH - 1))]
    said = [n for t in range(size) for n in (0.0 if 32 <= t < 127 else -40.0, *(3 * n for n in noise(WIDTH - 1)))]
    tensors = [("token_embd.weight", (WIDTH, size), heard), ("output_norm.weight", (WIDTH,), ones(WIDTH))]
    tensors.append(("output.weight", (WIDTH, size), said))
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            tensors.append((f"blk.{layer}.{name}.weight", (WIDTH,), ones(WIDTH)))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensors.append((f"blk.{layer}.{name}.weight", (WIDTH, WIDTH), noise(WIDTH * WIDTH)))
        for name in ("ffn_gate", "ffn_up"):
            tensors.append((f"blk.{layer}.{name}.weight", (WIDTH, INNER), noise(WIDTH * INNER)))
        tensors.append((f"blk.{layer}.ffn_down.weight", (INNER, WIDTH), noise(WIDTH * INNER)))
    return tensors


def _byte_letters():
    """GPT-2's letters for the 256 bytes: printable ones stand for themselves."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b if b in own else next(others)) for b in range(256)]
