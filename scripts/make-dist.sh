#!/bin/sh
# usage: scripts/make-dist.sh BUILD OUTPUT
#
# Makes OUTPUT, a folder that runs on another x86-64 Linux as it is: the program, the CUDA plugin where BUILD
# has one, the shared libraries they need, the demo model, configurations, the tests that compare devices, and what
# measures speed and writes a report (scripts/gpu-report.sh, scripts/bench-peers.py).
# Not inside: the CUDA toolkit's libraries (libcublasLt: from the toolkit or a Python package there, by
# LD_LIBRARY_PATH) and the C library (one as new as here is needed). Run through `make dist`.
# Exit status: 0 done, 1 failed, 2 wrong usage.
set -eu
[ $# -eq 2 ] || {
    sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
here=$(cd "$(dirname "$0")/.." && pwd)
build=$1 output=$2
fail() {
    echo "make-dist: $*" >&2
    exit 1
}
for file in lingster tests/parity/test_parity; do
    [ -x "$build/$file" ] || fail "$build/$file is not there: run this through make dist"
done
trap 'rm -rf "$output.part"' EXIT
rm -rf "$output.part"
mkdir -p "$output.part/bin" "$output.part/lib" "$output.part/tests" "$output.part/configs" "$output.part/scripts"

# Programs look for libraries in ../lib, wherever the folder lies.
install -m 755 "$build/lingster" "$output.part/bin/lingster"
install -m 755 "$build/tests/parity/test_parity" "$output.part/tests/test_parity"
[ ! -x "$build/tests/cudaemu/golden-gpu" ] ||
    install -m 755 "$build/tests/cudaemu/golden-gpu" "$output.part/tests/golden"
[ ! -f "$build/liblingster-cuda.so" ] ||
    install -m 755 "$build/liblingster-cuda.so" "$output.part/lib/liblingster-cuda.so"

# All but the C library's own, the loader, the driver's and the toolkit's.
own='^(ld-linux.*|libc|libm|libpthread|libdl|librt|libresolv|libutil|libnsl|libcuda|libcudart|libcublas(Lt)?|libnvidia.*)[.]so'
for file in "$output.part"/bin/* "$output.part"/tests/*; do
    ldd "$file" | awk '$2 == "=>" && $3 ~ /^\// {print $3}'
done | sort -u | while read -r library; do
    basename "$library" | grep -Eq "$own" || install -m 644 "$library" "$output.part/lib/"
done

# What is in the folder must be found there, not on this machine. The loader may name bin/../lib.
for file in "$output.part"/bin/* "$output.part"/tests/test_*; do
    LD_LIBRARY_PATH='' ldd "$file" | while read -r name _ found _; do
        [ ! -f "$output.part/lib/$name" ] || [ "$found" -ef "$output.part/lib/$name" ] ||
            fail "$(basename "$file") finds $name at $found instead of in lib: it was linked without RELOCATABLE=1"
    done || exit 1
done

cp -R "$here"/configs/. "$output.part/configs/"
# What one command needs to write a report on a GPU.
for script in gpu-report.sh bench-peers.py plot-growth.py; do
    install -m 755 "$here/scripts/$script" "$output.part/scripts/$script"
done
install -m 644 "$here"/scripts/peer_*.py "$here/scripts/svg_axes.py" "$output.part/scripts/"
install -m 644 "$here/README.md" "$here/LICENSE" "$here/CHANGELOG.md" "$output.part/"
"$build/lingster" --version >"$output.part/VERSION"
(cd "$here" && git rev-parse HEAD 2>/dev/null || echo unknown) >"$output.part/COMMIT"
rm -rf "$output"
mv "$output.part" "$output"
du -sh "$output"
