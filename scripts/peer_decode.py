#!/usr/bin/env python3
"""Translates token ids with CTranslate2 or transformers, for bench-peers.py: a process that is told when to work.

usage: peer_decode.py make DIR --dim N --ffn-dim N --heads N --layers N --vocab-size N --seed N
       peer_decode.py serve KIND --model DIR --ids FILE --beam N --batch N --threads N
                      [--compute-type T] [--inter N] [--latency] [--device cuda]

make   a random MarianMT as save_pretrained writes it, with a vocabulary of words, so that ids are seen in texts
serve  loads the model, then answers each line of standard input with a JSON line: `run` translates all sentences (batches
       of --batch; with --latency one by one) and tells {seconds, cpu_seconds, tokens, milliseconds}, `ids` what came out,
       `memory` the peak of the process in bytes, on a GPU that of torch's tensors there. The first answer is {"ready":
       version}. On a GPU times end when it has done its work.

KIND is ctranslate2 or transformers. FILE: a line a sentence, ids, then a tab and the tokens to produce (all the same), or
no tab: until the model ends.
"""
import argparse
import json
import os
import resource
import sys
import time


SCALES = {"q_proj": 3, "k_proj": 3, "v_proj": 2, "out_proj": 2, "fc1": 0.5, "fc2": 0.5}  # of random matrices


def read_sentences(path):
    """[source ids], and the number of tokens to produce (0: until the model ends)."""
    sentences, lengths = [], set()
    with open(path, encoding="ascii") as file:
        for line in file:
            ids, _, length = line.rstrip("\n").partition("\t")
            sentences.append([int(i) for i in ids.split()])
            lengths.add(int(length or 0))
    if len(lengths) != 1:
        sys.exit(f"{path}: expected one number of tokens to produce for all sentences, found {sorted(lengths)}")
    return sentences, lengths.pop()


def words(vocabulary):
    names = {0: "</s>", 1: "<unk>", vocabulary - 1: "<pad>"}
    return [names.get(i, f"w{i}") for i in range(vocabulary)]


def make(args):
    import torch
    import transformers
    torch.manual_seed(args.seed)
    pad = args.vocab_size - 1
    config = transformers.MarianConfig(
        vocab_size=args.vocab_size, decoder_vocab_size=args.vocab_size, d_model=args.dim, encoder_layers=args.layers,
        decoder_layers=args.layers, encoder_attention_heads=args.heads, decoder_attention_heads=args.heads,
        encoder_ffn_dim=args.ffn_dim, decoder_ffn_dim=args.ffn_dim, activation_function="relu", scale_embedding=True,
        max_position_embeddings=1024, pad_token_id=pad, eos_token_id=0, bos_token_id=None, decoder_start_token_id=pad,
        forced_eos_token_id=None)
    model = transformers.MarianMTModel(config).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.dim() == 2 and "embed_positions" not in name:
                # Sharp attention and small feed-forward blocks: else all sentences would come out alike.
                scale = next((x for part, x in SCALES.items() if part in name), 1)
                value.normal_(0, scale * value.shape[1] ** -0.5)
        for module in (model.model.encoder, model.model.decoder):
            module.embed_tokens.weight[pad] = 0
    model.tie_weights()
    model.generation_config = transformers.GenerationConfig(pad_token_id=pad, eos_token_id=0,
                                                            decoder_start_token_id=pad, bad_words_ids=[[pad]])
    model.save_pretrained(args.directory)
    with open(f"{args.directory}/vocab.json", "w", encoding="utf-8") as out:
        json.dump({word: i for i, word in enumerate(words(args.vocab_size))}, out)
    with open(f"{args.directory}/tokenizer_config.json", "w", encoding="utf-8") as out:
        json.dump({"lingster": {"kind": "symbols"}, "separate_vocabs": False}, out)


