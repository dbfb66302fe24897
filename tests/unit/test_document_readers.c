/* Readers of documents by hand: what becomes of each construct, and what is refused. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/mem.h"
#include "host/documents/protect.h"
#include "tests/support/check.h"
#include "tests/support/document_maker.h"
#include "tokenizer/sentence.h"

#define FORMAT(name) LNG_OPT_DOCUMENT_FORMAT_##name

/* "The dog" becomes "THE DOG"; all else as well, tags and placeholders not. */
static enum lng_status shout(void *context, const struct lng_slice *lines, size_t count,
                             struct lng_translations *translations)
{
    struct lng_protector *protector;
    (void)context;
    check_ok(lng_protector_open(&protector));
    for (size_t i = 0; i < count; i++) {
        char *copy = lng_strndup(lines[i].data, lines[i].length);
        struct lng_protected_list list;
        check_ok(lng_protector_find(protector, copy, lines[i].length, &list));
        for (size_t k = 0, at = 0; k < lines[i].length; k++) {
            at += at < list.count && list.data[at].end <= k;
            bool kept = at < list.count && list.data[at].begin <= k;
            copy[k] = (char)(!kept && copy[k] >= 'a' && copy[k] <= 'z' ? copy[k] - 32 : copy[k]);
        }
        LNG_TRY(lng_translations_add(translations, copy, lines[i].length));
        lng_free(copy);
    }
    lng_protector_close(protector);
    return LNG_OK;
}

static enum lng_status run(enum lng_opt_document_format format, const char *bytes, size_t size,
                           const struct lng_read_options *options, struct lng_buffer *out,
                           uint64_t *skipped)
{
    return lng_translate_document("FILE", bytes, size, format, options, shout, NULL, out, NULL,
                                  skipped);
}

static void becomes_with(enum lng_opt_document_format format,
                         const struct lng_read_options *options, const char *from, const char *to)
{
    struct lng_buffer out = {0};
    check_ok(run(format, from, strlen(from), options, &out, NULL));
    cr_assert(strcmp(out.data != NULL ? out.data : "", to) == 0,
              "%s\n---- became\n%s\n---- want\n%s", from, out.data, to);
    lng_buffer_release(&out);
    cr_assert(lng_mem_get_stats().blocks_live == 0);
}

static void becomes(enum lng_opt_document_format format, const char *from, const char *to)
{
    struct lng_read_options options = lng_read_options_default();
    options.target_language = "de";
    becomes_with(format, &options, from, to);
}

static void refused(enum lng_opt_document_format format, const char *bytes, size_t size,
                    const char *why)
{
    struct lng_read_options options = lng_read_options_default();
    struct lng_buffer out = {0};
    options.target_language = "de";
    check_fails(run(format, bytes, size, &options, &out, NULL), LNG_ERR_FORMAT, why);
    cr_assert(out.length == 0 && lng_mem_get_stats().blocks_live == 0);
}
#define refuse(format, text, why) refused(FORMAT(format), text, sizeof text - 1, why)

Test(document_readers, tsv)
{
    struct lng_read_options options = lng_read_options_default();
    becomes(FORMAT(TSV), "a dog\tb\r\n\nshort\n\tx", "A DOG\tb\r\n\nSHORT\n\tx");
    options.column = 2;
    options.target_column = 4;
    becomes_with(FORMAT(TSV), &options, "1\tdog\n1\n2\tcat\tx\told\ty",
                 "1\tdog\t\tDOG\n1\n2\tcat\tx\tCAT\ty");
    becomes_with(FORMAT(TSV), &options, "1\tfoo %s <b>bar</b>\tx\t",
                 "1\tfoo %s <b>bar</b>\tx\tFOO %s <b>BAR</b>");
}

