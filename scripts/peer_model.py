"""The encoder-decoder Transformer of lingster in PyTorch, as a PyTorch user would write it: padded batches, fused
projections, F.scaled_dot_product_attention."""
import json
import math
import struct

import torch
from torch import nn
from torch.nn import functional as F

IGNORED = -100  # target of a padded position
ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "swish": F.silu,
               "gelu-tanh": lambda x: F.gelu(x, approximate="tanh")}


def position_table(rows, dim, family):
    """Sinusoids [rows, dim] of family a (Marian, fairseq), b (Hugging Face Marian) or c (Vaswani et al.)."""
    half = dim // 2
    k = torch.arange(half, dtype=torch.float32)
    if family == "a":
        frequency = torch.exp(-k * (math.log(10000.0) / (half - 1) if half > 1 else 0.0))
    else:
        frequency = (10000.0 ** (-2.0 * k.double() / dim)).float()
    angle = torch.arange(rows, dtype=torch.float32)[:, None] * frequency
    if family == "c":
        return torch.stack((angle.sin(), angle.cos()), 2).view(rows, dim)
    return torch.cat((angle.sin(), angle.cos()), 1)


class RMSNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.eps, self.weight = eps, nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)


class Embedding(nn.Module):
    """Words (a matrix given by the caller, since it may be shared), scale, positions, dropout."""

    def __init__(self, o, word_dropout):
        super().__init__()
        self.scale = math.sqrt(o["dim"]) if o["embedding-scale"] else 1.0
        self.dropout, self.word_dropout = o["embedding-dropout"], word_dropout
        if o["positions"] == "learned":
            self.positions = nn.Parameter(torch.empty(o["max-positions"], o["dim"]))
        else:
            rows = max(o["max-positions"], o["max-length"])
            self.register_buffer("positions", position_table(rows, o["dim"], o["positions"]), persistent=False)

    def forward(self, table, ids, first=0):
        x = F.embedding(ids, table) * self.scale
        if self.training and self.word_dropout > 0:
            x = x * F.dropout(torch.ones_like(x[..., :1]), self.word_dropout)
        x = x + self.positions[first:first + ids.shape[1]]
        return F.dropout(x, self.dropout, self.training)


