#!/bin/sh
# usage: scripts/setup.sh [--check|--ci]
# Looks for what the build needs, says what is missing and what it is for, and installs it (Debian 12,
# apt-get). With --check it only says; with --ci what .ci/run needs beyond that is looked for too. Fast when
# all is there; standard input is not read.
set -u

# package, header or command that proves it is there, what it is for
needs='
gcc                       command:gcc                            compiles C
g++                       command:g++                            compiles the one C++ file
make                      command:make                           builds
pkg-config                command:pkg-config                     finds the test libraries
libc6-dev                 header:stdio.h                         the C library
libsentencepiece-dev      header:sentencepiece_trainer.h         vocabularies
libprotobuf-c-dev         header:protobuf-c/protobuf-c.h         checks vocabulary files before they are used
protobuf-c-compiler       command:protoc-c                       the same
libyaml-dev               header:yaml.h                          configuration files
libjansson-dev            header:jansson.h                       JSON
libexpat1-dev             header:expat.h                         XLIFF and TMX
libmd4c-dev               header:md4c.h                          Markdown
zlib1g-dev                header:zlib.h                          gzip
libzstd-dev               header:zstd.h                          zstd
libzip-dev                header:zip.h                           ZIP packages
libxxhash-dev             header:xxhash.h                        checksums
libicu-dev                header:unicode/uchar.h                 Unicode properties
libcriterion-dev          header:criterion/criterion.h           tests
libcmocka-dev             header:cmocka.h                        tests with threads
'

[ "${1-}" != --ci ] || needs="$needs
clang                     command:clang                          compiles a second time, with other warnings
clang-format              command:clang-format                   checks the layout of the sources
git                       command:git                            lists them"

have_header() {
    for folder in /usr/include /usr/local/include /usr/include/*-linux-gnu; do
        [ ! -e "$folder/$1" ] || return 0
    done
    return 1
}

missing=
while read -r package proof reason; do
    case $proof in
    '') continue ;;
    command:*) command -v "${proof#command:}" >/dev/null 2>&1 && continue ;;
    header:*) have_header "${proof#header:}" && continue ;;
    esac
    echo "setup: missing $package ($reason)" >&2
    missing="$missing $package"
done <<END
$needs
END

[ -n "$missing" ] || exit 0
if [ "${1-}" = --check ]; then
    echo "setup: run scripts/setup.sh, or: apt-get install$missing" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: no apt-get here: install what these Debian packages hold, then try again:$missing" >&2
    exit 1
fi
root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "setup: installing needs root, and there is no sudo: as root, apt-get install$missing" >&2
        exit 1
    fi
    root='sudo -n'
fi
echo "setup: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$root apt-get -q update </dev/null >&2 &&
    $root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y --no-install-recommends install $missing </dev/null >&2 || {
    echo "setup: apt-get failed; missing:$missing" >&2
    exit 1
}