Test(document_readers, po)
{
    struct lng_read_options options = lng_read_options_default();
    becomes(FORMAT(PO), "msgid \"\"\nmsgstr \"\"\n\nmsgid \"a \\\"dog\\\"\\n\"\nmsgstr \"\"\n",
            "msgid \"\"\nmsgstr \"\"\n\n#, fuzzy\nmsgid \"a \\\"dog\\\"\\n\"\nmsgstr \"A "
            "\\\"DOG\\\"\\n\"\n");
    options.review = false;
    becomes_with(FORMAT(PO), &options, "#, fuzzy\nmsgid \"dog\"\nmsgstr \"alt\"\n",
                 "msgid \"dog\"\nmsgstr \"DOG\"\n");
    becomes_with(FORMAT(PO), &options,
                 "#, c-format, fuzzy\n#| msgid \"x\"\nmsgid \"%d dog\"\nmsgstr \"\"",
                 "#, c-format\n#| msgid \"x\"\nmsgid \"%d dog\"\nmsgstr \"%d DOG\"");
    /* One form only: from the plural. Not as many forms as the header says: left alone. */
    becomes_with(FORMAT(PO), &options, "msgid \"dog\"\nmsgid_plural \"dogs\"\nmsgstr[0] \"\"\n",
                 "msgid \"dog\"\nmsgid_plural \"dogs\"\nmsgstr[0] \"DOGS\"\n");
    const char odd[] = "msgid \"\"\nmsgstr \"Plural-Forms: nplurals=3;\\n\"\n\nmsgid \"dog\"\n"
                       "msgid_plural \"dogs\"\nmsgstr[0] \"\"\nmsgstr[1] \"\"\n";
    becomes_with(FORMAT(PO), &options, odd, odd);
    refuse(PO, "msgid \"a\"\nmsgstr \"b\n",
           "line 2: expected an entry of a PO file, found a string without");
    refuse(PO, "msgid \"a\"\nmsgstr \"b\" c\n", "text behind");
    refuse(PO, "hello\n", "line 1");
    refuse(PO, "msgid \"a\"\nmsgstr[7] \"b\"\n", "another index");
    refuse(PO, "msgid \"\"\nmsgstr \"Content-Type: text/plain; charset=ISO-8859-1\\n\"\n",
           "msgconv");
    refuse(PO, "msgid \"\xE9\"\nmsgstr \"\"\n", "expected UTF-8, found the byte 0xE9");
}

Test(document_readers, xliff)
{
    becomes(FORMAT(XLIFF),
            "<xliff version=\"1.2\"><file source-language=\"en\"><body><trans-unit "
            "id=\"1\"><source>A <g id=\"1\">dog</g>&lt;"
            "</source></trans-unit></body></file></xliff>",
            "<xliff version=\"1.2\"><file source-language=\"en\" "
            "target-language=\"de\"><body><trans-unit id=\"1\"><source>A "
            "<g id=\"1\">dog</g>&lt;</source><target state=\"needs-review-translation\" "
            "state-qualifier=\"mt-suggestion\">A "
            "<g id=\"1\">DOG</g>&lt;</target></trans-unit></body></file></xliff>");
    /* Segments of seg-source stay segments; what is approved, done or not to be translated stays. */
    becomes(
        FORMAT(XLIFF),
        "<xliff version='1.2'><file target-language='de'><trans-unit "
        "approved='yes'><source>a</source><target/></trans-unit>"
        "<trans-unit><source>a</source><target>b</target></trans-unit><group "
        "translate='no'><trans-unit><source>a</source>"
        "</trans-unit></group><trans-unit><source>x y</source><seg-source><mrk mtype='seg' "
        "mid='1'>x</mrk> "
        "<mrk mtype='seg' mid='2'>y</mrk></seg-source></trans-unit></file></xliff>",
        "<xliff version='1.2'><file target-language='de'><trans-unit "
        "approved='yes'><source>a</source><target/></trans-unit>"
        "<trans-unit><source>a</source><target>b</target></trans-unit><group "
        "translate='no'><trans-unit><source>a</source>"
        "</trans-unit></group><trans-unit><source>x y</source><seg-source><mrk mtype='seg' "
        "mid='1'>x</mrk> "
        "<mrk mtype='seg' mid='2'>y</mrk></seg-source><target state=\"needs-review-translation\" "
        "state-qualifier=\"mt-suggestion\"><mrk mtype='seg' mid='1'>X</mrk> <mrk mtype='seg' "
        "mid='2'>Y</mrk></target>"
        "</trans-unit></file></xliff>");
    becomes(FORMAT(XLIFF),
            "<xliff version=\"2.0\"><unit><segment><source>a "
            "<![CDATA[<b]]></source></segment></unit></xliff>",
            "<xliff version=\"2.0\" trgLang=\"de\"><unit><segment state=\"translated\"><source>a "
            "<![CDATA[<b]]></source>"
            "<target>A &lt;B</target></segment></unit></xliff>");
    struct lng_read_options options = lng_read_options_default();
    struct lng_buffer out = {0};
    const char none[] = "<xliff version=\"2.0\"><unit/></xliff>";
    check_fails(run(FORMAT(XLIFF), none, sizeof none - 1, &options, &out, NULL), LNG_ERR_USAGE,
                "--document-target");
    refuse(XLIFF, "<xliff version=\"1.2\"><file>", "line 1: expected well-formed XML");
    refuse(XLIFF, "<html/>", "expected <xliff");
    refuse(XLIFF, "", "well-formed");
    refuse(XLIFF, "\xFF\xFE<\0x\0", "UTF-16");
    refuse(XLIFF, "<?xml version='1.0' encoding='ISO-8859-1'?><xliff version='1.2'/>",
           "encoding=\"UTF-8\"");
    refuse(XLIFF, "PK\3\4\0\0", "zero byte");
}

