#!/usr/bin/env python3
"""Trains a Transformer in PyTorch on one batch of token ids, for bench-peers.py: a process that is told when to work.

usage: peer_train.py --model DIR --pairs FILE [--kind fused|nn] [--compile] [--device cuda] [--dtype bf16]
                     [--dropout P] [--label-smoothing P]

--model  a MarianMT as peer_decode.py makes it; its weights are where both kinds begin
--kind   nn: torch.nn.Transformer, whose attention is F.scaled_dot_product_attention; fused: peer_model.py, with the
         projections of queries, keys and values as one product, and no masks where nothing is padded
--pairs  a line a pair: ids of the source, a tab, ids of the target

bf16 is autocast with master weights in f32; the optimiser is AdamW, fused. Each line of standard input is answered by a
line of JSON: `run N` makes N updates and tells {seconds, updates, targets, first_loss, loss}, seconds until the device is
done; `memory` tells {bytes}. The first answer is {"ready": version}.
"""
import argparse
import json
import math
import sys
import time

sys.dont_write_bytecode = True

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    raise SystemExit(f"{sys.executable} has no torch; set --python or LNG_PEER_PYTHON to one that has") from None

import peer_model  # noqa: E402

LEARNING_RATE, BETAS = 1e-4, (0.9, 0.98)


class Vocabulary:
    """What peer_model wants to know of one."""

    def __init__(self, size):
        self.size, self.pad = size, size - 1

    def __len__(self):
        return self.size


def read_marian(directory):
    """(its configuration, its tensors by name)"""
    import transformers
    model = transformers.MarianMTModel.from_pretrained(directory, dtype=torch.float32)
    return model.config, {name: value.detach().clone() for name, value in model.state_dict().items()}


def options_of(config, args):
    """As lingster train would have them for such a model."""
    return {"attention-score": "scaled-dot", "subword-sampling-alpha": 0, "norm-position": "post",
            "label-smoothing": args.label_smoothing, "label-smoothing-kind": "uniform", "dim": config.d_model,
            "heads": config.encoder_attention_heads, "ffn-dim": config.encoder_ffn_dim,
            "dec-ffn-dim": config.decoder_ffn_dim, "enc-depth": config.encoder_layers, "dec-depth": config.decoder_layers,
            "tied": "all", "output-bias": False, "source-word-dropout": 0, "target-word-dropout": 0,
            "embedding-scale": True, "embedding-dropout": args.dropout, "dropout": args.dropout, "attention-dropout": 0,
            "ffn-dropout": 0, "positions": "b", "max-positions": 1024, "max-length": 1024, "activation": "relu",
            "norm": "layer", "norm-epsilon": 1e-5, "init-depth-scale": False}


class Fused(peer_model.Transformer):
    """Without masks: all sentences of a benchmark are equally long, or padded on the target's side only."""

    def encode(self, source):
        x = self.source_embedding(self.source_table, source)
        for layer in self.encoder:
            x = layer.encode(x, None)
        return x, None


