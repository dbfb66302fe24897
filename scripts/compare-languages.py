#!/usr/bin/env python3
"""Tiny M2M-100 and NLLB directories, random weights, translated by transformers and by `lingster translate --compat hf`.

usage: scripts/compare-languages.py LINGSTER FOLDER [SENTENCES]

Tokens of the source, tokens of the output and its text must be equal. NLLB's tokens are checked against its numbering of
SentencePiece's ids (one more than they are), in its present and its older form. Needs torch, transformers, sentencepiece.
"""
import json
import os
import random
import shutil
import subprocess
import sys

import sentencepiece
import torch
import transformers
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

PIECES, EOS = 300, 2
TIE = 1e-4  # outputs of scores so close count as equal, and are listed


def sentences(count):
    rng = random.Random(7)
    words = ["".join(rng.choice("abdeghiklmnoprstu") for _ in range(rng.randrange(2, 9))) for _ in range(400)]
    return [" ".join(rng.choice(words) for _ in range(rng.randrange(1, 9))) for _ in range(count)]


def make_model(size, folder):
    torch.manual_seed(5)
    model = transformers.M2M100ForConditionalGeneration(transformers.M2M100Config(
        vocab_size=size, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=128, pad_token_id=1,
        bos_token_id=0, eos_token_id=EOS, decoder_start_token_id=EOS))
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() == 2:
                value.normal_(0, 0.25)
        model.model.shared.weight[1] = 0
    model.tie_weights()
    model.eval()
    model.generation_config = transformers.GenerationConfig(max_length=30, num_beams=4, pad_token_id=1, eos_token_id=EOS,
                                                            decoder_start_token_id=EOS, bos_token_id=0)
    model.save_pretrained(folder)
    return model


def compare(name, lingster, folder, model, lines, languages, encode, vocabulary, forced):
    source, target = languages
    result = subprocess.run([lingster, "translate", "-q", "-m", folder, "--json", "--compat", "hf", "--source-language",
                             source, "--target-language", target], input="".join(line + "\n" for line in lines),
                            text=True, capture_output=True)
    if result.returncode:
        sys.exit(result.stderr)
    inputs = outputs = 0
    for line, answer in zip(lines, result.stdout.splitlines()):
        ids = encode(line)
        segment, = json.loads(answer)["segments"]
        inputs += segment["source_tokens"] == [vocabulary[i] for i in ids]
        whole = model.generate(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                               forced_bos_token_id=forced, return_dict_in_generate=True, output_scores=True)
        made = whole.sequences[0, 1:].tolist()
        made = made[:made.index(EOS) + 1] if EOS in made else made
        best = segment["hypotheses"][0]
        same = best["tokens"] == [vocabulary[i] if i < len(vocabulary) else "<unk>" for i in made]
        gap = abs(best["normalized_score"] - float(whole.sequences_scores[0]))
        outputs += same or gap <= TIE
        if not same:
            print(f"{line}: scores differ by {gap:.1e}", file=sys.stderr)
    print(f"| {name}, {source} to {target} | {inputs} | {outputs} |", flush=True)
    return inputs == outputs == len(lines)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    lingster, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
    lines = sentences(int(sys.argv[3]) if len(sys.argv) > 3 else 60)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/text", "w") as out:
        out.writelines(line + "\n" for line in sentences(3000))
    sentencepiece.SentencePieceTrainer.train(input=f"{folder}/text", model_prefix=f"{folder}/pieces",
                                             vocab_size=PIECES, model_type="bpe", minloglevel=2)
    pieces = sentencepiece.SentencePieceProcessor(f"{folder}/pieces.model")
    words = ["<s>", "<pad>", "</s>", "<unk>"] + [pieces.id_to_piece(i) for i in range(3, PIECES)]
    with open(f"{folder}/vocab.json", "w") as out:
        json.dump({w: i for i, w in enumerate(words)}, out)
    print(f"{len(lines)} sentences, transformers {transformers.__version__}\n\n| model | source | output |\n|---|---|---|")

    good = True
    tokenizer = transformers.M2M100Tokenizer(f"{folder}/vocab.json", f"{folder}/pieces.model", src_lang="en")
    known = words + [f"__{code}__" for code in tokenizer.lang_code_to_id]
    where = f"{folder}/m2m"
    model = make_model(len(known) + 8, where)
    tokenizer.save_pretrained(where)
    for source, target in (("en", "fr"), ("de", "zu")):
        tokenizer.src_lang = source
        good &= compare("M2M-100", lingster, where, model, lines, (source, target),
                        lambda line: tokenizer(line).input_ids, known, tokenizer.get_lang_id(target))

    known = words + FAIRSEQ_LANGUAGE_CODES + ["<mask>"]
    where = f"{folder}/nllb"
    model = make_model(len(known) + 2, where)
    shutil.copy(f"{folder}/pieces.model", f"{where}/sentencepiece.bpe.model")
    for legacy in (False, True):
        with open(f"{where}/tokenizer_config.json", "w") as out:
            json.dump({"tokenizer_class": "NllbTokenizer", "additional_special_tokens": FAIRSEQ_LANGUAGE_CODES,
                       "legacy_behaviour": legacy}, out)

        def encode(line):
            ids = [i + 1 if i else 3 for i in pieces.encode(line)]
            language = known.index("eng_Latn")
            return ids + [EOS, language] if legacy else [language] + ids + [EOS]
        good &= compare("NLLB, older form" if legacy else "NLLB", lingster, where, model, lines,
                        ("eng_Latn", "fra_Latn"), encode, known, known.index("fra_Latn"))
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
