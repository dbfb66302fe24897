#!/bin/sh
# usage: scripts/check-floors.sh
# Refuses includes that do not point at the own folder or a lower floor, and things in more than their
# one place: exits, printing, the heap, the headers of each library. One line a finding; exit 1 if any.
cd "$(dirname "$0")/.." || exit 2
find host kernels tokenizer -type f \( -name '*.[ch]' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' -o -name '*.def' \) |
    LC_ALL=C sort | perl -e '
use strict;
my %floor = (
    "host/base" => 0, "kernels" => 1, "tokenizer" => 1, "host/config" => 1,
    "host/model" => 2, "host/data" => 2, "host/store" => 2, "host/documents" => 2, "host/dist" => 2,
    "host/infer" => 3, "host/train" => 3, "host/eval" => 3, "host/cli" => 4);
# What is in angle brackets => where alone it may be.
my @libraries = (
    [qr{^(oneapi/|dnnl|cblas|f77blas|openblas|omp\.h)}, qr{^kernels/cpu/}],
    [qr{^(cuda|cublas|cooperative_groups|nvtx|mma\.h|nccl)}, qr{^(kernels/cuda/|host/dist/)}],
    [qr{^mpi\.h}, qr{^host/dist/}],
    [qr{^expat\.h}, qr{^host/documents/xml_nodes\.c$}],
    [qr{^md4c\.h}, qr{^host/documents/(markdown_gap\.h|read_markdown\.c)$}],
    [qr{^sentencepiece}, qr{^tokenizer/spm\.cc$}],
    [qr{^assert\.h}, qr{^$}]);
# What is called or named => where alone it may be, and why elsewhere not.
my @words = (
    [qr{(?<![\w.>])(?:_?exit|_Exit|quick_exit|abort|err|errx)\s*\(}, qr{^host/cli/}, "only host/cli ends the program"],
    [qr{(?<![\w.>])(?:printf|vprintf|puts|putchar|perror)\s*\(}, qr{^host/cli/}, "only host/cli prints"],
    [qr{\bstdout\b|\bSTDOUT_FILENO\b}, qr{^(host/cli/|host/base/file\.c$)}, "only host/cli knows standard output"],
    [qr{(?<![\w.>*])(?:malloc|calloc|realloc|free|strdup|strndup|asprintf|vasprintf|getline|aligned_alloc|posix_memalign)\s*\(},
     qr{^(host/base/mem\.c|tokenizer/spm\.cc)$}, "the heap is host/base/mem.h"],
    [qr{\bdlopen\s*\(}, qr{^kernels/plugin\.c$}, "only kernels/plugin.c opens libraries"]);
my $findings = 0;
sub finding { print "@_\n"; $findings++; }
sub module { my ($path) = @_; return $path =~ m{^(host/\w+|kernels|tokenizer)/} ? $1 : ""; }

while (my $file = <STDIN>) {
    chomp $file;
    open(my $in, "<", $file) or die "$file: $!";
    local $/;
    my $text = <$in>;
    my $own = module($file);
    finding("$file: no floor is known for this folder") unless exists $floor{$own};
    my $line = 0;
    for (split /\n/, $text) {
        $line++;
        if (/^\s*#\s*include\s*<([^>]+)>/) {
            for my $library (@libraries) {
                finding("$file:$line: <$1> does not belong here")
                    if $1 =~ $library->[0] && $file !~ $library->[1];
            }
        }
        next unless /^\s*#\s*include\s*"([^"]+)"/;
        my ($to, $there) = ($1, module($1));
        if (!exists $floor{$there} || $to =~ m{\.\.}) {
            finding("$file:$line: \"$to\" is not written from the root");
        } elsif ($there ne $own && $floor{$there} >= $floor{$own} &&
                 !($own eq "host/store" && $there eq "host/model")) {
            finding("$file:$line: $own (floor $floor{$own}) may not include $there (floor $floor{$there})");
        } elsif ($there eq "kernels" && $own ne "kernels" && $to !~ m{^kernels/(ops\.h|ops\.def|device\.h|observe\.h|comm\.h)$}) {
            finding("$file:$line: outside kernels/ only ops.h, device.h, observe.h and comm.h of it are seen");
        }
    }
    # Comments and literals out, lines kept.
    $text =~ s{(/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\x27(?:\\.|[^\x27\\\n])*\x27)}
              {my $gone = $1; $gone =~ tr/\n//cd; " $gone"}gse;
    $line = 0;
    for (split /\n/, $text) {
        $line++;
        for my $word (@words) {
            finding("$file:$line: $&: $word->[2]") if $file !~ $word->[1] && /$word->[0]/;
        }
    }
}
exit($findings ? 1 : 0);
' || { echo "check-floors: see above" >&2; exit 1; }