Test(document_readers, entities_are_refused)
{
    refuse(TMX,
           "<!DOCTYPE tmx [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\"><!ENTITY c "
           "\"&b;&b;&b;&b;\">]>"
           "<tmx><body>&c;</body></tmx>",
           "<!ENTITY");
    refuse(
        XLIFF,
        "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><xliff version='1.2'>&e;</xliff>",
        "<!ENTITY");
    refuse(TMX, "<!DOCTYPE x [<!ENTITY % e SYSTEM \"http://example.org/x\"> %e;]><tmx/>",
           "<!ENTITY");
    char deep[8 + 300 * 3] = "<tmx>";
    for (int i = 0; i < 300; i++)
        memcpy(deep + 5 + 3 * i, "<a>", 3);
    refused(FORMAT(TMX), deep, 5 + 300 * 3, "256 deep");
}

Test(document_readers, tmx)
{
    struct lng_read_options options = lng_read_options_default();
    struct lng_buffer out = {0};
    const char text[] = "<tmx><header srclang=\"en\"/><body><tu><tuv xml:lang=\"EN-us\"><seg>a "
                        "dog</seg></tuv></tu></body></tmx>";
    becomes(FORMAT(TMX), text,
            "<tmx><header srclang=\"en\"/><body><tu><tuv xml:lang=\"EN-us\"><seg>a "
            "dog</seg></tuv><tuv xml:lang=\"de\">"
            "<seg>A DOG</seg></tuv></tu></body></tmx>");
    check_fails(run(FORMAT(TMX), text, sizeof text - 1, &options, &out, NULL), LNG_ERR_USAGE,
                "--document-target");
}

/* <file/> takes the language and stays empty. */
Test(document_readers, empty_files_in_xliff)
{
    becomes(FORMAT(XLIFF), "<xliff version='1.2'><file id='1'/><file id='2' /></xliff>",
            "<xliff version='1.2'><file id='1' target-language=\"de\"/>"
            "<file id='2' target-language=\"de\"/></xliff>");
}

/* An element ends by the name it began with; a new one is named as its neighbour is. */
Test(document_readers, prefixes_of_names)
{
    becomes(FORMAT(XLIFF),
            "<x:xliff version='2.0' trgLang='de' xmlns:x='u' xmlns='u'><x:unit>"
            "<x:segment><x:source>a</x:source><target/></x:segment>"
            "<segment><source>b</source><x:target></x:target></segment>"
            "<x:segment><x:source>c</x:source></x:segment></x:unit></x:xliff>",
            "<x:xliff version='2.0' trgLang='de' xmlns:x='u' xmlns='u'><x:unit>"
            "<x:segment state=\"translated\"><x:source>a</x:source><target>A</target></x:segment>"
            "<segment state=\"translated\"><source>b</source><x:target>B</x:target></segment>"
            "<x:segment state=\"translated\"><x:source>c</x:source><x:target>C</x:target>"
            "</x:segment></x:unit></x:xliff>");
    becomes(FORMAT(TMX),
            "<x:tmx xmlns:x='u'><x:header srclang='en'/><x:body>"
            "<x:tu><x:tuv xml:lang='en'><x:seg>a</x:seg></x:tuv></x:tu>"
            "<x:tu><x:tuv xml:lang='en'><x:seg>b</x:seg></x:tuv>"
            "<x:tuv xml:lang='de'><x:seg/></x:tuv></x:tu></x:body></x:tmx>",
            "<x:tmx xmlns:x='u'><x:header srclang='en'/><x:body>"
            "<x:tu><x:tuv xml:lang='en'><x:seg>a</x:seg></x:tuv>"
            "<x:tuv xml:lang=\"de\"><x:seg>A</x:seg></x:tuv></x:tu>"
            "<x:tu><x:tuv xml:lang='en'><x:seg>b</x:seg></x:tuv>"
            "<x:tuv xml:lang='de'><x:seg>B</x:seg></x:tuv></x:tu></x:body></x:tmx>");
}

