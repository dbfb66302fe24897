#!/usr/bin/env python3
"""Random models of transformers, translated by transformers, CTranslate2 and lingster with --compat.

usage: scripts/compare-peers.py LINGSTER FOLDER [SENTENCES]

For each shape: a directory as save_pretrained writes it, log-probabilities of random targets (lingster score), greedy and
beam 4 by generate() against `translate --compat hf`; the model made into CTranslate2's by its own converter, against
`--compat ctranslate2`. Different outputs are explained by the gap of their scores: a tie is at most 1e-4. Needs torch,
transformers and, for the last part, ctranslate2. Prints a Markdown table; exit 1 when something differs.
"""
import json
import os
import random
import subprocess
import sys
import types

import torch
import transformers

try:
    import ctranslate2
    import ctranslate2.converters.transformers as ct2_converters
except ImportError:
    ctranslate2 = None

TIE = 1e-4

BASE = dict(d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
            encoder_ffn_dim=64, decoder_ffn_dim=64, activation_function="relu", scale_embedding=True,
            max_position_embeddings=64, dropout=0.0, attention_dropout=0.0, activation_dropout=0.0)

# name, class, configuration, generation
SHAPES = [
    ("marian, relu, all tied", "marian", {}, {}),
    ("marian, swish, early stopping", "marian", dict(activation_function="swish"), dict(early_stopping=True)),
    ("marian, gelu, wide ffn", "marian", dict(activation_function="gelu", encoder_ffn_dim=200, decoder_ffn_dim=96),
     dict(length_penalty=0.6)),
    ("marian, gelu_new, forced end", "marian", dict(activation_function="gelu_new"), dict(forced_eos=True)),
    ("marian, untied output", "marian", dict(tie_word_embeddings=False), dict(length_penalty=0.0)),
    ("marian, separate vocabularies", "marian",
     dict(share_encoder_decoder_embeddings=False, decoder_vocab_size=53), dict(early_stopping="never")),
    ("marian, 6 + 1 layers", "marian", dict(encoder_layers=6, decoder_layers=1, scale_embedding=False), {}),
    ("marian, 1 + 5 layers, one wide head", "marian",
     dict(encoder_layers=1, decoder_layers=5, encoder_attention_heads=1, decoder_attention_heads=1), {}),
    ("m2m_100, relu", "m2m", {}, {}),
    ("m2m_100, forced first token", "m2m", dict(activation_function="gelu"), dict(forced_bos=5)),
    ("m2m_100, swish, 4 + 2 layers", "m2m", dict(activation_function="swish", encoder_layers=4),
     dict(forced_bos=4, early_stopping=True)),
    ("m2m_100, 2 + 6 layers, minimum length", "m2m", dict(decoder_layers=6, scale_embedding=False),
     dict(min_length=6)),
]
VOCABULARY, LONGEST, MOST_TOKENS = 61, 14, 32


def make_model(kind, changes, generation, seed):
    """A random model whose translations differ and mostly end."""
    torch.manual_seed(seed)
    values = {**BASE, "vocab_size": VOCABULARY, **changes}
    if kind == "marian":
        values.setdefault("decoder_vocab_size", VOCABULARY)
        target = values["decoder_vocab_size"]
        pad = target - 1
        config = transformers.MarianConfig(**values, pad_token_id=pad, eos_token_id=0, bos_token_id=None,
                                           decoder_start_token_id=pad, forced_eos_token_id=None)
        model = transformers.MarianMTModel(config)
        eos = 0
    else:
        target, pad, eos = VOCABULARY, 1, 2
        config = transformers.M2M100Config(**values, pad_token_id=1, bos_token_id=0, eos_token_id=2,
                                           decoder_start_token_id=2)
        model = transformers.M2M100ForConditionalGeneration(config)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "embed_positions" in name:
                continue
            if value.dim() == 2:
                value.normal_(0, 0.25)
            elif "layer_norm" in name and name.endswith("weight"):
                value.normal_(1, 0.1)
            else:
                value.normal_(0, 0.1)
        for module in (model.model.encoder, model.model.decoder):
            module.embed_tokens.weight[pad] = 0
        if kind == "marian":
            model.final_logits_bias.normal_(0, 0.3)
            model.final_logits_bias[0, pad] = 0
            model.final_logits_bias[0, eos] = 1.5
            if not config.tie_word_embeddings:
                model.lm_head.weight[pad] = 0
    model.tie_weights()
    model.eval()
    bad = [[pad]] if kind == "marian" else None
    model.generation_config = transformers.GenerationConfig(
        max_length=MOST_TOKENS, num_beams=4, pad_token_id=pad, eos_token_id=eos,
        decoder_start_token_id=config.decoder_start_token_id, bad_words_ids=bad,
        length_penalty=generation.get("length_penalty", 1.0), early_stopping=generation.get("early_stopping", False),
        forced_bos_token_id=generation.get("forced_bos"), min_length=generation.get("min_length", 0),
        forced_eos_token_id=eos if generation.get("forced_eos") else None)
    return model, eos, pad, target


