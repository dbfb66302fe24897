#!/bin/sh
# usage: scripts/g2p.sh --data DIR [--seeds "1 2 3"] [--concatenate N] [--output DIR] LANGUAGE... [-- TRAIN_OPTION...]
#
# Spelling to pronunciation on the data of SIGMORPHON 2020, task 1: for each language and seed, trains by
# configs/g2p.yml and scores the checkpoint that was best on dev. Prints a table of word error rates (words
# not entirely right) and phone error rates (edits), in percent, with the mean over the seeds. Hangul syllables are
# spelled out in their letters (Unicode's decomposition): a few thousand words show each syllable too rarely.
#   --data     DIR/LANGUAGE/{train,dev}.{g,p}, symbols separated by spaces; test.{g,p} is scored where it is
#              there. LANGUAGE is a folder's name: fre hun hin kor ...
#   --seeds    one training each; 1 by default
#   --concatenate  N times as many examples again, each of two training words drawn at random with # between them, so
#              that words are seen at other places (as Kondo et al. 2021 do with sentences); 0 by default, 1 for fre,
#              which then also has larger batches, fewer updates and more choice among checkpoints
#   --output   where models and results go, build/g2p by default; what is there already is not done again,
#              and what was interrupted goes on
#   LINGSTER   the program, build/lingster by default
# Exit status: 0 done, 1 failed or interrupted, 2 wrong usage.
set -u
here=$(cd "$(dirname "$0")/.." && pwd) || exit 1
data='' output=$here/build/g2p seeds=1 languages= concatenate=

fail() {
    echo "g2p: $*" >&2
    exit 1
}
usage() {
    echo "g2p: $*; --help says more" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    --data | --output | --seeds | --concatenate)
        [ $# -gt 1 ] || usage "$1 needs a value"
        [ "$1" != --data ] || data=$2
        [ "$1" != --output ] || output=$2
        [ "$1" != --seeds ] || seeds=$2
        [ "$1" != --concatenate ] || concatenate=$2
        shift
        ;;
    --) shift && break ;;
    -*) usage "unknown option '$1'" ;;
    *) languages="$languages $1" ;;
    esac
    shift
done
[ -n "$data" ] || usage "--data DIR is required"
[ -n "$languages" ] || usage "expected at least one language"
echo "$seeds" | grep -Eqx ' *[0-9]+( +[0-9]+)* *' || usage "--seeds: expected numbers, found '$seeds'"
echo "${concatenate:-0}" | grep -Eqx '[0-9]{1,3}' || usage "--concatenate: expected a number, found '$concatenate'"
for language in $languages; do
    for file in train.g train.p dev.g dev.p; do
        [ -f "$data/$language/$file" ] || fail "$data/$language/$file is not there"
    done
done
lingster=$(command -v "${LINGSTER:-$here/build/lingster}") ||
    fail "${LINGSTER:-build/lingster} is not there: build it with make, or say where it is with LINGSTER="