class Library(nn.Module):
    """torch.nn.Transformer between the embeddings and the output of `fused`."""

    def __init__(self, fused, o):
        super().__init__()
        self.table, self.smoothing, self.dropout = fused.target_table, o["label-smoothing"], o["dropout"]
        self.embed = fused.source_embedding
        self.body = nn.Transformer(o["dim"], o["heads"], o["enc-depth"], o["dec-depth"], o["ffn-dim"], o["dropout"],
                                   batch_first=True)
        self.body.encoder.norm = self.body.decoder.norm = None  # post-norm: every layer ends with one
        for to, of in zip(self.body.encoder.layers, fused.encoder):
            self.take(to, of, None)
        for to, of in zip(self.body.decoder.layers, fused.decoder):
            self.take(to, of, of.cross_attention)

    @staticmethod
    @torch.no_grad()
    def take(to, of, cross):
        pairs = [(to.self_attn.in_proj_weight, of.self_attention.qkv.weight),
                 (to.self_attn.in_proj_bias, of.self_attention.qkv.bias),
                 (to.linear1.weight, of.ffn.into.weight), (to.linear1.bias, of.ffn.into.bias),
                 (to.linear2.weight, of.ffn.out.weight), (to.linear2.bias, of.ffn.out.bias),
                 (to.self_attn.out_proj.weight, of.self_attention.out.weight),
                 (to.self_attn.out_proj.bias, of.self_attention.out.bias)]
        norms = [(to.norm1, of.self_norm), (to.norm2, of.ffn_norm)]
        if cross is not None:
            pairs += [(to.multihead_attn.in_proj_weight, torch.cat((cross.q.weight, cross.kv.weight))),
                      (to.multihead_attn.in_proj_bias, torch.cat((cross.q.bias, cross.kv.bias))),
                      (to.multihead_attn.out_proj.weight, cross.out.weight),
                      (to.multihead_attn.out_proj.bias, cross.out.bias)]
            norms = [(to.norm1, of.self_norm), (to.norm2, of.cross_norm), (to.norm3, of.ffn_norm)]
        for a, b in norms:
            pairs += [(a.weight, b.weight), (a.bias, b.bias)]
        for a, b in pairs:
            a.copy_(b)

    def forward(self, source, target_in, target_out):
        mask = nn.Transformer.generate_square_subsequent_mask(target_in.shape[1], device=target_in.device)
        x = self.body(self.embed(self.table, source), self.embed(self.table, target_in), tgt_mask=mask, tgt_is_causal=True)
        logits = F.linear(x, self.table).float().flatten(0, 1)
        return F.cross_entropy(logits, target_out.flatten(), ignore_index=peer_model.IGNORED, reduction="sum",
                               label_smoothing=self.smoothing)


def read_batch(path, pad, device):
    """(source, target shifted right, target), padded, and the number of target tokens."""
    with open(path, encoding="ascii") as file:
        pairs = [[[int(i) for i in side.split()] for side in line.rstrip("\n").split("\t")] for line in file]
    sources, targets = zip(*pairs)
    if len({len(row) for row in sources}) != 1:
        raise SystemExit(f"{path}: expected sources of one length")

    def padded(rows, value):
        width = max(map(len, rows))
        return torch.tensor([row + [value] * (width - len(row)) for row in rows], device=device)
    return ((padded(sources, pad), padded([[pad, *row[:-1]] for row in targets], pad),
             padded(targets, peer_model.IGNORED)), sum(map(len, targets)))


class Trainer:
    def __init__(self, args):
        self.device = args.device
        config, tensors = read_marian(args.model)
        o, vocabulary = options_of(config, args), Vocabulary(config.vocab_size)
        fused = Fused(o, vocabulary, vocabulary)
        with torch.no_grad():
            for parameter, names in peer_model.hf_names(fused):
                parameter.copy_(torch.cat([tensors[name] for name in names]).view(parameter.shape))
        model = (Library(fused, o) if args.kind == "nn" else fused).to(args.device).train()
        self.model = model
        self.forward = torch.compile(model) if args.compile else model
        self.batch, self.targets = read_batch(args.pairs, vocabulary.pad, args.device)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=BETAS, eps=1e-9, weight_decay=0,
                                           fused=True)
        self.autocast = torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.dtype == "bf16")

    def update(self):
        with self.autocast:
            loss = self.forward(*self.batch) / self.targets
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def wait(self):
        if self.device != "cpu":
            torch.cuda.synchronize()

    def run(self, updates):
        self.wait()
        start = time.monotonic()
        losses = [self.update() for _ in range(updates)]
        self.wait()
        seconds = time.monotonic() - start
        first, last = losses[0].item(), losses[-1].item()
        if not math.isfinite(last):
            raise SystemExit("the loss is not finite")
        return {"seconds": seconds, "updates": updates, "targets": updates * self.targets, "first_loss": first, "loss": last}

    def bytes(self):
        return torch.cuda.max_memory_allocated() if self.device != "cpu" else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--pairs", required=True)
    parser.add_argument("--kind", choices=("fused", "nn"), default="fused")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="bf16")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--label-smoothing", type=float, default=0.1)
    args = parser.parse_args()
    torch.manual_seed(1)
    trainer = Trainer(args)
    print(json.dumps({"ready": torch.__version__}), flush=True)
    for line in sys.stdin:
        command, _, count = line.strip().partition(" ")
        print(json.dumps(trainer.run(int(count)) if command == "run" else {"bytes": trainer.bytes()}), flush=True)


if __name__ == "__main__":
    main()
