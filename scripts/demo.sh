#!/bin/sh
# usage: scripts/demo.sh [--all] [SENTENCE...]
#
# Translates with the small English-German model of configs/demo: the given sentences, or the sample beside
# the model, of which every tenth line is shown (all of them with --all). Builds the program where needed.
#   LINGSTER   the program; build/lingster, built by make, by default
#   DEMO       the folder with the model, configs/demo by default
# Exit status: 0 done, 1 failed (no model is a failure), 2 wrong usage.
set -u
here=$(cd "$(dirname "$0")/.." && pwd) || exit 1
demo=${DEMO:-$here/configs/demo} every=10

case ${1-} in
-h | --help)
    sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
--all) every=1 && shift ;;
-*)
    echo "demo: unknown option '$1'; --help says more" >&2
    exit 2
    ;;
esac
if [ ! -f "$demo/config.json" ] || [ ! -f "$demo/model.safetensors" ]; then
    echo "demo: there is no model in ${demo#"$here"/}: train one as configs/demo.yml says, and put what is in" \
        "its model folder there" >&2
    exit 1
fi
[ -n "${LINGSTER-}" ] || make -s -C "$here" build/lingster >&2 || exit 1
lingster=$(command -v "${LINGSTER:-$here/build/lingster}") || {
    echo "demo: ${LINGSTER:-build/lingster} is not there" >&2
    exit 1
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
if [ $# -gt 0 ]; then
    printf '%s\n' "$@" >"$work/source" || exit 1
    every=1
else
    cp "$demo/sample.en" "$work/source" || exit 1
fi

start=$(date +%s%N)
"$lingster" translate -q -m "$demo" -i "$work/source" -o "$work/target" || exit 1
end=$(date +%s%N)

paste -d '\n' "$work/source" "$work/target" | awk -v every="$every" '
    int((NR - 1) / 2) % every == 0 {print (NR % 2 ? "   " : "-> ") $0}
    int((NR - 1) / 2) % every == 0 && NR % 2 == 0 {print ""}'
wc -lw <"$work/source" | awk -v ms=$(((end - start) / 1000000)) '{
    printf "%d sentences, %d words, in %.2f s with loading the model: %.0f words/s\n", $1, $2, ms / 1000, $2 * 1000 / (ms > 0 ? ms : 1)}'