/* Nothing at all. */
static enum lng_status fall_silent(void *context, const struct lng_slice *lines, size_t count,
                                   struct lng_translations *translations)
{
    (void)context;
    (void)lines;
    for (size_t i = 0; i < count; i++)
        LNG_TRY(lng_translations_add(translations, i % 2 == 0 ? "" : " ", i % 2));
    return LNG_OK;
}

/* Text between marks stays when its translation is empty: the marks would mean something else. */
Test(document_readers, empty_translations_in_markdown)
{
    struct lng_read_options options = lng_read_options_default();
    const char text[] = "A dog. **Two** dogs.\n\n- x *y*. z\n";
    struct lng_buffer out = {0};
    check_ok(lng_translate_document("FILE", text, sizeof text - 1, FORMAT(MARKDOWN), &options,
                                    fall_silent, NULL, &out, NULL, NULL));
    cr_assert_str_eq(out.data, text);
    lng_buffer_release(&out);
}

Test(document_readers, subtitles)
{
    becomes(FORMAT(SRT),
            "\xEF\xBB\xBF"
            "1\r\n00:00:01,000 --> 00:00:02,000\r\n<i>a big\r\ndog</i>\r\n\r\nx\n",
            "\xEF\xBB\xBF"
            "1\r\n00:00:01,000 --> 00:00:02,000\r\n<i>A BIG\r\nDOG</i>\r\n\r\nx\n");
    /* Times out of order are the author's. */
    becomes(FORMAT(SRT), "2\n00:00:09,000 --> 00:00:02,000\n- a\n- b\n",
            "2\n00:00:09,000 --> 00:00:02,000\n- A\n- B\n");
    becomes(FORMAT(VTT), "WEBVTT\n\nNOTE a\n\n00:01.000 --> 00:02.000 line:0\n<v Bob>a &lt; b\n",
            "WEBVTT\n\nNOTE a\n\n00:01.000 --> 00:02.000 line:0\n<v Bob>A &lt; B\n");
    refuse(SRT, "just\ntext\n", "00:00:01,000 --> 00:00:02,500");
    refuse(VTT, "1\n00:00:01,000 --> 00:00:02,000\na\n", "WEBVTT");
    refuse(SRT,
           "\x7F"
           "ELF\0\1",
           "zero byte");
}

Test(document_readers, html)
{
    becomes(FORMAT(HTML), "<p>a <b>dog<p>an &eacute; &AMP &unknown; x</b>",
            "<p>A <b>DOG<p>AN \xC3\xA9 &AMP &unknown; X</b>");
    becomes(
        FORMAT(HTML),
        "<img alt='it&#39;s a' title=x><script>a</script><p translate=no>a</p><pre>a</pre>a<",
        "<img alt='IT&#39;S A' title=x><script>a</script><p translate=no>a</p><pre>a</pre>A&lt;");
    becomes(FORMAT(HTML), "H<sub>2</sub>O is <code>x</code>", "H<sub>2</sub>O IS <code>x</code>");
    refuse(HTML, "<meta charset=iso-8859-1><p>a", "charset=utf-8");
    refuse(HTML, "<p>\xE9", "expected UTF-8");
    /* Deep and wide documents take no longer than their size. */
    enum { MANY = 200000 };
    char *deep = malloc(MANY * 5 + 16);
    struct lng_buffer out = {0};
    struct lng_read_options options = lng_read_options_default();
    for (int i = 0; i < MANY; i++)
        memcpy(deep + 5 * i, "<div>", 5);
    check_ok(run(FORMAT(HTML), deep, 5 * MANY, &options, &out, NULL));
    cr_assert(out.length == 5 * MANY);
    memcpy(deep, "<a", 2);
    for (int i = 0; i < MANY; i++)
        memcpy(deep + 2 + 4 * i, " a=b", 4);
    memcpy(deep + 2 + 4 * MANY, ">x</a>", 6);
    lng_buffer_clear(&out);
    check_ok(run(FORMAT(HTML), deep, 8 + 4 * MANY, &options, &out, NULL));
    free(deep);
    lng_buffer_release(&out);
}

