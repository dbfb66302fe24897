#!/bin/sh
# usage: scripts/corpus-debian.sh [--descriptions-only] LANG [OUT_DIR]
#
# Makes an English-LANG parallel corpus from what Debian translates, with apt alone: descriptions of
# packages, messages of programs, the help of an office suite and, for German, phrases of a dictionary.
#   LANG      de, fr, pt_BR, ... as in the names of apt's translations
#   OUT_DIR   gets train.en train.LANG valid.en valid.LANG test.en test.LANG; default: corpus-LANG
#   --descriptions-only   nothing but apt's lists (some 10 MB instead of some 80)
#
# Needs apt's sources to be set up, network, perl, and a few minutes; no root, and nothing on the system is
# changed: apt works in a folder of its own. The texts keep the licences of the packages they come from,
# which differ: use the corpus, and look before you pass it on.
# Which sentences are for valid and test follows from the sentences alone, and none of them, on either side,
# is in train. Exit status: 0 done, 1 failed, 2 wrong usage.
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 1

fail() {
    echo "corpus-debian: $*" >&2
    exit 1
}
usage() {
    echo "corpus-debian: $*; --help says more" >&2
    exit 2
}

all=yes
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    --descriptions-only) all= ;;
    -*) usage "unknown option '$1'" ;;
    *) break ;;
    esac
    shift
done
[ $# -eq 1 ] || [ $# -eq 2 ] || usage "expected LANG [OUT_DIR], found $# arguments"
lang=$1
out=${2-corpus-$lang}
echo "$lang" | grep -Eqx '[a-z]{2,3}(_[A-Z]{2})?' || usage "expected a language such as de or pt_BR, found '$lang'"
[ "$lang" != en ] || usage "the other language must not be en"
for program in apt-get apt-cache dpkg-deb perl tar; do
    command -v $program >/dev/null 2>&1 || fail "no $program here: this needs a Debian system"
done

mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd) || exit 1
work=$(mktemp -d "$out/work.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/debs" "$work/files" || exit 1

# The system's sources and keys, everything else here; no hooks, which would act on the system.
cat >"$work/apt.conf" <<END || exit 1
#clear Acquire::Languages;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Acquire::Languages { "en"; "$lang"; };
Dir::State "$work/state";
Dir::State::lists "$work/state/lists";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "$work/cache";
APT::Sandbox::User "";
Acquire::Retries "3";
END
apt() {
    command=$1
    shift
    "$command" -c "$work/apt.conf" "$@"
}
list() { # LANGUAGE -> its descriptions
    apt apt-get indextargets --format '$(FILENAME)' 'Created-By: Translations' "Language: $1" |
        while read -r file; do
            /usr/lib/apt/apt-helper cat-file "$file" && echo
        done
}

echo "corpus-debian: reading apt's lists" >&2
apt apt-get -q update >"$work/log" 2>&1 ||
    echo "corpus-debian: apt-get update had trouble, going on with what there is: $(grep -m1 '^[EW]:' "$work/log")" >&2
list en >"$work/en"
list "$lang" >"$work/other"
[ -s "$work/en" ] || { cat "$work/log" >&2; fail "apt has no English descriptions: are its sources set up?"; }
[ -s "$work/other" ] || echo "corpus-debian: apt has no descriptions in '$lang'" >&2
perl "$here/corpus-extract.pl" descriptions "$work/en" "$work/other" >"$work/pairs" || exit 1

# Packages with messages in many languages, and those that are for this one.
dashed=$(echo "$lang" | tr _ - | tr '[:upper:]' '[:lower:]')
wanted="libreoffice-l10n-$dashed libreoffice-help-$dashed libreoffice-help-en-us
    aptitude-common audacity-data bash coreutils evolution-common gnome-control-center-data gnome-shell-common
    gnucash-common gnumeric-common gramps homebank-data kmymoney-common libc-l10n libgtk-3-common nautilus-data
    pidgin-data rhythmbox-data util-linux-locales vlc-l10n"
[ "$lang" != de ] || wanted="$wanted trans-de-en"
if [ -n "$all" ]; then
    apt apt-cache pkgnames | LC_ALL=C sort >"$work/names"
    gcc=$(grep -E '^gcc-[0-9]+-locales$' "$work/names" | sort -V | tail -n 1)
    present=$(printf '%s\n' $wanted $gcc | LC_ALL=C sort -u | LC_ALL=C comm -12 - "$work/names")
    echo "corpus-debian: downloading $(echo $present)" >&2
    (cd "$work/debs" && apt apt-get -q download $present >>"$work/log" 2>&1) || {
        tail -n 5 "$work/log" >&2
        fail "apt-get download failed"
    }
    other=$(echo "$lang" | tr _ -)
    for deb in "$work"/debs/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/files" --no-same-owner --wildcards \
            "*/$lang/LC_MESSAGES/*.mo" "*/$other/LC_MESSAGES/*.mo" "*/help/$other/text/*" '*/help/en-US/text/*' \
            './usr/share/trans/*' 2>"$work/tar.log"
        grep -v 'Not found in archive\|Exiting with failure\|^$' "$work/tar.log" >&2
    done
    perl "$here/corpus-extract.pl" catalogs "$lang" "$work/files" >>"$work/pairs" || exit 1
    perl "$here/corpus-extract.pl" help "$lang" "$work/files" >>"$work/pairs" || exit 1
    if [ -f "$work/files/usr/share/trans/de-en" ]; then
        perl "$here/corpus-extract.pl" dictionary "$work/files/usr/share/trans/de-en" >>"$work/pairs" || exit 1
    fi
fi
echo "corpus-debian: cleaning $(wc -l <"$work/pairs") pairs" >&2
perl "$here/corpus-extract.pl" split "$lang" "$out" <"$work/pairs" || exit 1
