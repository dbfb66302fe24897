#!/usr/bin/perl
# Parallel text out of what Debian's packages hold. For scripts/corpus-debian.sh; perl-base is enough.
#   corpus-extract.pl descriptions ENGLISH OTHER   two decompressed Translation lists
#   corpus-extract.pl catalogs LANG FOLDER         gettext catalogs (.mo) anywhere below FOLDER
#   corpus-extract.pl help LANG FOLDER             LibreOffice's help pages below FOLDER
#   corpus-extract.pl dictionary FILE              a German-English dictionary of Ding's format
#       print "origin TAB english TAB other"
#   corpus-extract.pl split LANG OUT_DIR           such lines from standard input, cleaned, into
#                                                  OUT_DIR/{train,valid,test}.{en,LANG}
use strict;
use warnings;
use open qw(:std :utf8);

sub fail
{
    print STDERR "corpus-extract: $_[0]\n";
    exit 1;
}

sub squeeze
{
    my ($text) = @_;
    $text =~ s/[\s\x{a0}\x{ad}\x{200b}]+/ /g;
    $text =~ s/^ | $//g;
    return $text;
}

sub sentences { return split /(?<=[.!?])\s+(?=["\x{201e}\x{201c}(\x{ab}]?\p{Lu})/, $_[0]; }

# Prints a pair, sentence by sentence where both sides have as many.
sub put
{
    my ($origin, $english, $other) = map { squeeze($_) } @_;
    my @e = sentences($english);
    my @o = sentences($other);
    if (@e > 1 && @e == @o) {
        print "$origin\t$e[$_]\t$o[$_]\n" for 0 .. $#e;
    } else {
        print "$origin\t$english\t$other\n";
    }
}

sub slurp
{
    my ($path) = @_;
    open(my $in, "<:raw", $path) or fail("$path: $!");
    local $/;
    my $bytes = <$in>;
    return defined $bytes ? $bytes : "";
}

# ---- package descriptions ----

# Paragraphs and list items of the long description: lines of text flow together, indented ones do not.
sub blocks
{
    my @blocks = ("");
    for (@_) {
        if (/^ \.\s*$/) {
            push @blocks, "";
        } elsif (/^ \s*[-*+o\x{2022}]\s+(.*)/) {
            push @blocks, $1;
        } elsif (/^  \s*(\S.*)/) {
            $blocks[-1] .= ($blocks[-1] eq "" ? "" : " ") . $1;
        } elsif (/^ (.*)/) {
            $blocks[-1] .= ($blocks[-1] eq "" ? "" : " ") . $1;
        }
    }
    return grep { $_ ne "" } @blocks;
}

# The md5 of an English description -> [short, paragraphs...]; only of those in %$wanted, if given.
sub read_descriptions
{
    my ($path, $wanted) = @_;
    my %found;
    open(my $in, "<", $path) or fail("$path: $!");
    local $/ = "";
    while (my $stanza = <$in>) {
        my ($md5) = $stanza =~ /^Description-md5: (\w+)/m or next;
        next if exists $found{$md5} || ($wanted && !exists $wanted->{$md5});
        my ($text) = $stanza =~ /^Description-[A-Za-z_]+: ((?!\w{32}$).*?)\s*\z/ms or next;
        my ($short, @lines) = split /\n/, $text;
        $found{$md5} = [$short, blocks(@lines)];
    }
    return \%found;
}

sub descriptions
{
    my ($english_path, $other_path) = @_;
    my $other = read_descriptions($other_path);
    my $english = read_descriptions($english_path, $other);
    for my $md5 (sort keys %$english) {
        my ($e, $o) = ($english->{$md5}, $other->{$md5});
        put("descriptions", $e->[0], $o->[0]);
        next if @$e != @$o;
        put("descriptions", $e->[$_], $o->[$_]) for 1 .. $#$e;
    }
}

# ---- gettext catalogs ----

sub files_below
{
    my ($folder, $pattern) = @_;
    my @found;
    opendir(my $entries, $folder) or return ();
    for my $name (sort readdir $entries) {
        next if $name eq "." || $name eq "..";
        my $path = "$folder/$name";
        next if -l $path;
        push @found, -d $path ? files_below($path, $pattern) : $path =~ $pattern ? $path : ();
    }
    return @found;
}

# [message, translation]... of a .mo file; those of other character sets than UTF-8 are left out.
sub read_catalog
{
    my ($bytes) = @_;
    return () if length $bytes < 28;
    my $order = unpack("V", $bytes) == 0x950412de ? "V" : unpack("N", $bytes) == 0x950412de ? "N" : return ();
    my ($count, $messages, $translations) = unpack("x8 ${order}3", $bytes);
    return () if $count > 1e6 || $messages + 8 * $count > length $bytes || $translations + 8 * $count > length $bytes;
    my @pairs;
    for my $i (0 .. $count - 1) {
        my @pair = map {
            my ($length, $offset) = unpack("x" . ($_ + 8 * $i) . " ${order}2", $bytes);
            $offset + $length <= length $bytes ? substr($bytes, $offset, $length) : "";
        } $messages, $translations;
        return () if $pair[0] eq "" && $pair[1] !~ /charset=utf-?8/i;
        push @pairs, \@pair if $pair[0] ne "" && utf8::decode($pair[0]) && utf8::decode($pair[1]);
    }
    return @pairs;
}

# "_Open", "&Open" and "~Open" show a key to press.
sub without_keys
{
    my ($english, $other) = @_;
    my $mark = $english =~ /^(?:[^_]* )?[^_ ]?_\p{L}[^_]*$/ ? "_" : $english =~ /&\p{L}/ ? "&" : $english =~ /~\p{L}/ ? "~" : "";
    if ($mark ne "" && length $english < 60) {
        # Scripts without such keys put the letter in brackets behind.
        $other =~ s/\s?\(\Q$mark\E[A-Z0-9]\)//;
        s/\Q$mark\E(?=[\p{L}\p{N}])// for $english, $other;
    }
    return ($english, $other);
}

sub catalogs
{
    my ($lang, $folder) = @_;
    (my $dashed = $lang) =~ s/_/-/;
    for my $path (files_below($folder, qr{/(?:\Q$lang\E|\Q$dashed\E)/LC_MESSAGES/[^/]+\.mo$}i)) {
        for my $pair (read_catalog(slurp($path))) {
            my ($english, $other) = @$pair;
            $english =~ s/^.*\x04//s;
            s/\x00.*//s for $english, $other; # the singular of plural forms
            my @e = split /\n{2,}/, $english;
            my @o = split /\n{2,}/, $other;
            next if @e != @o;
            put("catalogs", without_keys($e[$_], $o[$_])) for 0 .. $#e;
        }
    }
}

# ---- LibreOffice's help ----

my %entity = (amp => "&", lt => "<", gt => ">", quot => '"', apos => "'", nbsp => " ");

# id -> text of the paragraphs and headings of a page.
sub read_page
{
    my ($path) = @_;
    my $html = slurp($path);
    my %text;
    utf8::decode($html) or return \%text;
    while ($html =~ m{<(p|h[1-6])\b[^>]*\bid="((?:par|hd)_[^"]+)"[^>]*>(.*?)</\1>}gs) {
        my ($id, $inner) = ($2, $3);
        next if $inner =~ /switchinline|<img/;
        $inner =~ s/<[^>]*>//g;
        $inner =~ s/&(?:#(\d+)|(\w+));/defined $1 ? chr $1 : $entity{$2} \/\/ " "/ge;
        $text{$id} = $inner;
    }
    return \%text;
}

sub help
{
    my ($lang, $folder) = @_;
    (my $dashed = $lang) =~ s/_/-/;
    for my $path (files_below($folder, qr{/help/en-US/text/.*\.html$})) {
        (my $other_path = $path) =~ s{/help/en-US/}{/help/$dashed/};
        next unless -f $other_path;
        my ($english, $other) = (read_page($path), read_page($other_path));
        exists $other->{$_} and put("help", $english->{$_}, $other->{$_}) for sort keys %$english;
    }
}

# ---- a dictionary: "deutsch {n} [x]; anders | plural :: english; other | plural" ----

sub term
{
    my ($text) = split /;/, $_[0];
    $text = "" unless defined $text;
    $text =~ s/\{[^}]*\}|\[[^\]]*\]|\([^)]*\)|<[^>]*>|\/[^\/]*\///g;
    return squeeze($text);
}

