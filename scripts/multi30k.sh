#!/bin/sh
# usage: scripts/multi30k.sh --data DIR [--output DIR] [-- TRAIN_OPTION...]
#
# Repeats "Transformer-Tiny" of Wu et al. 2021 on Multi30k English-German, from text to score: vocabulary of
# both sides, training by configs/multi30k-tiny.yml, the mean of the last ten checkpoints, translation of
# test2016 with beam 5, BPE undone, BLEU of tokenised lower-case text. They report 41.02.
#   --data     the corpus as they prepared it, BPE applied: train.en train.de valid.en valid.de test2016.en,
#              and test2016.tok.de, the reference with BPE undone
#   --output   where all results go, build/multi30k by default. When it was interrupted, the same command
#              goes on where it stopped.
#   LINGSTER   the program, build/lingster by default
# Results: OUTPUT/report.txt, curve.csv and curve.svg (where there is python3), train.log in OUTPUT/run.
# Exit status: 0 done, 1 failed or interrupted, 2 wrong usage.
set -u
here=$(cd "$(dirname "$0")/.." && pwd) || exit 1
data='' output=$here/build/multi30k

fail() {
    echo "multi30k: $*" >&2
    exit 1
}
usage() {
    echo "multi30k: $*; --help says more" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    --data | --output) [ $# -gt 1 ] || usage "$1 needs a value" ;;
    --) shift && break ;;
    *) usage "unexpected '$1'" ;;
    esac
    [ "$1" != --data ] || data=$2
    [ "$1" != --output ] || output=$2
    shift 2
done
[ -n "$data" ] || usage "--data DIR is required"
for file in train.en train.de valid.en valid.de test2016.en test2016.tok.de; do
    [ -f "$data/$file" ] || fail "$data/$file is not there"
done
lingster=$(command -v "${LINGSTER:-$here/build/lingster}") ||
    fail "${LINGSTER:-build/lingster} is not there: build it with make, or say where it is with LINGSTER="
mkdir -p "$output" || exit 1

vocab=$output/vocab.json
[ -f "$vocab" ] || "$lingster" vocab --model-type symbols --vocab-size 20000 --input "$data/train.en" \
    --input "$data/train.de" --output "$vocab" || exit 1

"$lingster" train "$here/configs/multi30k-tiny.yml" --vocab "$vocab" \
    --train-source "$data/train.en" --train-target "$data/train.de" \
    --valid-source "$data/valid.en" --valid-target "$data/valid.de" --output "$output/run" "$@" || exit 1
[ -f "$output/run/model/config.json" ] || fail "training was interrupted; the same command goes on with it"

start=$(date +%s)
"$lingster" translate -m "$output/run/model" --beam-size 5 --length-penalty marian --length-penalty-alpha 1 \
    -i "$data/test2016.en" -o "$output/test2016.bpe.de" || exit 1
seconds=$(($(date +%s) - start))
sed 's/@@ //g; s/@@ *$//' "$output/test2016.bpe.de" >"$output/test2016.de" || exit 1

if command -v python3 >/dev/null; then
    python3 "$here/scripts/plot-curve.py" "$output/run/metrics.jsonl" --csv "$output/curve.csv" \
        --svg "$output/curve.svg" --title 'Multi30k en-de, Transformer-Tiny' || exit 1
fi
{
    echo "Multi30k en-de, Transformer-Tiny (Wu et al. 2021: BLEU 41.02, 71.0/47.5/34.3/24.5, BP 0.999)"
    echo "scripts/multi30k.sh${*:+ -- $*}"
    "$lingster" --version
    "$lingster" eval --tokenize none --metrics bleu,chrf --hypothesis "$output/test2016.de" \
        --reference "$data/test2016.tok.de" || exit 1
    echo "test2016 translated in $seconds s, beam 5"
    grep '"event":"\(end\|interrupted\)"' "$output/run/metrics.jsonl" | tail -n 1
    "$lingster" info "$output/run/model" | grep -v '^path:' || exit 1
} >"$output/report.txt.part" || fail "no report: see $output/report.txt.part"
mv "$output/report.txt.part" "$output/report.txt" || exit 1
cat "$output/report.txt"
