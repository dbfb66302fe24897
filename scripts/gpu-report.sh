#!/bin/sh
# usage: scripts/gpu-report.sh [--output DIR] [--device cuda] [--seeds N] [--model DIR]... [--only LIST] [--peers SECONDS]
#
# What a GPU makes of this build, from the folder that `make dist` made or from a build: every operation
# against the reference in f32, bf16 and int8; models on GPU and CPU (`lingster compare`); compute-sanitizer
# over small shapes where it is there; what the tensor-core instructions answer; translation speed; the same
# translations, scores and alignments with CUDA graphs and without, and in batches of any size; `lingster bench` of
# products, attention, training, decoding, start-up, memory and growth (bench-*.json, growth.svg); the same work in
# PyTorch, transformers and CTranslate2 (peers.json, peers.md).
#   --output   where report.json, report.md and all logs go, gpu-report by default
#   --device   cuda, cuda:1 ...
#   --seeds    shapes an operation, 40 by default
#   --model    models to compare besides the demo model
#   --only     kinds of steps, separated by commas: parity compare golden sanitizer translate graphs batches bench peers
#   --peers    how long the comparison with others may take, 540 by default; 0: leave it out
#   PYTHON     of the peers, python3 by default; where it lacks torch or transformers, they are left out
#   LINGSTER   the program; its tests are looked for beside it
# Exit status: 0 all passed, 1 something failed or there is no GPU, 2 wrong usage.
set -u
here=$(cd "$(dirname "$0")/.." && pwd) || exit 1
output=gpu-report device=cuda seeds=40 models=$here/configs/demo only='' peers=540
PYTHON=${PYTHON:-python3}
usage() {
    echo "gpu-report: $*; --help says more" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    --output | --device | --seeds | --model | --only | --peers) [ $# -gt 1 ] || usage "$1 needs a value" ;;
    *) usage "unexpected '$1'" ;;
    esac
    case $1 in
    --output) output=$2 ;;
    --device) device=$2 ;;
    --seeds) seeds=$2 ;;
    --model) models="$models $2" ;;
    --only) only=,$2, ;;
    --peers) peers=$2 ;;
    esac
    shift 2
done
case $peers in '' | *[!0-9]*) usage "--peers: expected a number of seconds, found '$peers'" ;; esac
for kind in $(echo "$only" | tr , ' '); do
    case $kind in
    parity | compare | golden | sanitizer | translate | graphs | batches | bench | peers) ;;
    *) usage "--only: there is no '$kind'" ;;
    esac
done
if [ -x "$here/bin/lingster" ]; then
    LINGSTER=${LINGSTER:-$here/bin/lingster} tests=$here/tests/test_parity golden=$here/tests/golden
    LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
else
    LINGSTER=${LINGSTER:-$here/build/lingster}
    tests=${LINGSTER%/*}/tests/parity/test_parity golden=${LINGSTER%/*}/tests/cudaemu/golden-gpu
fi
# The toolkit's libraries may be there as Python packages only.
found=$("$PYTHON" -c 'import glob, os, sys
print(":".join(sorted({os.path.dirname(f) for d in sys.path for f in glob.glob(d + "/nvidia/*/lib/libcublasLt.so.*")})))' 2>/dev/null)
[ -z "$found" ] || export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$found"
mkdir -p "$output" || exit 1
sample=$output/sample.en
head -n 50 "$here/configs/demo/sample.en" >"$sample" || exit 1
export LNG_PARITY_DEVICE="$device"
results=$output/results.tsv
: >"$results"
failures=0

wanted() { # NAME: whether its kind is among --only
    case $only in '' | *",${1%%-*},"*) return 0 ;; esac
    return 1
}
# NAME COMMAND...: runs it, its output in NAME.log, its outcome and seconds in the table.
step() {
    name=$1
    shift
    wanted "$name" || return 0
    start=$(date +%s.%N)
    if "$@" >"$output/$name.log" 2>&1; then outcome=passed; else
        outcome=failed
        failures=$((failures + 1))
    fi
    seconds=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN {printf "%.2f", b - a}')
    printf '%s\t%s\t%s\t%s\n' "$name" "$outcome" "$seconds" "$(tail -n 1 "$output/$name.log" | tr '\t"\\' '   ')" >>"$results"
    echo "$name: $outcome, $seconds s"
}
skip() { # NAME WHY
    wanted "$1" || return 0
    printf '%s\tskipped\t0\t%s\n' "$1" "$2" >>"$results"
    echo "$1: skipped, $2"
}

