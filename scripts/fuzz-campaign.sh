#!/bin/sh
# usage: scripts/fuzz-campaign.sh [--executions N] [--slice SECONDS] [--jobs N] [--state DIR] [TARGET...]
#
# Runs libFuzzer on the targets in tests/fuzz, all of them by default, until each has done N executions; needs
# clang. Takes turns of some minutes, at the lowest priority, and counts what was done in a state folder: the same command
# goes on where it was interrupted. Prints and keeps a table: target, executions, executions a second,
# covered edges, inputs in the corpus, findings. Stops at a finding, the input of which is kept.
#   --executions  10000000 by default; reading the corpus again at the start of a turn does not count
#   --slice       seconds of a turn, 300 by default
#   --jobs        targets at a time, 1 by default
#   --state       counts, logs and table; build-fuzz/campaign by default. The corpora are in build-fuzz/corpus.
# Exit status: 0 done, 1 a finding or interrupted, 2 wrong usage.
set -u
here=$(cd "$(dirname "$0")/.." && pwd) || exit 1
state=$here/build-fuzz/campaign executions=10000000 slice=300 jobs=1 targets='' turn=''

fail() {
    echo "fuzz-campaign: $*" >&2
    exit 1
}
usage() {
    echo "fuzz-campaign: $*; --help says more" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    --executions | --slice | --jobs | --state | --turn)
        [ $# -gt 1 ] || usage "$1 needs a value"
        case $1 in
        --state) state=$2 ;;
        --turn) turn=$2 ;; # by this script: one turn of one target
        *)
            echo "$2" | grep -Eqx '[1-9][0-9]{0,11}' || usage "$1: expected a number from 1 on, found '$2'"
            [ "$1" != --executions ] || executions=$2
            [ "$1" != --slice ] || slice=$2
            [ "$1" != --jobs ] || jobs=$2
            ;;
        esac
        shift
        ;;
    -*) usage "unknown option '$1'" ;;
    *)
        [ -f "$here/tests/fuzz/fuzz_$1.c" ] || usage "no target '$1' in tests/fuzz"
        targets="$targets $1"
        ;;
    esac
    shift
done
folder=$here/build-fuzz
[ -n "$targets" ] || targets=$(for file in "$here"/tests/fuzz/fuzz_*.c; do basename "$file" .c; done | sed 's/^fuzz_//')

count_of() { # TARGET: executions seconds coverage corpus
    cat "$state/$1.count" 2>/dev/null || echo 0 0 0 0
}
findings_of() {
    find "$folder" -maxdepth 1 \( -name "$1-crash-*" -o -name "$1-leak-*" -o -name "$1-oom-*" -o -name "$1-timeout-*" \)
}
number_in() { # FILE: what follows a pattern, the last time
    sed -n "s/.*$2\([0-9][0-9]*\).*/\1/p" "$1" | tail -n 1
}
take_turn() { # TARGET
    read -r done seconds coverage corpus <<EOF
$(count_of "$1")
EOF
    output=$state/$1.output begun=$(date +%s)
    known=$(find "$folder/corpus/$1" "$here/tests/fuzz/corpus/$1" -type f 2>/dev/null | wc -l)
    nice -n 19 "$here/tests/fuzz/fuzz-one" "$folder" "$1" -max_total_time="$slice" -runs=$((executions - done + known)) \
        >"$output" 2>&1
    rc=$? new=$(number_in "$output" 'stat::number_of_executed_units: *')
    new=$((${new:-0} - known)) now=$(number_in "$output" 'cov: ')
    [ "$new" -gt 0 ] || new=0
    done=$((done + new)) seconds=$((seconds + $(date +%s) - begun)) coverage=${now:-$coverage}
    corpus=$(find "$folder/corpus/$1" -type f | wc -l)
    echo "$done $seconds $coverage $corpus" >"$state/$1.count.part" &&
        mv "$state/$1.count.part" "$state/$1.count" || exit 255
    echo "$(date '+%F %T') $1 +$new = $done executions, coverage $coverage, corpus $corpus, status $rc" >>"$state/log"
    [ $rc -ne 0 ] || return 0
    [ $rc -eq 72 ] && exit 255
    tail -n 40 "$output" >&2
    echo "fuzz-campaign: FINDING in $1 (status $rc); the input is $(findings_of "$1" | tr '\n' ' ')" >&2
    echo "fuzz-campaign: all of its output is in $output" >&2
    exit 255 # xargs begins no other
}
table() {
    printf '%-20s %12s %8s %9s %7s %9s\n' target executions per-s coverage corpus findings
    for target in $targets; do
        echo "$target $(count_of "$target") $(findings_of "$target" | wc -l)"
    done | awk '{
        rate = $3 > 0 ? $2 / $3 : 0; all += $2; time += $3; found += $6
        printf "%-20s %12d %8d %9d %7d %9d\n", $1, $2, rate, $4, $5, $6
    } END {printf "%-20s %12d %8d %9s %7s %9d\n", "all", all, (time > 0 ? all / time : 0), "", "", found}'
}

mkdir -p "$state" || exit 1
if [ -n "$turn" ]; then
    trap : INT TERM # the fuzzer ends, and what it did is counted
    take_turn "$turn"
    exit 0
fi
command -v clang >/dev/null || fail "clang is not there: install clang"
# shellcheck disable=SC2086 # words of a list
nice make -s -C "$here" fuzz-programs TARGET="$(echo $targets)" || fail "the targets cannot be built"
for target in $targets; do
    [ -z "$(findings_of "$target")" ] ||
        fail "$target has a finding from before: $(findings_of "$target" | tr '\n' ' '): mend it, add it to tests/fuzz/corpus/$target, remove it there"
done
rc=0
while [ $rc -eq 0 ]; do
    left=$(for target in $targets; do
        # shellcheck disable=SC2046 # four numbers
        set -- $(count_of "$target")
        [ "$1" -ge "$executions" ] || echo "$target"
    done)
    [ -n "$left" ] || break
    echo "$left" | xargs -P "$jobs" -n 1 "$0" --state "$state" --executions "$executions" --slice "$slice" --turn || rc=1
    table >"$state/table"
done
table | tee "$state/table"
[ $rc -eq 0 ] || fail "stopped before every target had $executions executions; the same command goes on"
