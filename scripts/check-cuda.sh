#!/bin/sh
# usage: scripts/check-cuda.sh [ARCH]...
#
# What nvcc makes of the attention kernels for compute capabilities ARCH (80 and 90 by default): registers of
# each kernel; fails when one spills to memory, and when those for tensor cores hold no instructions for them.
#   NVCC   the compiler, nvcc or /usr/local/cuda/bin/nvcc by default
# Exit status: 0 fine, 1 not, 2 no compiler.
set -u
cd "$(dirname "$0")/.." || exit 2
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
[ -x "$(command -v "$nvcc")" ] || {
    echo "check-cuda: no nvcc" >&2
    exit 2
}
[ $# -gt 0 ] || set -- 80 90
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
rc=0
for arch do
    for source in kernels/cuda/gpu_attention*.cu; do
        "$nvcc" -std=c++17 -O3 -I. -arch="sm_$arch" -Xptxas -v -c -o "$work/o" "$source" >"$work/log" 2>&1 || {
            cat "$work/log"
            rc=1
            continue
        }
        # "bytes spill" and "Used N registers" follow the name of their function.
        awk -v where="sm_$arch $(basename "$source")" '
            /bytes spill stores/ {for (i = 2; i <= NF; i++) if ($(i + 1) == "bytes" && $(i + 2) ~ /spill/) spilled += $i}
            /Used [0-9]+ registers/ {kernels++; for (i = 1; i < NF; i++) if ($i == "Used" && $(i + 1) > most) most = $(i + 1)}
            END {
                printf "%s: %d kernels, %d registers at most, %d bytes spilled\n", where, kernels, most, spilled
                exit spilled > 0 || kernels == 0
            }' "$work/log" || rc=1
    done
done
for source in kernels/cuda/gpu_attention_mma*.cu; do
    "$nvcc" -std=c++17 -O3 -I. -arch=compute_80 -ptx -o "$work/ptx" "$source" || rc=1
    for instruction in mma.sync.aligned.m16n8k16 ldmatrix.sync cp.async.cg; do
        count=$(grep -c "$instruction" "$work/ptx")
        echo "$(basename "$source"): $count $instruction"
        [ "$count" -gt 0 ] || rc=1
    done
done
exit $rc