if ! echo Hello. | "$LINGSTER" translate -m "$here/configs/demo" --device "$device" >"$output/first.log" 2>&1; then
    cat "$output/first.log" >&2
    exit 1
fi
LNG_PARITY_SEEDS=$seeds LNG_PARITY_REPORT=1 step parity "$tests" --timeout 600
for model in $models; do
    label=$(basename "$model")
    for dtype in f32 bf16; do
        step "compare-$label-$dtype" "$LINGSTER" compare -m "$model" -i "$sample" --device "$device" --against cpu \
            --dtype "$dtype" --against-dtype "$dtype" --train-steps 3 --json "$output/compare-$label-$dtype.json"
    done
done
if [ -x "$golden" ]; then step golden "$golden"; else skip golden "no program $golden"; fi
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null || true)
for tool in memcheck racecheck initcheck synccheck; do
    if [ -n "$sanitizer" ]; then
        LNG_PARITY_SEEDS=3 step "sanitizer-$tool" "$sanitizer" --tool "$tool" --error-exitcode 3 \
            --target-processes all "$tests" --timeout 900 -j1
    else
        skip "sanitizer-$tool" "compute-sanitizer is not there"
    fi
done
for where in cpu "$device"; do
    for dtype in f32 bf16; do
        step "translate-$where-$dtype" "$LINGSTER" translate -m "$here/configs/demo" --device "$where" --dtype "$dtype" \
            -i "$here/configs/demo/sample.en" -o "$output/translation-$where-$dtype.de"
    done
done

# DTYPE: the output must be the same, and steps must have been replayed; ends with the speeds.
graphs() {
    for on in 1 0; do
        LNG_CUDA_GRAPHS=$on "$LINGSTER" translate -m "$here/configs/demo" --device "$device" --dtype "$1" --json \
            --alignment soft -i "$here/configs/demo/sample.en" -o "$output/graphs-$1-$on.json" 2>"$output/graphs-$1-$on.log"
        status=$?
        cat "$output/graphs-$1-$on.log"
        [ "$status" -eq 0 ] || return 1
    done
    cmp "$output/graphs-$1-1.json" "$output/graphs-$1-0.json" || return 1
    replayed=$(sed -n 's/.*graphs: \([0-9]*\) steps replayed.*/\1/p' "$output/graphs-$1-1.log")
    if [ "${replayed:-0}" -eq 0 ]; then
        echo "no step was replayed"
        return 1
    fi
    speed='s/.* \([0-9]*\) target tokens\/s.*/\1/p'
    echo "$replayed steps replayed; $(sed -n "$speed" "$output/graphs-$1-1.log") target tokens/s," \
        "$(sed -n "$speed" "$output/graphs-$1-0.log") without graphs"
}
for dtype in f32 bf16 int8; do
    step "graphs-$dtype" graphs "$dtype"
done