class Attention(nn.Module):
    """Multi-head attention; self-attention has one fused projection, cross-attention two."""

    def __init__(self, o, cross):
        super().__init__()
        dim = o["dim"]
        self.heads, self.dropout = o["heads"], o["attention-dropout"]
        self.scale = 1.0 if o["attention-score"] == "dot" else (dim // o["heads"]) ** -0.5
        if cross:
            self.q, self.kv = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
        else:
            self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def split(self, x, parts):
        """[B, T, parts * D] -> `parts` views [B, heads, T, D / heads]"""
        return x.unflatten(2, (parts, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)

    def keys_values(self, encoded):
        return self.split(self.kv(encoded), 2)

    def attend(self, q, k, v, mask=None, causal=False):
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, scale=self.scale,
                                           dropout_p=self.dropout if self.training else 0.0)
        return self.out(x.transpose(1, 2).flatten(2))

    def forward(self, x, mask=None, causal=False):
        return self.attend(*self.split(self.qkv(x), 3), mask, causal)

    def cross(self, x, k, v, mask):
        return self.attend(*self.split(self.q(x), 1), k, v, mask)

    def step(self, x, cache):
        """One more position [B, 1, D]; cache: (k, v) of those before, or None."""
        q, k, v = self.split(self.qkv(x), 3)
        if cache is not None:
            k, v = torch.cat((cache[0], k), 2), torch.cat((cache[1], v), 2)
        return self.attend(q, k, v), (k, v)


class FeedForward(nn.Module):
    def __init__(self, o, width):
        super().__init__()
        self.into, self.out = nn.Linear(o["dim"], width), nn.Linear(width, o["dim"])
        self.activation, self.dropout = ACTIVATIONS[o["activation"]], o["ffn-dropout"]

    def forward(self, x):
        return self.out(F.dropout(self.activation(self.into(x)), self.dropout, self.training))


class Layer(nn.Module):
    """Encoder layer, or with cross-attention a decoder layer."""

    def __init__(self, o, decoder):
        super().__init__()
        self.pre = o["norm-position"] == "pre"
        self.dropout = o["dropout"]
        self.self_attention, self.self_norm = Attention(o, False), make_norm(o)
        if decoder:
            self.cross_attention, self.cross_norm = Attention(o, True), make_norm(o)
        self.ffn = FeedForward(o, o["dec-ffn-dim"] if decoder else o["ffn-dim"])
        self.ffn_norm = make_norm(o)

    def residual(self, x, norm, sublayer):
        y = F.dropout(sublayer(norm(x) if self.pre else x), self.dropout, self.training)
        return x + y if self.pre else norm(x + y)

    def encode(self, x, mask):
        x = self.residual(x, self.self_norm, lambda y: self.self_attention(y, mask=mask))
        return self.residual(x, self.ffn_norm, self.ffn)

    def decode(self, x, encoded, mask):
        x = self.residual(x, self.self_norm, lambda y: self.self_attention(y, causal=True))
        k, v = self.cross_attention.keys_values(encoded)
        x = self.residual(x, self.cross_norm, lambda y: self.cross_attention.cross(y, k, v, mask))
        return self.residual(x, self.ffn_norm, self.ffn)

    def step(self, x, cache, k, v, mask):
        grown = []

        def attend(y):
            out, pair = self.self_attention.step(y, cache)
            grown.extend(pair)
            return out
        x = self.residual(x, self.self_norm, attend)
        x = self.residual(x, self.cross_norm, lambda y: self.cross_attention.cross(y, k, v, mask))
        return self.residual(x, self.ffn_norm, self.ffn), tuple(grown)


def make_norm(o):
    kind = RMSNorm if o["norm"] == "rms" else nn.LayerNorm
    return kind(o["dim"], eps=o["norm-epsilon"])


class Transformer(nn.Module):
    """o: options of lingster train; source and target: vocabularies. Ids are padded with their side's pad; the
    target's starts the decoder, and its row stays zero (see clear_pad_gradient)."""

    def __init__(self, o, source, target):
        super().__init__()
        if o["attention-score"] == "additive" or o["subword-sampling-alpha"] > 0:
            raise SystemExit("additive attention and subword sampling have no counterpart here")
        self.source_pad, self.pad = source.pad, target.pad
        self.pre = o["norm-position"] == "pre"
        self.smoothing, self.smoothing_kind = o["label-smoothing"], o["label-smoothing-kind"]
        self.target_table = nn.Parameter(torch.empty(len(target), o["dim"]))
        self.source_table = self.target_table
        if o["tied"] != "all":
            self.source_table = nn.Parameter(torch.empty(len(source), o["dim"]))
        self.output = self.target_table
        if o["tied"] == "none":
            self.output = nn.Parameter(torch.empty(len(target), o["dim"]))
        self.bias = nn.Parameter(torch.zeros(len(target))) if o["output-bias"] else None
        self.source_embedding = Embedding(o, o["source-word-dropout"])
        self.target_embedding = Embedding(o, o["target-word-dropout"])
        self.encoder = nn.ModuleList(Layer(o, False) for _ in range(o["enc-depth"]))
        self.decoder = nn.ModuleList(Layer(o, True) for _ in range(o["dec-depth"]))
        if self.pre:
            self.encoder_norm, self.decoder_norm = make_norm(o), make_norm(o)
        self.reset(o["init-depth-scale"])

    @torch.no_grad()
    def reset(self, depth_scale):
        """Glorot for matrices, each part of a fused one alone; rows of tables have variance 1 / D."""
        bound = math.sqrt(3.0 / self.target_table.shape[1])
        for name, p in self.named_parameters():
            if name in ("target_table", "source_table") or name.endswith(".positions"):
                nn.init.uniform_(p, -bound, bound)
            elif p.dim() == 2:
                parts = 3 if ".qkv." in name else 2 if ".kv." in name else 1
                limit = math.sqrt(6.0 / (p.shape[1] + p.shape[0] // parts))
                depth = int(name.split(".")[1]) + 1 if name.count(".") > 1 else 1
                nn.init.uniform_(p, -limit, limit).div_(math.sqrt(depth) if depth_scale else 1.0)
            elif name.endswith(".bias"):
                nn.init.zeros_(p)
        for table in (self.target_table, self.output):
            table[self.pad] = 0

    def clear_pad_gradient(self):
        for p in (self.target_table, self.output):
            p.grad[self.pad] = 0
        if self.bias is not None:
            self.bias.grad[self.pad] = 0

    def encode(self, source):
        """[B, S] -> states [B, S, D], mask [B, 1, 1, S] of real tokens."""
        mask = (source != self.source_pad)[:, None, None, :]
        x = self.source_embedding(self.source_table, source)
        for layer in self.encoder:
            x = layer.encode(x, mask)
        return (self.encoder_norm(x) if self.pre else x), mask

    def logits(self, source, target_in):
        encoded, mask = self.encode(source)
        x = self.target_embedding(self.target_table, target_in)
        for layer in self.decoder:
            x = layer.decode(x, encoded, mask)
        return F.linear(self.decoder_norm(x) if self.pre else x, self.output, self.bias)

    def forward(self, source, target_in, target_out):
        """The sum over real target tokens of the smoothed loss in training, of -log p otherwise."""
        logits = self.logits(source, target_in).float().flatten(0, 1)
        target, smoothing = target_out.flatten(), self.smoothing if self.training else 0.0
        if smoothing == 0 or self.smoothing_kind == "uniform":
            return F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="sum",
                                   label_smoothing=smoothing)
        # fairseq's: `smoothing` over the wrong entries, the rest on the right one.
        real = target != IGNORED
        logprobs = F.log_softmax(logits, 1)
        right = logprobs.gather(1, target.clamp(min=0)[:, None])[:, 0]
        each = smoothing / (logits.shape[1] - 1)
        loss = -(1 - smoothing - each) * right - each * logprobs.sum(1)
        return (loss * real).sum()

    def step(self, ids, position, caches, cross, mask):
        """Logits [B, V] behind one more token of every row; caches grow."""
        x = self.target_embedding(self.target_table, ids[:, None], position)
        grown = []
        for layer, cache, (k, v) in zip(self.decoder, caches, cross):
            x, pair = layer.step(x, cache, k, v, mask)
            grown.append(pair)
        x = self.decoder_norm(x) if self.pre else x
        return F.linear(x[:, 0], self.output, self.bias), grown


def count_parameters(model):
    return sum(p.numel() for p in model.parameters())


# ---- models that lingster wrote ----

def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] != "F32":
            raise SystemExit(f"{path}: {name} is {entry['dtype']}, only F32 is read")
        first, last = (8 + size + offset for offset in entry["data_offsets"])
        values = torch.frombuffer(bytearray(data[first:last]), dtype=torch.float32)
        tensors[name] = values.view(entry["shape"])
    return tensors


def hf_names(model):
    """(parameter, its Hugging Face names): several names are parts stacked."""
    for name, p in model.named_parameters():
        side, _, rest = name.partition(".")
        if side not in ("encoder", "decoder"):
            top = {"target_table": "model.decoder.embed_tokens.weight", "output": "lm_head.weight",
                   "source_table": "model.encoder.embed_tokens.weight", "bias": "final_logits_bias",
                   "source_embedding.positions": "model.encoder.embed_positions.weight",
                   "target_embedding.positions": "model.decoder.embed_positions.weight"}
            if name == "target_table" and model.source_table is model.target_table:
                yield p, ["model.shared.weight"]
            elif side.endswith("_norm"):
                yield p, [f"model.{side.removesuffix('_norm')}.layer_norm.{rest}"]
            else:
                yield p, [top[name]]
            continue
        layer, block, rest = rest.split(".", 2)
        to = f"model.{side}.layers.{layer}."
        if block.endswith("_norm"):
            norm = {"self_norm": "self_attn_layer_norm", "cross_norm": "encoder_attn_layer_norm",
                    "ffn_norm": "final_layer_norm"}[block]
            yield p, [f"{to}{norm}.{rest}"]
        elif block == "ffn":
            yield p, [to + rest.replace("into.", "fc1.").replace("out.", "fc2.")]
        else:
            part, kind = rest.split(".")
            to += "self_attn." if block == "self_attention" else "encoder_attn."
            yield p, [f"{to}{c}.{kind}" for c in
                      (["out_proj"] if part == "out" else [letter + "_proj" for letter in part])]


@torch.no_grad()
def load_model_directory(model, directory):
    """Takes every parameter from a model directory of lingster. Returns the names in it that were not taken."""
    tensors = read_safetensors(f"{directory}/model.safetensors")
    left = set(tensors)
    for p, names in hf_names(model):
        p.copy_(torch.cat([tensors[name] for name in names]).view(p.shape))
        left -= set(names)
    return sorted(left)