Test(document_readers, markdown)
{
    becomes(
        FORMAT(MARKDOWN),
        "---\nt: a\n---\n# A *b*\n\n1. x\n   y\n\n`c`\n\n| a | b |\n|---|---|\n| c\\|d | `e` |\n",
        "---\nt: a\n---\n# A *B*\n\n1. X\n   Y\n\n`c`\n\n| A | B |\n|---|---|\n| C\\|D | `e` |\n");
    becomes(FORMAT(MARKDOWN),
            "a \\*b\\* [c *d*](u \"t\") <x@y.org>\n\n    code\n\n<p>\nhtml\n</p>\n",
            "A \\*B\\* [C *D*](u \"t\") <x@y.org>\n\n    code\n\n<p>\nhtml\n</p>\n");
    becomes(FORMAT(MARKDOWN), "see [the *x*] and [y][] and [z][y]\n\n[the *x*]: u\n[y]: v\n",
            "SEE [the *x*] AND [y][] AND [Z][y]\n\n[the *x*]: u\n[y]: v\n");
    refuse(MARKDOWN, "a\0b", "zero byte");
    /* A small table that stands for very many cells. */
    enum { COLUMNS = 4000 };
    struct lng_buffer table = {0};
    for (int i = 0; i < COLUMNS; i++)
        check_ok(lng_buffer_append_text(&table, "|a"));
    check_ok(lng_buffer_append_text(&table, "\n"));
    for (int i = 0; i < COLUMNS; i++)
        check_ok(lng_buffer_append_text(&table, "|-"));
    for (int i = 0; i < COLUMNS; i++)
        check_ok(lng_buffer_append_text(&table, "\n|"));
    struct lng_read_options options = lng_read_options_default();
    struct lng_buffer out = {0};
    enum lng_status status = run(FORMAT(MARKDOWN), table.data, table.length, &options, &out, NULL);
    cr_assert(status == LNG_OK || status == LNG_ERR_FORMAT);
    lng_buffer_release(&table);
    lng_buffer_release(&out);
}

/* The line ends of old Macs; a CR in a file of LF is a space like any other. */
Test(document_readers, lines_that_end_in_cr)
{
    becomes(FORMAT(TSV), "a dog\tb\rcat\td\r", "A DOG\tb\rCAT\td\r");
    becomes(FORMAT(TSV), "a\rdog\tb\n", "A DOG\tb\n");
    becomes(FORMAT(VTT), "WEBVTT\r\r00:01.000 --> 00:02.000\ra dog\rhere\r\rx\r",
            "WEBVTT\r\r00:01.000 --> 00:02.000\rA DOG\rHERE\r\rx\r");
    becomes(FORMAT(SRT), "1\r00:00:01,000 --> 00:00:02,000\ra dog\r",
            "1\r00:00:01,000 --> 00:00:02,000\rA DOG\r");
    becomes(FORMAT(PO), "msgid \"a dog\"\rmsgstr \"\"\r",
            "#, fuzzy\rmsgid \"a dog\"\rmsgstr \"A DOG\"\r");
    struct lng_read_options options = lng_read_options_default();
    options.review = false;
    becomes_with(FORMAT(PO), &options, "#, fuzzy\rmsgid \"a\"\rmsgstr \"x\"\r",
                 "msgid \"a\"\rmsgstr \"A\"\r");
}

Test(document_readers, flags_stand_at_their_entry)
{
    becomes(FORMAT(PO), "\n#~ msgid \"o\"\n#~ msgstr \"\"\n\nmsgid \"a\"\nmsgstr \"\"",
            "\n#~ msgid \"o\"\n#~ msgstr \"\"\n\n#, fuzzy\nmsgid \"a\"\nmsgstr \"A\"");
    becomes(FORMAT(PO), "# c\n#| msgid \"o\"\nmsgctxt \"b\"\n\nmsgid \"a\"\nmsgstr \"\"\n",
            "# c\n#, fuzzy\n#| msgid \"o\"\nmsgctxt \"b\"\n\nmsgid \"a\"\nmsgstr \"A\"\n");
}