def vocabulary(kind, size):
    names = {"marian": {0: "</s>", 1: "<unk>", size - 1: "<pad>"},
             "m2m": {0: "<s>", 1: "<pad>", 2: "</s>", 3: "<unk>"}}[kind]
    return [names.get(i, f"w{i}") for i in range(size)]


def save(model, kind, folder):
    """With a vocabulary of words, so that ids are seen in texts."""
    model.save_pretrained(folder)
    source = vocabulary(kind, model.config.vocab_size)
    target = vocabulary(kind, getattr(model.config, "decoder_vocab_size", None) or model.config.vocab_size)
    separate = len(source) != len(target)
    for name, words in (("vocab.json", source), ("target_vocab.json", target if separate else None)):
        if words:
            with open(f"{folder}/{name}", "w") as out:
                json.dump({w: i for i, w in enumerate(words)}, out)
    with open(f"{folder}/tokenizer_config.json", "w") as out:
        json.dump({"lingster": {"kind": "symbols"}, "separate_vocabs": separate}, out)
    return source, target


def run(lingster, command, *arguments, text=None, threads=True):
    result = subprocess.run([lingster, command, "-q", *(["--threads", "1"] if threads else []), *arguments],
                            input=text, text=True, capture_output=True)
    if result.returncode:
        sys.exit(f"lingster {command} {' '.join(arguments)}: {result.stderr}")
    return result.stdout.splitlines()


def hypotheses(lingster, folder, lines, target, *arguments):
    ids = {w: i for i, w in enumerate(target)}
    out = []
    for line in run(lingster, "translate", "-m", folder, "--json", *arguments, text="".join(lines)):
        segment, = json.loads(line)["segments"]
        out.append([([ids[t] for t in h["tokens"]], h["normalized_score"]) for h in segment["hypotheses"]])
    return out


def by_length(sentences):
    groups = {}
    for index, sentence in enumerate(sentences):
        groups.setdefault(len(sentence), []).append(index)
    return groups.values()


def generate(model, sentences, eos, beams):
    """[(ids without the start token, score)] as generate() gives them."""
    out = [None] * len(sentences)
    for group in by_length(sentences):
        ids = torch.tensor([sentences[i] + [eos] for i in group])
        made = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), num_beams=beams,
                              return_dict_in_generate=True, output_scores=True)
        for row, index in enumerate(group):
            tokens = made.sequences[row, 1:].tolist()
            end = tokens.index(eos) + 1 if eos in tokens else len(tokens)
            while end == len(tokens) and eos not in tokens and tokens and tokens[-1] == model.config.pad_token_id \
                    and model.generation_config.bad_words_ids:
                tokens.pop()
                end = len(tokens)
            out[index] = (tokens[:end], float(made.sequences_scores[row]) if beams > 1 else None)
    return out


def compare(ours, theirs):
    """(identical, ties, different)"""
    same = ties = different = 0
    worst = 0.0
    for mine, (tokens, score) in zip(ours, theirs):
        if mine[0][0] == tokens:
            same += 1
            if score is not None:
                worst = max(worst, abs(mine[0][1] - score))
        elif score is not None and abs(mine[0][1] - score) <= TIE:
            ties += 1
        else:
            different += 1
            print("different:", mine, tokens, score, file=sys.stderr)
    return same, ties, different, worst


def log_probabilities(model, lingster, folder, sentences, eos, source, target, seed):
    """The largest difference over every token of random targets."""
    rng = random.Random(seed)
    targets = [[rng.randrange(4, len(target) - 1) for _ in range(rng.randrange(1, LONGEST))] for _ in sentences]
    forced = model.generation_config.forced_bos_token_id
    for name, side, words in (("source", sentences, source), ("target", targets, target)):
        with open(f"{folder}/{name}.txt", "w") as out:
            out.writelines(" ".join(words[t] for t in line) + "\n" for line in side)
    lines = run(lingster, "score", "-m", folder, "--source", f"{folder}/source.txt", "--target",
                f"{folder}/target.txt", "--json")
    worst = 0.0
    for line, sentence, wanted in zip(lines, sentences, targets):
        full = ([forced] if forced is not None else []) + wanted + [eos]
        start = model.config.decoder_start_token_id
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([sentence + [eos]]),
                           decoder_input_ids=torch.tensor([[start] + full[:-1]])).logits[0]
        expected = torch.log_softmax(logits, -1)[range(len(full)), full].tolist()
        found = json.loads(line)["token_scores"]
        assert len(found) == len(expected), (found, expected)
        worst = max([worst] + [abs(a - b) for a, b in zip(found, expected)])
    return worst


