#!/bin/sh
# usage: scripts/check-size.sh
# Files of at most 500 lines (tests 800, tables exempt), functions of at most 60 (kernels and tests 120),
# the fixed top level, and no two files of one name. One line a finding; exit 1 if any.
cd "$(dirname "$0")/.." || exit 2
{ git ls-files -co --exclude-standard 2>/dev/null || find . -type f -not -path './build*' | sed 's|^\./||'; } |
    LC_ALL=C sort | perl -e '
use strict;
my $findings = 0;
sub finding { print "@_\n"; $findings++; }
my (%folder_of, %seen_top);
while (my $file = <STDIN>) {
    chomp $file;
    next unless -f $file;
    my ($top) = split m{/}, $file;
    finding("$top: nothing else belongs at the top")
        if !$seen_top{$top}++ && $top !~ /^(\.|build)/ &&
           $top !~ m{^(kernels|host|tokenizer|tests|configs|scripts|Makefile|README\.md|LICENSE|CONTRIBUTING\.md|CHANGELOG\.md|DECISIONS\.md)$};
    my ($name) = $file =~ m{([^/]+)$};
    # Data may hold model folders, and those have files of fixed names; seeds are named by what they hold.
    if ($file !~ m{^(tests/data/|tests/fuzz/corpus/|configs/|\.)} && $name !~ /^(README\.md|\.gitignore)$/) {
        finding("$file: there is already a $folder_of{$name}") if exists $folder_of{$name};
        $folder_of{$name} = $file;
    }
    next unless $file =~ m{^(host|kernels|tokenizer|tests|scripts)/} && $file !~ m{^tests/(data|reports)/};
    next if $file !~ /\.(c|h|cc|cu|cuh|sh|py)$/;
    open(my $in, "<", $file) or die "$file: $!";
    my $most_lines = $file =~ m{^tests/} ? 800 : 500;
    my $most_body = $file =~ m{^(kernels|tests)/} ? 120 : 60;
    my ($line, $start, $head, $before) = (0, 0, "", "");
    while (<$in>) {
        $line++;
        # Linux style: a function body, and nothing else, opens and closes in the first column.
        if (/^\{\s*$/) {
            ($start, $head) = ($line, $before) unless $before =~ /^(class|struct|namespace|extern)\b/;
        } elsif (/^\}/ && $start) {
            my $body = $line - $start + 1;
            finding("$file:$start: a function of $body lines, $most_body at most: $head") if $body > $most_body;
            $start = 0;
        }
        chomp($before = $_) if /\S/;
    }
    finding("$file: $line lines, $most_lines at most") if $line > $most_lines;
}
exit($findings ? 1 : 0);
' || { echo "check-size: see above" >&2; exit 1; }