# DTYPE: translations must not depend on what is beside them; a few ties between equally good ones may.
batches() {
    for size in 1 7 64; do
        "$LINGSTER" translate -m "$here/configs/demo" --device "$device" --dtype "$1" --batch-sentences "$size" \
            -i "$here/configs/demo/sample.en" -o "$output/batches-$1-$size.de" || return 1
    done
    lines=$(wc -l <"$output/batches-$1-64.de")
    different=$(awk '!(FNR in first) {first[FNR] = $0} first[FNR] != $0 && !(FNR in other) {other[FNR] = 1; n++}
                     END {print n + 0}' "$output/batches-$1-1.de" "$output/batches-$1-7.de" "$output/batches-$1-64.de")
    echo "$different of $lines sentences differ between batches of 1, 7 and 64 sentences"
    [ $((different * 100)) -le "$lines" ]
}
for dtype in f32 bf16 int8; do
    step "batches-$dtype" batches "$dtype"
done

# NAME OPTIONS...: lingster bench, its JSON in bench-NAME.json.
bench() {
    to=$output/bench-$1.json
    shift
    "$LINGSTER" bench "$@" --device "$device" --json >"$to" || return 1
    tr ',{' '\n\n' <"$to" | grep -A 1 -E '"(target_tokens_per_second|utilization|milliseconds)"' |
        grep -E 'median|gflop|p50' | tr -d '"}' | paste -s -d ' ' -
}
step bench-peaks bench peaks gemm attention --dtype bf16 --batch-tokens 65536
step bench-train bench train gemm train --dtype bf16 --batch-tokens 25000 --length 64 --warmup 20 --repetitions 100 --phases
step bench-big bench big train --dtype bf16 --batch-tokens 25000 --length 64 --dim 1024 --ffn-dim 4096 --heads 16 \
    --warmup 10 --repetitions 30 --phases
for dtype in bf16 int8; do
    for beam in 1 4; do
        for batch in 64 256 512; do
            step "bench-decode-$dtype-$beam-$batch" bench "decode-$dtype-$beam-$batch" decode --dtype $dtype \
                --beam-size $beam --batch-sentences $batch --sentences 2048 --repetitions 3 --phases
        done
        step "bench-latency-$dtype-$beam" bench "latency-$dtype-$beam" latency --dtype $dtype --beam-size $beam \
            --sentences 50 --length 27 --repetitions 3 --phases
    done
done
step bench-startup bench startup startup -m "$here/configs/demo"
step bench-memory bench memory memory --dtype bf16 --batch-sentences 64 --sentences 256 --beam-size 4 --batch-tokens 25000
step bench-grow bench grow grow --dtype bf16 --batch-sentences 64 --length 27 --repetitions 2 \
    --batch-tokens 16384 --axes length,beam,batch,vocabulary,layers,width,update_tokens,update_length
if [ -s "$output/bench-grow.json" ] && [ -f "$here/scripts/plot-growth.py" ]; then
    "$PYTHON" "$here/scripts/plot-growth.py" "$output/bench-grow.json" --svg "$output/growth.svg" \
        --markdown "$output/growth.md" --title "how decoding grows on a GPU" 2>/dev/null
fi
if [ "$peers" -eq 0 ]; then
    skip peers "--peers 0"
elif ! "$PYTHON" -c 'import torch, transformers' 2>/dev/null; then
    skip peers "$PYTHON has no torch or no transformers"
else
    step peers "$PYTHON" "$here/scripts/bench-peers.py" --device "$device" --budget "$peers" --work "$output/peers" \
        --lingster "$LINGSTER" --python "$PYTHON" --json "$output/peers.json" --markdown "$output/peers.md"
fi

gpu=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -n 1)
commit=$(cat "$here/COMMIT" 2>/dev/null || git -C "$here" rev-parse HEAD 2>/dev/null || echo unknown)
when=$(date -u +%Y-%m-%dT%H:%M:%SZ)
{
    printf '{"date": "%s", "gpu": "%s", "commit": "%s", "version": "%s", "plugin": "%s", "steps": [' "$when" \
        "${gpu:-unknown}" "$commit" "$("$LINGSTER" --version | head -n 1)" "${LNG_CUDA_PLUGIN:-}"
    awk -F'\t' '{printf "%s{\"name\": \"%s\", \"outcome\": \"%s\", \"seconds\": %s, \"last_line\": \"%s\"}",
                 (NR > 1 ? ", " : ""), $1, $2, $3, $4}' "$results"
    printf ']}\n'
} >"$output/report.json"
{
    echo "# GPU report"
    echo
    echo "$when, ${gpu:-GPU unknown}, commit $commit${LNG_CUDA_PLUGIN:+, plugin $LNG_CUDA_PLUGIN}"
    echo
    echo "| step | outcome | seconds | last line |"
    echo "|---|---|---|---|"
    awk -F'\t' '{gsub(/[|]/, "/", $4); printf "| %s | %s | %s | %s |\n", $1, $2, $3, $4}' "$results"
    if [ -s "$output/peers.md" ]; then
        echo
        cat "$output/peers.md"
    fi
} >"$output/report.md"
echo "$output/report.md: $failures failed"
[ "$failures" -eq 0 ]