perl -MUnicode::Normalize -e 1 2>/dev/null || fail "perl's Unicode::Normalize is not there: install perl"
spell() { # LANGUAGE: OUTPUT/LANGUAGE/PART.g
    for part in train dev test; do
        [ -f "$data/$1/$part.g" ] && [ ! -f "$output/$1/$part.g" ] || continue
        perl -MUnicode::Normalize -CSD -pe 's/([\x{AC00}-\x{D7A3}])/join " ", split m{}, NFD($1)/ge' \
            "$data/$1/$part.g" >"$output/$1/$part.g.part" || return 1
        mv "$output/$1/$part.g.part" "$output/$1/$part.g" || return 1
    done
}
# What helps a language beyond configs/g2p.yml (tests/reports); options of the caller come later, and win.
recipe() { # LANGUAGE: times, recipe_options
    times=${concatenate:-0} recipe_options=
    [ "$1" != fre ] || times=${concatenate:-1}
    [ "$1$times" != fre1 ] || recipe_options='--batch-tokens 2048 --max-updates 4300 --valid-every 10u'
}
concatenate() { # LANGUAGE: OUTPUT/LANGUAGE/more.{g,p}, the training words and then pairs of them
    [ ! -f "$output/$1/more.p" ] || return 0
    perl -e '
        use strict;
        my ($g, $p, $times, $to) = @ARGV;
        my @sides = map {open(my $in, "<", $_) or die "$_: $!\n"; my @lines = <$in>; chomp @lines; \@lines} $g, $p;
        my $n = @{$sides[0]};
        die "$g and $p: expected as many lines in both\n" if $n == 0 || $n != @{$sides[1]};
        grep {/#/} @$_ and die "$g, $p: expected no symbol # in them, which is to stand between words\n" for @sides;
        srand(1);
        my @pairs = map {[int rand $n, int rand $n]} 1 .. $times * $n;
        for my $side (0, 1) {
            my $name = "$to." . ("g", "p")[$side];
            open(my $out, ">", "$name.part") or die "$name: $!\n";
            print $out "$_\n" for @{$sides[$side]};
            print $out "$sides[$side][$_->[0]] # $sides[$side][$_->[1]]\n" for @pairs;
            close($out) && rename("$name.part", $name) or die "$name: $!\n";
        }' "$output/$1/train.g" "$data/$1/train.p" "$times" "$output/$1/more"
}
train() { # LANGUAGE SEED FOLDER [TRAIN_OPTION...]
    files=$data/$1 spelled=$output/$1 seed=$2 folder=$3 train_g=$output/$1/train.g train_p=$data/$1/train.p
    recipe "$1"
    [ "$times" = 0 ] || { concatenate "$1" && train_g=$spelled/more.g train_p=$spelled/more.p; } || return 1
    shift 3
    for side in g p; do
        text=$train_g
        [ $side = g ] || text=$train_p
        [ -f "$folder/../$side.json" ] || "$lingster" vocab -q --model-type symbols \
            --input "$text" --output "$folder/../$side.json" || return 1
    done
    # shellcheck disable=SC2086 # options, word by word
    "$lingster" train "$here/configs/g2p.yml" $recipe_options --seed "$seed" --output "$folder" \
        --source-vocab "$folder/../g.json" --target-vocab "$folder/../p.json" \
        --train-source "$train_g" --train-target "$train_p" \
        --valid-source "$spelled/dev.g" --valid-target "$files/dev.p" "$@" || return 1
    [ -f "$folder/model/config.json" ] || fail "training was interrupted; the same command goes on with it"
}
score() { # LANGUAGE PART FOLDER -> FOLDER/PART.score
    "$lingster" translate -q -m "$3/model" --beam-size 5 -i "$output/$1/$2.g" -o "$3/$2.p" || return 1
    "$lingster" eval --metrics sentence-accuracy,wer --hypothesis "$3/$2.p" --reference "$data/$1/$2.p" \
        >"$3/$2.score.part" || return 1
    mv "$3/$2.score.part" "$3/$2.score"
}

for language in $languages; do
    mkdir -p "$output/$language" && spell "$language" || exit 1
    for seed in $seeds; do
        folder=$output/$language/seed-$seed
        mkdir -p "$folder" || exit 1
        [ -f "$folder/model/config.json" ] || train "$language" "$seed" "$folder" "$@" || exit 1
        for part in dev test; do
            [ -f "$data/$language/$part.g" ] && [ -f "$data/$language/$part.p" ] || continue
            [ -f "$folder/$part.score" ] || score "$language" "$part" "$folder" || exit 1
        done
    done
done

# In the order they were asked for: language part seed word-errors phone-errors.
for language in $languages; do
    for seed in $seeds; do
        for part in dev test; do
            score=$output/$language/seed-$seed/$part.score
            [ ! -f "$score" ] || awk -v row="$language $part $seed" '
                $1 == "sentence-accuracy" {words = 100 - $3}
                $1 == "WER" {phones = $3}
                END {printf "%s %.2f %.2f\n", row, words, phones}' "$score"
        done
    done
done >"$output/scores" || exit 1
awk '
    BEGIN {printf "%-9s %-5s %-6s %7s %7s\n", "language", "part", "seed", "WER", "PER"}
    {
        printf "%-9s %-5s %-6s %7.2f %7.2f\n", $1, $2, $3, $4, $5
        key = $1 " " $2
        if (!(key in count)) order[++keys] = key
        count[key]++; words[key] += $4; phones[key] += $5
    }
    END {
        for (i = 1; i <= keys; i++) {
            key = order[i]; split(key, part, " ")
            if (count[key] > 1)
                printf "%-9s %-5s %-6s %7.2f %7.2f\n", part[1], part[2], "mean", words[key] / count[key], phones[key] / count[key]
        }
    }' "$output/scores"