def ct2_model(model, kind, words, folder):
    """By CTranslate2's own loaders; they ask the tokenizer for little."""
    tokenizer = types.SimpleNamespace(
        eos_token="</s>", unk_token="<unk>", bos_token="<s>", pad_token="<pad>", unk_token_id=words.index("<unk>"),
        special_tokens_map={}, get_vocab=lambda: {w: i for i, w in enumerate(words)},
        convert_ids_to_tokens=lambda i: words[i])
    loader = ct2_converters.MarianMTLoader() if kind == "marian" else ct2_converters.M2M100Loader()
    spec = loader.get_model_spec(model)
    loader.set_config(spec.config, model, tokenizer)
    loader.set_vocabulary(spec, loader.get_vocabulary(model, tokenizer))
    spec.validate()
    spec.optimize(quantization=None)
    os.makedirs(folder, exist_ok=True)
    spec.save(folder)


def ct2_translate(translator, sentences, source, target, forced, beams, end):
    ids = {w: i for i, w in enumerate(target)}
    lines = [[source[t] for t in s] + end for s in sentences]
    prefix = [[target[forced]]] * len(lines) if forced is not None else None
    made = translator.translate_batch(lines, target_prefix=prefix, beam_size=beams, return_scores=True,
                                      max_batch_size=1, max_decoding_length=MOST_TOKENS, return_end_token=True)
    return [([ids[w] for w in r.hypotheses[0]], r.scores[0]) for r in made]


def one_shape(lingster, folder, number, count):
    name, kind, changes, generation = SHAPES[number]
    model, eos, _, _ = make_model(kind, changes, generation, 1000 + number)
    where = f"{folder}/{number}"
    source, target = save(model, kind, where)
    rng = random.Random(number)
    sentences = [[rng.randrange(4, min(len(source), len(target)) - 1) for _ in range(rng.randrange(1, LONGEST))]
                 for _ in range(count)]
    lines = [" ".join(source[t] for t in s) + "\n" for s in sentences]
    plain = hypotheses(lingster, where, lines, target, "--beam-size", "4", "--max-length", str(MOST_TOKENS - 1))
    row = [name, log_probabilities(model, lingster, where, sentences, eos, source, target, number)]
    for beams in (1, 4):
        ours = hypotheses(lingster, where, lines, target, "--compat", "hf", "--beam-size", str(beams))
        row.append(compare(ours, generate(model, sentences, eos, beams)))
    lengths = [len(h[0][0]) for h in ours]
    otherwise = sum(a[0][0] != b[0][0] for a, b in zip(ours, plain))
    row[0] += f" ({min(lengths)} to {max(lengths)} tokens; {otherwise} differ without --compat)"
    if ctranslate2 is None:
        return row + [None, None]
    end = ["</s>"]
    if len(source) != len(target):  # its converter gives both sides one vocabulary: lingster's does it
        end = []  # which has it added
        run(lingster, "convert", where, f"{where}-ct2", "--to", "ctranslate2", "--overwrite", threads=False)
    else:
        ct2_model(model, kind, source, f"{where}-ct2")
    translator = ctranslate2.Translator(f"{where}-ct2", compute_type="float32", intra_threads=1)
    forced = generation.get("forced_bos")
    prefix = []
    if forced is not None:
        with open(f"{where}/prefix.txt", "w") as out:
            out.writelines(target[forced] + "\n" for _ in sentences)
        config = json.load(open(f"{where}/generation_config.json"))
        config.pop("forced_bos_token_id")
        json.dump(config, open(f"{where}/generation_config.json", "w"))
        prefix = ["--prefix", f"{where}/prefix.txt"]
    for beams in (1, 4):
        ours = hypotheses(lingster, where, lines, target, "--compat", "ctranslate2", "--beam-size", str(beams),
                          "--max-length", str(MOST_TOKENS), *prefix)
        row.append(compare(ours, ct2_translate(translator, sentences, source, target, forced, beams, end)))
    return row


def cell(result):
    if result is None:
        return "-"
    same, ties, different, worst = result
    extra = (f", {ties} ties" if ties else "") + (f", {different} different" if different else "")
    return f"{same}{extra} ({worst:.0e})" if worst else f"{same}{extra}"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    lingster, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 100
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    print(f"{count} sentences a shape; transformers {transformers.__version__}, "
          f"CTranslate2 {ctranslate2.__version__ if ctranslate2 else 'not there'}. Identical outputs (largest "
          "difference of their scores).\n")
    print("| shape | log-probabilities | hf greedy | hf beam 4 | ctranslate2 greedy | ctranslate2 beam 4 |")
    print("|---|---|---|---|---|---|")
    failed = False
    for number in range(len(SHAPES)):
        name, difference, *results = one_shape(lingster, folder, number, count)
        failed |= difference > 1e-4 or any(r and r[2] for r in results)
        print(f"| {name} | {difference:.1e} | {' | '.join(cell(r) for r in results)} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
