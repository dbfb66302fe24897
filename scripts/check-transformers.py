#!/usr/bin/env python3
"""Loads model directories that lingster wrote in transformers and compares what both compute.

usage: scripts/check-transformers.py FOLDER...

Each FOLDER holds
  model/       the model directory
  cases.json   {"sources": [[id...]], "targets": [[id...]], "greedy": [[id...]], "max_new_tokens": n}:
               sources as lingster encodes them, targets that end with EOS, lingster's greedy output
  logits.f32   lingster's logits of all target positions, [sum of target lengths, V], little-endian f32
  again/       is written: the model as transformers saves it
One line a folder. Exit status: 0 all agree, 1 some do not, 77 when torch or transformers are missing.
"""
import json
import os
import struct
import sys

LIMIT = 1e-4  # on logits, absolute and relative

try:
    import torch
    import transformers
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)


def padded(rows, pad):
    width = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


def read_floats(path):
    with open(path, "rb") as file:
        data = file.read()
    return torch.tensor(struct.unpack(f"<{len(data) // 4}f", data))


def compare_logits(model, cases, want):
    """Greatest difference, scaled by the limit: at most 1 is fine."""
    config = model.config
    ids, mask = padded(cases["sources"], config.pad_token_id)
    shifted = [[config.decoder_start_token_id] + row[:-1] for row in cases["targets"]]
    decoder_ids, _ = padded(shifted, config.pad_token_id)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask, decoder_input_ids=decoder_ids).logits
    got = torch.cat([logits[i, : len(row)] for i, row in enumerate(shifted)])
    want = want.view(got.shape)
    return ((got - want).abs() / (LIMIT + LIMIT * want.abs())).max().item(), (got - want).abs().max().item()


def compare_greedy(model, cases):
    """How many outputs are the same."""
    config = model.config
    ids, mask = padded(cases["sources"], config.pad_token_id)
    with torch.no_grad():
        output = model.generate(input_ids=ids, attention_mask=mask, num_beams=1, do_sample=False,
                                max_new_tokens=cases["max_new_tokens"], max_length=None, forced_eos_token_id=None)
    same = 0
    for row, want in zip(output.tolist(), cases["greedy"]):
        row = row[1:]  # the start token
        if config.eos_token_id in row:
            row = row[: row.index(config.eos_token_id) + 1]
        same += row == want
    return same


def check(folder):
    with open(os.path.join(folder, "cases.json"), encoding="utf-8") as file:
        cases = json.load(file)
    model, loading = transformers.AutoModelForSeq2SeqLM.from_pretrained(
        os.path.join(folder, "model"), output_loading_info=True)
    model = model.float().eval()
    trouble = [f"{kind}: {sorted(loading[kind])[:4]}" for kind in
               ("missing_keys", "unexpected_keys", "mismatched_keys") if loading.get(kind)]
    scaled, most = compare_logits(model, cases, read_floats(os.path.join(folder, "logits.f32")))
    same, count = compare_greedy(model, cases), len(cases["sources"])
    model.save_pretrained(os.path.join(folder, "again"))
    good = not trouble and scaled <= 1 and same == count
    print(f"{'ok' if good else 'FAILED'}: {folder}: {type(model).__name__}, {count} sentences, "
          f"logits differ by at most {most:.2e}, {same} greedy outputs the same"
          + "".join("; " + text for text in trouble))
    return good


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")
    sys.exit(0 if all([check(folder) for folder in sys.argv[1:]]) else 1)


if __name__ == "__main__":
    main()