class CTranslate2:
    """Batches go to --inter workers of threads / inter threads each."""

    def __init__(self, args):
        import ctranslate2
        self.version, self.args = ctranslate2.__version__, args
        inter = args.inter
        self.translator = ctranslate2.Translator(args.model, device=args.device, compute_type=args.compute_type,
                                                 inter_threads=inter, intra_threads=max(1, args.threads // inter))
        with open(f"{args.vocabulary or args.model}/vocab.json", encoding="utf-8") as file:
            self.ids = json.load(file)
        self.words = {i: word for word, i in self.ids.items()}
        with open(f"{args.model}/config.json", encoding="utf-8") as file:
            config = json.load(file)
        self.end = self.ids[config["eos_token"]] if config["add_source_eos"] else None

    def source(self, ids):
        """As CTranslate2 wants it: it may add the end token itself."""
        return [self.words[i] for i in (ids[:-1] if ids[-1] == self.end else ids)]

    def translate(self, sentences, length):
        limits = {"max_decoding_length": length, "min_decoding_length": length} if length else {}
        results = self.translator.translate_batch(
            [self.source(ids) for ids in sentences], beam_size=self.args.beam, max_batch_size=self.args.batch,
            batch_type="examples", **limits)
        return [[self.ids[word] for word in result.hypotheses[0]] for result in results]

    def wait(self):
        pass  # translations are there

    def bytes(self):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if self.args.device == "cpu" else None


class Transformers:
    """MarianMTModel.generate, sentences sorted by length and padded."""

    def __init__(self, args):
        import torch
        import transformers
        self.version, self.args, self.torch = transformers.__version__, args, torch
        torch.set_num_threads(args.threads)
        dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[args.compute_type]
        self.model = transformers.MarianMTModel.from_pretrained(args.model, dtype=dtype, attn_implementation="sdpa").eval()
        self.model.to(args.device)
        self.pad, self.eos = self.model.config.pad_token_id, self.model.config.eos_token_id

    def generate(self, batch, length):
        torch, width = self.torch, max(len(row) for row in batch)
        ids = torch.tensor([row + [self.pad] * (width - len(row)) for row in batch], device=self.args.device)
        limits = {"min_new_tokens": length, "max_new_tokens": length} if length else {"max_new_tokens": 3 * width + 10}
        out = self.model.generate(input_ids=ids, attention_mask=(ids != self.pad).long(), num_beams=self.args.beam,
                                  do_sample=False, forced_eos_token_id=None, **limits)
        return [[i for i in row[1:] if i != self.pad] for row in out.tolist()]

    def translate(self, sentences, length):
        order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
        out = [None] * len(sentences)
        with self.torch.inference_mode():
            for first in range(0, len(order), self.args.batch):
                batch = order[first:first + self.args.batch]
                for i, ids in zip(batch, self.generate([sentences[i] for i in batch], length)):
                    out[i] = ids
        return out


    def wait(self):
        if self.args.device != "cpu":
            self.torch.cuda.synchronize()

    def bytes(self):
        if self.args.device != "cpu":
            return self.torch.cuda.max_memory_allocated()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(peer, sentences, length, latency):
    start, cpu, milliseconds = time.monotonic(), time.process_time(), []
    if latency:
        out = []
        for sentence in sentences:
            one = time.monotonic()
            out += peer.translate([sentence], length)
            peer.wait()
            milliseconds.append(1e3 * (time.monotonic() - one))
    else:
        out = peer.translate(sentences, length)
    peer.wait()
    answer = {"seconds": time.monotonic() - start, "cpu_seconds": time.process_time() - cpu,
              "tokens": sum(map(len, out)), "milliseconds": milliseconds}
    return answer, out


def serve(args):
    sentences, length = read_sentences(args.ids)
    peer = {"ctranslate2": CTranslate2, "transformers": Transformers}[args.kind](args)
    print(json.dumps({"ready": peer.version}), flush=True)
    out = []
    for line in sys.stdin:
        command = line.strip()
        if command == "run":
            answer, out = run(peer, sentences, length, args.latency)
        elif command == "ids":
            answer = {"ids": out}
        else:
            answer = {"bytes": peer.bytes()}
        print(json.dumps(answer), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make")
    maker.add_argument("directory")
    for name, value in (("dim", 512), ("ffn-dim", 2048), ("heads", 8), ("layers", 6), ("vocab-size", 32000), ("seed", 1)):
        maker.add_argument(f"--{name}", type=int, default=value)
    server = commands.add_parser("serve")
    server.add_argument("kind", choices=("ctranslate2", "transformers"))
    server.add_argument("--model", required=True)
    server.add_argument("--vocabulary", help="folder of vocab.json (default: the model)")
    server.add_argument("--ids", required=True)
    server.add_argument("--compute-type", default="float32")
    server.add_argument("--latency", action="store_true")
    server.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    for name, value in (("beam", 4), ("batch", 32), ("threads", 2), ("inter", 1)):
        server.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    (make if args.command == "make" else serve)(args)


if __name__ == "__main__":
    main()