# Phrases only: single words would be most of it and teach little.
sub dictionary
{
    open(my $in, "<", $_[0]) or fail("$_[0]: $!");
    while (<$in>) {
        next if /^#/;
        my ($german, $english) = split / :: /;
        next unless defined $english;
        my @g = split /\|/, $german;
        my @e = split /\|/, $english;
        next if @g != @e;
        for my $i (0 .. $#g) {
            my ($e, $g) = (term($e[$i]), term($g[$i]));
            next if $g =~ m{/|\.\.\.|\betw\.|\bjdm|\bjdn} || $e =~ m{/|\.\.\.|\bsb\b|\bsth\b};
            put("dictionary", $e, $g) if ($e =~ tr/ //) >= 2 && ($g =~ tr/ //) >= 1;
        }
    }
}

# ---- cleaning and splitting ----

my $placeholder = qr{%\w|%[-+#0.']|%\d*\$|\$[\w(\{]|\{\w*\}|<\s*/?[a-zA-Z!][^>]*>|<>|&\#?\w+;|\\[a-z"]|\@\w+\@|\#\w+\#|
                     ://|\w_\w|\w\(\)|==|\|\||\t|[\x00-\x1f\x{fffd}]|[|*=#~_^]{2}|--\w}x;

# Why a pair is no good for training; "" when it is.
sub fault
{
    my ($english, $other) = @_;
    return "empty" if $english !~ /\p{L}.*\p{L}/ || $other !~ /\p{L}/;
    return "placeholders" if $english =~ $placeholder || $other =~ $placeholder;
    return "too long" if length $english > 400 || length $other > 500;
    return "identical" if lc $english eq lc $other;
    my %words = map { lc $_ => 1 } $english =~ /\p{L}+/g;
    my @others = $other =~ /\p{L}+/g;
    return "untranslated" if @others > 3 && 10 * grep({ $words{lc $_} } @others) >= 8 * @others;
    my $letters = () = $english =~ /\p{L}/g;
    return "not text" if 2 * $letters < length $english;
    return "numbers differ" if join(" ", sort $english =~ /\d{2,}/g) ne join(" ", sort $other =~ /\d{2,}/g);
    return "";
}

# FNV-1a of the UTF-8 bytes: the same on every machine, so that a sentence stays in its part.
sub hash
{
    my ($text) = @_;
    utf8::encode($text);
    my $hash = 0x811c9dc5;
    $hash = (($hash ^ $_) * 0x01000193) & 0xffffffff for unpack("C*", $text);
    return $hash;
}

# Drops pairs far from the usual proportion of the two languages' lengths.
sub by_proportion
{
    my ($pairs, $dropped) = @_;
    my @ratios = sort { $a <=> $b } map { length($_->[2]) / length($_->[1]) } grep { length $_->[1] >= 20 } @$pairs;
    my $usual = @ratios ? $ratios[@ratios / 2] : 1;
    my @kept;
    for my $pair (@$pairs) {
        my ($english, $other) = (length $pair->[1], length $pair->[2]);
        my $off = $other / ($english * $usual);
        my $most = $english >= 20 ? 2 : 3.5;
        if ($off > $most || $off < 1 / $most) {
            $dropped->{"lengths differ"}++;
        } else {
            push @kept, $pair;
        }
    }
    return \@kept;
}

sub write_part
{
    my ($directory, $part, $lang, $pairs) = @_;
    for my $side ([1, "en"], [2, $lang]) {
        my $path = "$directory/$part.$side->[1]";
        open(my $out, ">", "$path.part") or fail("$path: $!");
        print $out "$_->[$side->[0]]\n" for @$pairs;
        close($out) && rename("$path.part", $path) or fail("$path: $!");
    }
    my $words = 0;
    $words += () = $_->[1] =~ /\S+/g for @$pairs;
    printf "%-6s %8d pairs %9d English words\n", $part, scalar @$pairs, $words;
}

sub read_clean
{
    my ($dropped, $origins) = @_;
    my (@pairs, %seen);
    while (<STDIN>) {
        chomp;
        my @pair = split /\t/;
        my $fault = @pair != 3 ? "placeholders" : fault(@pair[1, 2]);
        $fault = "repeated" if $fault eq "" && $seen{lc "$pair[1]\t$pair[2]"}++;
        if ($fault ne "") {
            $dropped->{$fault}++;
        } else {
            push @pairs, \@pair;
        }
    }
    my $kept = by_proportion(\@pairs, $dropped);
    $origins->{$_->[0]}++ for @$kept;
    return $kept;
}

# Valid and test get the sentences whose hashes are smallest, one pair each, and none whose English or
# other side is then in train.
sub split_corpus
{
    my ($lang, $directory) = @_;
    my (%dropped, %origins, %held, %part);
    my $pairs = read_clean(\%dropped, \%origins);
    fail("no pairs were found for '$lang'") unless @$pairs;
    my %hash = map { lc $_->[1] => hash(lc $_->[1]) } grep { ($_->[1] =~ tr/ //) >= 3 } @$pairs;
    my @order = sort { $hash{$a} <=> $hash{$b} || $a cmp $b } keys %hash;
    my $size = @order / 20 < 2000 ? int(@order / 20) : 2000;
    $part{$order[$_]} = $_ < $size ? "test" : "valid" for 0 .. 2 * $size - 1;
    my %parts = (train => [], valid => [], test => []);
    for my $pair (@$pairs) {
        my $name = $part{lc $pair->[1]} or next;
        push @{$parts{$name}}, $pair unless $held{en}{lc $pair->[1]}++;
        $held{other}{lc $pair->[2]} = 1;
    }
    # By hash, so that the first few hundred are from everywhere.
    @{$parts{$_}} = sort { $hash{lc $a->[1]} <=> $hash{lc $b->[1]} } @{$parts{$_}} for qw(valid test);
    $parts{train} = [grep { !$held{en}{lc $_->[1]} && !$held{other}{lc $_->[2]} } @$pairs];
    my $taken = @{$parts{train}} + @{$parts{valid}} + @{$parts{test}};
    $dropped{"would repeat valid or test"} = @$pairs - $taken if @$pairs > $taken;
    printf "from %-14s %8d pairs\n", $_, $origins{$_} for sort keys %origins;
    printf "left out, %-26s %8d\n", "$_:", $dropped{$_} for sort keys %dropped;
    write_part($directory, $_, $lang, $parts{$_}) for qw(train valid test);
}

my %commands = (
    descriptions => [\&descriptions, 2], catalogs => [\&catalogs, 2], help => [\&help, 2],
    dictionary => [\&dictionary, 1], split => [\&split_corpus, 2]);
my $command = $commands{shift @ARGV // ""};
if (!$command || @ARGV != $command->[1]) {
    print STDERR "usage: corpus-extract.pl descriptions|catalogs|help|dictionary|split ARGUMENT...\n";
    exit 2;
}
$command->[0]->(@ARGV);
close(STDOUT) or fail("standard output: $!");