Test(document_readers, short_delimiters_make_no_table)
{
    becomes(FORMAT(MARKDOWN), "|a|b|\n|-|-|\n|c|d|\n\nx\n", "|a|b|\n|-|-|\n|c|d|\n\nX\n");
    becomes(FORMAT(MARKDOWN), "> a | b\n> :-|-:\n> c | d\n", "> a | b\n> :-|-:\n> c | d\n");
    becomes(FORMAT(MARKDOWN), "a | b\n", "A | B\n");
}

/* The work grows with the document, whatever it is made of. */
Test(document_readers, much_of_one_thing, .timeout = 60)
{
    static const struct {
        enum lng_opt_document_format format;
        const char *begin, *repeated, *middle, *then;
    } cases[] = {
        {FORMAT(HTML), "<p>a ", "<b>", "dog", "</b>"},
        {FORMAT(HTML), "<p>a ", "<img>", "dog", "<i></i>"},
        {FORMAT(TSV), "a ", "<!-- ", "dog", "{"},
        {FORMAT(SRT), "1\n00:00:01,000 --> 00:00:02,000\n", "{\\", "dog", "{\\"},
        {FORMAT(XLIFF), "<xliff version='1.2'><file source-language='en'><trans-unit><source>a ",
         "<x/>", "dog", "<x/>"},
    };
    enum { MANY = 50000 };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lng_read_options options = lng_read_options_default();
        struct lng_buffer text = {0}, out = {0};
        options.target_language = "de";
        check_ok(lng_buffer_append_text(&text, cases[i].begin));
        for (int k = 0; k < MANY; k++)
            check_ok(lng_buffer_append_text(&text, cases[i].repeated));
        check_ok(lng_buffer_append_text(&text, cases[i].middle));
        for (int k = 0; k < MANY; k++)
            check_ok(lng_buffer_append_text(&text, cases[i].then));
        if (cases[i].format == FORMAT(XLIFF))
            check_ok(lng_buffer_append_text(&text, "</source></trans-unit></file></xliff>"));
        check_ok(run(cases[i].format, text.data, text.length, &options, &out, NULL));
        cr_assert(memmem(out.data, out.length, "DOG", 3) != NULL, "case %zu", i);
        lng_buffer_release(&text);
        lng_buffer_release(&out);
    }
}

static void check_sentences(const char *language, const char *text, const char *want)
{
    struct lng_sentences *sentences;
    struct lng_segments segments = {0};
    struct lng_buffer got = {0};
    check_ok(lng_sentences_open(language, &sentences));
    check_ok(lng_sentences_split(sentences, text, strlen(text), &segments));
    for (size_t i = 0; i < segments.count; i++) {
        check_ok(lng_buffer_append_text(&got, i > 0 ? "|" : ""));
        check_ok(lng_buffer_append(&got, text + segments.data[i].begin,
                                   segments.data[i].end - segments.data[i].begin));
    }
    cr_assert(strcmp(got.data, want) == 0, "%s: %s, want %s", language, got.data, want);
    lng_buffer_release(&got);
    lng_segments_release(&segments);
    lng_sentences_close(sentences);
}

Test(document_readers, sentences_end_where_they_do)
{
    check_sentences("en", "Dr. Smith left. He came on Sept. 3. Good. J. R. Ewing.",
                    "Dr. Smith left. |He came on Sept. 3. |Good. |J. R. Ewing.");
    check_sentences("en", "See p. 5 of it. The end? Yes!", "See p. 5 of it. |The end? |Yes!");
    check_sentences("de", "Am 3. Oktober war es z.B. Herr Abt. Lang. Gut.",
                    "Am 3. Oktober war es z.B. Herr Abt. Lang. |Gut.");
    check_sentences("de-AT", "Siehe Abb. Nr. 4. Es gilt Art. 5 usw. Ende.",
                    "Siehe Abb. Nr. 4. Es gilt Art. 5 usw. Ende.");
    check_sentences("fr", "Le 5 janv. Paul et MM. Dupont. Fin.",
                    "Le 5 janv. Paul et MM. Dupont. |Fin.");
    check_sentences(NULL, "Am 3. Oktober.", "Am 3. |Oktober.");
}
