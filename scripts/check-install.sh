#!/bin/sh
# usage: scripts/check-install.sh [B=build]
# Installs below a temporary folder, compiles and links a program there against the headers, both libraries and
# the pkg-config file, runs it and the installed lingster, and uninstalls: nothing may be left.
set -eu
cd "$(dirname "$0")/.."
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
make -s "$@" PREFIX="$root/usr" install

cat >"$root/use.c" <<'END'
#include <stdio.h>
#include "host/base/mem.h"
#include "host/eval/bleu.h"
#include "host/infer/translate.h"
#include "host/train/trainer.h"
int main(void)
{
    struct lng_bleu_options options = lng_bleu_options_default();
    struct lng_bleu_counts counts = {0};
    struct lng_slice text = lng_slice_of("one two three four five");
    if (lng_bleu_add(&counts, &options, text, &text, 1) != LNG_OK)
        return 1;
    printf("%.1f\n", lng_bleu_compute(&counts, &options).score);
    return lng_mem_get_stats().blocks_live != 0;
}
END
export PKG_CONFIG_PATH="$root/usr/lib/pkgconfig"
cc=${CC:-gcc}
# shellcheck disable=SC2046 # words are wanted
$cc -std=c11 -Wall -Wextra -Werror $(pkg-config --cflags lingster) -o "$root/shared" "$root/use.c" \
    $(pkg-config --libs lingster)
# shellcheck disable=SC2046
$cc -std=c11 $(pkg-config --cflags lingster) -o "$root/static" "$root/use.c" "$root/usr/lib/liblingster.a" \
    $(pkg-config --static --libs lingster | sed 's/-llingster//')
for program in "LD_LIBRARY_PATH=$root/usr/lib $root/shared" "$root/static"; do
    said=$(env $program)
    [ "$said" = 100.0 ] || { echo "check-install: '$program' said '$said'" >&2; exit 1; }
done
# Every header compiles by itself.
find "$root/usr/include" -name '*.h' | while read -r header; do
    $cc -std=c11 -D_GNU_SOURCE -Wall -Werror -fsyntax-only -x c $(pkg-config --cflags lingster) "$header" 2>&1 ||
        { echo "check-install: $header does not compile by itself" >&2; exit 1; }
done
said=$("$root/usr/bin/lingster" --version)
case $said in
"lingster "*) ;;
*) echo "check-install: --version said '$said'" >&2; exit 1 ;;
esac
(cd "$root" && usr/bin/lingster train --dump-config --preset transformer-tiny --vocab v --train-source a --train-target b \
    --output c >dump) || { echo "check-install: no installed presets" >&2; exit 1; }
bash -n "$root/usr/share/bash-completion/completions/lingster"

make -s "$@" PREFIX="$root/usr" uninstall
left=$(find "$root/usr" -not -type d)
[ -z "$left" ] || { echo "check-install: left behind:" "$left" >&2; exit 1; }
