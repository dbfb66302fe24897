#include "tests/support/document_maker.h"

#include <md4c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/documents/protect.h"
#include "host/documents/xml_nodes.h"
#include "tests/support/check.h"

struct maker {
    struct lng_buffer *out;
    enum lng_opt_document_format format;
    uint32_t state;
    int id;
    bool second; /* XLIFF 2 */
};

enum lng_opt_document_format document_format(int index)
{
    return (enum lng_opt_document_format)(LNG_OPT_DOCUMENT_FORMAT_TSV + index);
}

struct lng_read_options document_options(enum lng_opt_document_format format)
{
    struct lng_read_options options = lng_read_options_default();
    options.target_language = "de";
    options.column = 2;
    options.review = false;
    (void)format;
    return options;
}

static uint32_t draw(struct maker *m, uint32_t below)
{
    m->state = m->state * 1664525u + 1013904223u;
    return (m->state >> 8) % below;
}

static void put(struct maker *m, const char *text)
{
    check_ok(lng_buffer_append_text(m->out, text));
}

static const char *pick(struct maker *m, const char *const *list)
{
    uint32_t count = 0;
    while (list[count] != NULL)
        count++;
    return list[draw(m, count)];
}

/* ---- inline ---- */

static const char *const words[] = {"house", "dog",  "the",  "is",  "red", "we",  "see",
                                    "a",     "big",  "tree", "in",  "you", "and", "book",
                                    "good",  "here", "very", "old", NULL};

/* A pair of marks; %d is a number. */
static void pick_pair(struct maker *m, char open[64], char close[64])
{
    static const char *const html[] = {"<b>|</b>",
                                       "<i>|</i>",
                                       "<a href=\"x?a=1&amp;b=2\">|</a>",
                                       "<span class='q r'>|</span>",
                                       "<em\n class=e>|</em>",
                                       NULL};
    static const char *const markdown[] = {
        "**|**",  "*|*",         "[|](http://x.org/a_b \"A title\")",
        "~~|~~",  "![|](i.png)", "_|_",
        "[|][r]", "<u>|</u>",    NULL};
    static const char *const first[] = {"<g id=\"%d\">|</g>",
                                        "<bpt id=\"%d\">&lt;b></bpt>|<ept id=\"%d\">&lt;/b></ept>",
                                        "<mrk mtype=\"x-%d\">|</mrk>", NULL};
    static const char *const second[] = {"<pc id=\"%d\">|</pc>",
                                         "<sc id=\"%d\"/>|<ec startRef=\"%d\"/>", NULL};
    static const char *const tmx[] = {"<bpt i=\"%d\">{b}</bpt>|<ept i=\"%d\">{/b}</ept>",
                                      "<hi type=\"%d\">|</hi>", NULL};
    static const char *const srt[] = {"<i>|</i>", "<b>|</b>", "<font color=\"#ff0\">|</font>",
                                      NULL};
    static const char *const vtt[] = {"<i>|</i>", "<c.loud>|</c>", "<v Bob>|</v>", NULL};
    static const char *const plain[] = {"<b>|</b>", "<i>|</i>", NULL};
    const char *const *list = plain;
    switch (m->format) {
    case LNG_OPT_DOCUMENT_FORMAT_HTML:
        list = html;
        break;
    case LNG_OPT_DOCUMENT_FORMAT_MARKDOWN:
        list = markdown;
        break;
    case LNG_OPT_DOCUMENT_FORMAT_XLIFF:
        list = m->second ? second : first;
        break;
    case LNG_OPT_DOCUMENT_FORMAT_TMX:
        list = tmx;
        break;
    case LNG_OPT_DOCUMENT_FORMAT_SRT:
        list = srt;
        break;
    case LNG_OPT_DOCUMENT_FORMAT_VTT:
        list = vtt;
        break;
    default:
        break;
    }
    const char *chosen = pick(m, list), *bar = strchr(chosen, '|');
    char shape[64];
    int id = ++m->id;
    snprintf(shape, sizeof shape, "%.*s", (int)(bar - chosen), chosen);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(open, 64, shape, id);
    snprintf(close, 64, bar + 1, id);
#pragma GCC diagnostic pop
}

/* Something that stays as it is, as a word of the sentence. */
static void put_kept(struct maker *m)
{
    static const char *const plain[] = {
        "{{name}}",       "%s", "%1$s", "{0}", "https://example.org/a?b=c", "${home}",
        "me@example.org", "%d", NULL};
    static const char *const html[] = {"{{name}}",
                                       "<code>ls -l</code>",
                                       "&amp;",
                                       "&eacute;t&eacute;",
                                       "<!-- note -->",
                                       "<img src=\"a.png\">",
                                       "&unknown;",
                                       "https://example.org/?a=1&amp;b=2",
                                       NULL};
    static const char *const markdown[] = {
        "{{name}}", "`ls -l`",    "<https://example.org/a_b>", "``a ` b``", "\\*x\\*",
        "&amp;",    "![](i.png)", "https://example.org/a_b",   "x_y_z",     NULL};
    static const char *const first[] = {
        "<x id=\"%d\"/>", "<ph id=\"%d\">&lt;br></ph>", "%s", "&amp;", "&#233;", NULL};
    static const char *const second[] = {"<ph id=\"%d\"/>", "{{name}}", "&lt;", NULL};
    static const char *const tmx[] = {"<ph>{x}</ph>", "%s", "&amp;", "<it pos=\"begin\">{y}</it>",
                                      NULL};
    static const char *const cue[] = {"{{name}}", "{\\an8}", "12", NULL};
    static const char *const vtt[] = {"<00:00:01.500>", "&amp;", "12", NULL};
    const char *text = NULL;
    switch (m->format) {
    case LNG_OPT_DOCUMENT_FORMAT_HTML:
        text = pick(m, html);
        break;
    case LNG_OPT_DOCUMENT_FORMAT_MARKDOWN:
        text = pick(m, markdown);
        break;
    case LNG_OPT_DOCUMENT_FORMAT_XLIFF:
        text = pick(m, m->second ? second : first);
        break;
    case LNG_OPT_DOCUMENT_FORMAT_TMX:
        text = pick(m, tmx);
        break;
    case LNG_OPT_DOCUMENT_FORMAT_SRT:
        text = pick(m, cue);
        break;
    case LNG_OPT_DOCUMENT_FORMAT_VTT:
        text = pick(m, vtt);
        break;
    default:
        text = pick(m, plain);
    }
    const char *number = strstr(text, "\"%d\"");
    if (number == NULL) {
        put(m, text);
        return;
    }
    check_ok(lng_buffer_append(m->out, text, (size_t)(number - text)));
    check_ok(lng_buffer_append_format(m->out, "\"%d\"%s", ++m->id, number + 4));
}

static void put_words(struct maker *m, int count, int depth, const char *wrap)
{
    char open[64], close[64];
    for (int i = 0; i < count; i++) {
        if (i > 0)
            put(m, wrap != NULL && depth == 0 && draw(m, 4) == 0 ? wrap : " ");
        uint32_t kind = draw(m, 9);
        if (kind == 0 && depth < 2) {
            pick_pair(m, open, close);
            put(m, open);
            put_words(m, 1 + (int)draw(m, 3), depth + 1, NULL);
            put(m, close);
        } else if (kind == 1 && i > 0) {
            put_kept(m);
        } else {
            put(m, pick(m, words));
        }
    }
}

/* One to three sentences; wrap (may be NULL) may stand for a space. */
static void put_text(struct maker *m, const char *wrap)
{
    int sentences = 1 + (int)draw(m, 3);
    for (int i = 0; i < sentences; i++) {
        put(m, i > 0 ? " " : "");
        put(m, draw(m, 5) == 0 ? "See Dr. Smith: the" : "The");
        put(m, " ");
        put_words(m, 1 + (int)draw(m, 7), 0, wrap);
        put(m, i + 1 < sentences || draw(m, 3) > 0 ? "." : " house");
    }
}

/* ---- documents ---- */

static void make_tsv(struct maker *m)
{
    int rows = (int)draw(m, 6);
    for (int i = 0; i < rows; i++) {
        check_ok(lng_buffer_append_format(m->out, "id%d\t", i));
        if (draw(m, 4) > 0)
            put_text(m, NULL);
        else
            put(m, draw(m, 2) ? "" : " 42 ");
        put(m, draw(m, 3) > 0 ? "\tleft as it is" : "");
        put(m, draw(m, 4) == 0 ? "\r\n" : i + 1 < rows || draw(m, 2) ? "\n" : "");
        put(m, draw(m, 6) == 0 ? "\n" : draw(m, 8) == 0 ? "short row\n" : "");
    }
}

/* Appends "NAME " and the string; the text is the same for the same state. */
static void put_string(struct maker *m, const char *name, uint32_t state, bool multiline)
{
    struct lng_buffer text = {0};
    struct maker inner = *m;
    inner.out = &text;
    inner.state = state;
    put(m, name);
    put(m, multiline ? " \"\"\n\"" : " \"");
    put_text(&inner, multiline ? " \"\n\"" : NULL);
    if (multiline) {
        put(&inner, ".\\n\"\n\"");
        put_text(&inner, NULL);
        put(&inner, "\\n");
    }
    check_ok(lng_buffer_append(m->out, text.data, text.length));
    put(m, "\"\n");
    lng_buffer_release(&text);
}

static void make_po(struct maker *m, bool filled)
{
    int entries = (int)draw(m, 5);
    put(m,
        "# A translation\nmsgid \"\"\nmsgstr \"\"\n\"Content-Type: text/plain; charset=UTF-8\\n\"\n"
        "\"Plural-Forms: nplurals=2; plural=(n != 1);\\n\"\n\n");
    for (int i = 0; i < entries; i++) {
        uint32_t one = draw(m, 1u << 20), other = draw(m, 1u << 20), kind = draw(m, 5);
        bool lines = draw(m, 3) == 0, done = draw(m, 4) == 0;
        check_ok(lng_buffer_append_format(m->out, "#: file.c:%d\n", i));
        if (kind == 1)
            put(m, filled ? "#, c-format\n" : "#, fuzzy, c-format\n");
        if (kind == 2)
            put(m, filled ? "" : "#, fuzzy\n");
        check_ok(lng_buffer_append_format(m->out, "msgctxt \"context %d\"\n", i));
        put_string(m, "msgid", one, lines);
        if (kind == 3) {
            put_string(m, "msgid_plural", other, lines);
            if (filled) {
                put_string(m, "msgstr[0]", one, lines);
                put_string(m, "msgstr[1]", other, lines);
            } else {
                put(m, "msgstr[0] \"\"\nmsgstr[1] \"\"\n");
            }
        } else if (kind == 0 && done) {
            put(m, "msgstr \"Schon %s fertig.\\n\"\n");
        } else if (filled) {
            put_string(m, "msgstr", one, lines);
        } else {
            put(m, kind == 1 || kind == 2 ? "msgstr \"something \"\n\"else\"\n" : "msgstr \"\"\n");
        }
        put(m, i + 1 < entries || draw(m, 2) ? "\n" : "");
    }
    put(m, draw(m, 2) ? "#~ msgid \"gone\"\n#~ msgstr \"fort\"\n" : "");
}

/* The same text twice: source, and target where filled. */
static void put_inline(struct maker *m, uint32_t state)
{
    struct maker inner = *m;
    inner.state = state;
    inner.id = (int)(state % 1000);
    put_text(&inner, "\n   ");
}

static void make_xliff(struct maker *m, bool filled)
{
    int units = (int)draw(m, 5);
    m->second = draw(m, 2) == 0;
    put(m, draw(m, 4) == 0 ? "\xEF\xBB\xBF" : "");
    put(m, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a <comment> -->\n");
    put(m, m->second ? "<xliff version=\"2.0\" xmlns=\"urn:oasis:names:tc:xliff:document:2.0\" "
                       "srcLang=\"en\" "
                       "trgLang=\"de\">\n<file id=\"f\">\n"
                     : "<xliff version=\"1.2\">\n<file original='x' source-language=\"en\" "
                       "target-language=\"de\" datatype=\"plaintext\"><body>\n");
    for (int i = 0; i < units; i++) {
        uint32_t state = draw(m, 1u << 20), kind = draw(m, 5);
        bool skip = kind == 4, add = kind < 3;
        const char *done = filled ? "translated" : kind == 1 && !m->second ? "new" : "initial";
        if (m->second) {
            check_ok(lng_buffer_append_format(
                m->out, "  <unit id=\"u%d\"%s><segment state=\"%s\">\n    <source>", i,
                skip ? " translate=\"no\"" : "", skip ? "initial" : done));
        } else {
            check_ok(lng_buffer_append_format(m->out, "  <trans-unit id='%d'%s>\n    <source>", i,
                                              skip ? " translate=\"no\"" : ""));
        }
        put_inline(m, state);
        put(m, "</source>");
        if (!skip && filled) {
            put(m, add ? "\n    " : "<!-- there -->");
            put(m, m->second ? "<target>" : "<target state=\"translated\">");
            put_inline(m, state);
            put(m, "</target>");
        } else if (!skip && !add) {
            put(m, m->second ? "<!-- there --><target/>"
                             : "<!-- there --><target state=\"new\"></target>");
        }
        put(m,
            m->second ? "\n  </segment></unit>\n" : "\n    <note>left</note>\n  </trans-unit>\n");
    }
    put(m, m->second ? "</file></xliff>" : "</body></file>\n</xliff>\n");
}

static void make_tmx(struct maker *m, bool filled)
{
    int units = (int)draw(m, 5);
    put(m, "<?xml version=\"1.0\"?>\r\n<!DOCTYPE tmx SYSTEM \"tmx14.dtd\">\n<tmx version=\"1.4\">\n"
           "<header srclang=\"en-US\" datatype=\"plaintext\"/>\n<body>\n");
    for (int i = 0; i < units; i++) {
        uint32_t state = draw(m, 1u << 20), kind = draw(m, 3);
        put(m, "<tu>\n  <prop type=\"x\">left</prop>\n  <tuv xml:lang=\"en-US\">\n    <seg>");
        put_inline(m, state);
        put(m, "</seg>\n  </tuv>");
        if (kind == 2) {
            put(m, "<tuv xml:lang=\"DE\"><seg>Fertig.</seg></tuv>");
        } else if (filled) {
            put(m, kind == 0 ? "\n  <tuv xml:lang=\"de\">\n    <seg>"
                             : "<tuv xml:lang=\"de-AT\"><seg>");
            put_inline(m, state);
            put(m, kind == 0 ? "</seg>\n  </tuv>" : "</seg></tuv>");
        } else if (kind == 1) {
            put(m, "<tuv xml:lang=\"de-AT\"><seg/></tuv>");
        }
        put(m, "\n</tu>\n");
    }
    put(m, "</body>\n</tmx>\n");
}

static void make_subtitles(struct maker *m)
{
    bool vtt = m->format == LNG_OPT_DOCUMENT_FORMAT_VTT, crlf = draw(m, 3) == 0;
    const char *line = crlf ? "\r\n" : "\n";
    int cues = (int)draw(m, 6);
    put(m, vtt ? "WEBVTT - a title" : "");
    put(m, vtt ? line : "");
    put(m, vtt ? line : "");
    put(m,
        vtt && draw(m, 2) ? "NOTE this stays\nand this --\n\nSTYLE\n::cue { color: red }\n\n" : "");
    for (int i = 0; i < cues; i++) {
        if (!vtt || draw(m, 2))
            check_ok(lng_buffer_append_format(m->out, "%d%s", i + 1, line));
        check_ok(lng_buffer_append_format(m->out, "00:00:%02d%c000 --> 00:00:%02d%c500%s%s", i,
                                          vtt ? '.' : ',', i + 1, vtt ? '.' : ',',
                                          vtt && draw(m, 2) ? " line:0 align:start" : "", line));
        bool dialogue = draw(m, 4) == 0;
        put(m, dialogue ? "- " : "");
        if (draw(m, 8) > 0)
            put_text(m, dialogue ? NULL : line);
        else
            put(m, "...");
        put(m, line);
        if (dialogue) {
            put(m, "- ");
            put_text(m, NULL);
            put(m, line);
        }
        put(m, i + 1 < cues || draw(m, 2) ? line : "");
    }
}

static void make_html(struct maker *m)
{
    static const char *const blocks[] = {"p", "h1", "div", "li", "td", "blockquote", NULL};
    static const char *const between[] = {"<script>if (a < b) { x = \"<p>text</p>\"; }</script>\n",
                                          "<style>p > b { color: red }</style>",
                                          "<pre>  stays\n  here</pre>\n",
                                          "<!-- <p>comment</p> -->\n",
                                          "<p translate=\"no\">Stays <b>too</b></p>",
                                          "\n\n",
                                          "<p><br></p>",
                                          "<img src=a.png alt=\"\">",
                                          "<hr/>",
                                          NULL};
    int count = (int)draw(m, 6);
    put(m, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    put(m, "A house &amp; a dog</title></head>\n<body class=x>\n");
    for (int i = 0; i < count; i++) {
        const char *block = pick(m, blocks);
        check_ok(lng_buffer_append_format(m->out, "<%s class=\"c%d\">%s", block, i,
                                          draw(m, 2) ? "\n  " : ""));
        put_text(m, "\n  ");
        if (draw(m, 3) == 0) {
            put(m, "<br>");
            put_text(m, NULL);
        }
        check_ok(lng_buffer_append_format(m->out, draw(m, 5) ? "</%s>\n" : "<!--%s-->", block));
        put(m, pick(m, between));
    }
    put(m, draw(m, 3) ? "</body></html>\n" : "");
}

static void make_markdown(struct maker *m)
{
    static const char *const between[] = {"```c\nint the_house = 1; /* stays */\n```\n\n",
                                          "    stays, too\n\n",
                                          "---\n\n",
                                          "<div>\nhtml stays\n</div>\n\n",
                                          "\n",
                                          "[r]: http://x.org 'Title'\n\n",
                                          NULL};
    static const char *const starts[] = {"# ", "## ", "",   "",       "",  "> ",
                                         "- ", "1. ", "* ", "- [ ] ", NULL};
    int count = (int)draw(m, 6);
    put(m, draw(m, 3) == 0 ? "---\ntitle: The house\n---\n\n" : "");
    put(m, "[r]: http://y.org\n\n");
    for (int i = 0; i < count; i++) {
        const char *start = pick(m, starts);
        if (draw(m, 5) == 0) {
            put(m, "| The name | Here |\n|------|:---:|\n| ");
            put_words(m, 2, 2, NULL);
            put(m, " | `a\\|b` the dog |\n\n");
        }
        put(m, start);
        put_text(m, start[0] == '#'   ? NULL
                    : start[0] == '>' ? "\n> "
                    : start[0] != 0   ? "\n      "
                                      : "\n");
        put(m, draw(m, 6) == 0 && start[0] == 0 ? "  \nThe next line" : "");
        put(m, i + 1 < count || draw(m, 2) ? "\n\n" : "");
        put(m, i + 1 < count && start[0] != '-' && start[0] != '*' && start[0] != '1'
                   ? pick(m, between)
                   : "");
    }
}

void document_make(enum lng_opt_document_format format, uint32_t seed, bool filled,
                   struct lng_buffer *out)
{
    struct maker m = {.out = out, .format = format, .state = seed * 2654435761u + 12345u};
    switch (format) {
    case LNG_OPT_DOCUMENT_FORMAT_TSV:
        make_tsv(&m);
        return;
    case LNG_OPT_DOCUMENT_FORMAT_PO:
        make_po(&m, filled);
        return;
    case LNG_OPT_DOCUMENT_FORMAT_XLIFF:
        make_xliff(&m, filled);
        return;
    case LNG_OPT_DOCUMENT_FORMAT_TMX:
        make_tmx(&m, filled);
        return;
    case LNG_OPT_DOCUMENT_FORMAT_HTML:
        make_html(&m);
        return;
    case LNG_OPT_DOCUMENT_FORMAT_MARKDOWN:
        make_markdown(&m);
        return;
    default:
        make_subtitles(&m);
    }
}

/* ---- looking at the result ---- */

static int compare_lines(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

void document_marks(const char *text, size_t length, struct lng_buffer *out)
{
    enum { MOST = 4096 };
    char **lines = calloc(MOST, sizeof *lines);
    struct lng_protector *protector;
    struct lng_protected_list found;
    size_t count = 0;
    cr_assert(lines != NULL);
    check_ok(lng_protector_open(&protector));
    check_ok(lng_protector_find(protector, text, length, &found));
    for (size_t i = 0; i < found.count && count < MOST; i++)
        if (text[found.data[i].begin] != '&') /* references are text */
            lines[count++] =
                strndup(text + found.data[i].begin, found.data[i].end - found.data[i].begin);
    lng_protector_close(protector);
    struct lng_slice rest = {text, length}, line;
    while (lng_text_split(&rest, '\n', &line) && count < MOST)
        if (line.length > 0 && line.data[0] == '0' &&
            memmem(line.data, line.length, " --> ", 5) != NULL)
            lines[count++] = strndup(line.data, line.length);
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++) {
        check_ok(lng_buffer_append_format(out, "%s\n", lines[i]));
        free(lines[i]);
    }
    free(lines);
}

size_t document_blank_lines(const char *text, size_t length)
{
    struct lng_slice rest = {text, length}, line;
    size_t count = 0;
    while (lng_text_split(&rest, '\n', &line))
        count += rest.data != NULL && lng_text_trim(line).length == 0;
    return count;
}

struct shape {
    int blocks[32], spans[32];
};

static int count_block(MD_BLOCKTYPE type, void *detail, void *context)
{
    (void)detail;
    ((struct shape *)context)->blocks[type]++;
    return 0;
}

static int count_span(MD_SPANTYPE type, void *detail, void *context)
{
    (void)detail;
    ((struct shape *)context)->spans[type]++;
    return 0;
}

static int ignore_block(MD_BLOCKTYPE type, void *detail, void *context)
{
    (void)type, (void)detail, (void)context;
    return 0;
}

static int ignore_span(MD_SPANTYPE type, void *detail, void *context)
{
    (void)type, (void)detail, (void)context;
    return 0;
}

static int ignore_text(MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE size, void *context)
{
    (void)type, (void)text, (void)size, (void)context;
    return 0;
}

void document_markdown_shape(const char *text, size_t length, struct lng_buffer *out)
{
    static const MD_PARSER parser = {.flags =
                                         MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_TASKLISTS,
                                     .enter_block = count_block,
                                     .leave_block = ignore_block,
                                     .enter_span = count_span,
                                     .leave_span = ignore_span,
                                     .text = ignore_text};
    struct shape shape = {0};
    cr_assert(md_parse(text, (MD_SIZE)length, &parser, &shape) == 0);
    for (int i = 0; i < 32; i++)
        check_ok(lng_buffer_append_format(out, "%d %d\n", shape.blocks[i], shape.spans[i]));
}

static void check_equal(const char *what, uint32_t seed, const struct lng_buffer *same,
                        const struct lng_buffer *got, struct lng_buffer *want,
                        struct lng_buffer *have)
{
    cr_assert(want->length == have->length &&
                  (want->length == 0 || strcmp(want->data, have->data) == 0),
              "seed %u: %s\n%s---- became\n%s---- of\n%s\n---- which became\n%s", seed, what,
              want->data, have->data, same->data, got->data);
    lng_buffer_release(want);
    lng_buffer_release(have);
}

void document_check(enum lng_opt_document_format format, uint32_t seed,
                    const struct lng_buffer *same, const struct lng_buffer *got)
{
    struct lng_buffer want = {0}, have = {0};
    struct lng_document document;
    struct lng_xml xml = {0};
    document_marks(same->data, same->length, &want);
    document_marks(got->data, got->length, &have);
    check_equal("marks", seed, same, got, &want, &have);
    cr_assert(document_blank_lines(same->data, same->length) ==
                  document_blank_lines(got->data, got->length),
              "seed %u: blank lines of\n%s\n---- which became\n%s", seed, same->data, got->data);
    if (format == LNG_OPT_DOCUMENT_FORMAT_XLIFF || format == LNG_OPT_DOCUMENT_FORMAT_TMX) {
        lng_document_init(&document, "translation", got->data, got->length);
        check_ok(lng_xml_parse(&document, &xml));
        lng_xml_release(&xml);
    }
    if (format == LNG_OPT_DOCUMENT_FORMAT_MARKDOWN) {
        document_markdown_shape(same->data, same->length, &want);
        document_markdown_shape(got->data, got->length, &have);
        check_equal("shape", seed, same, got, &want, &have);
    }
}

/* ---- translators ---- */

enum lng_status document_same(void *context, const struct lng_slice *lines, size_t count,
                              struct lng_translations *translations)
{
    (void)context;
    for (size_t i = 0; i < count; i++)
        LNG_TRY(lng_translations_add(translations, lines[i].data, lines[i].length));
    return LNG_OK;
}

enum lng_status document_change(void *context, const struct lng_slice *lines, size_t count,
                                struct lng_translations *translations)
{
    struct lng_protector *protector;
    (void)context;
    LNG_TRY(lng_protector_open(&protector));
    for (size_t i = 0; i < count; i++) {
        struct lng_slice rest = lines[i], word, all[512];
        struct lng_buffer text = {0};
        struct lng_protected_list found;
        size_t words_in = 0;
        unsigned hash = 0;
        while (words_in < 512 && lng_text_next_word(&rest, &word))
            all[words_in++] = word;
        for (size_t k = 0; k < lines[i].length; k++)
            hash = hash * 31 + (unsigned char)lines[i].data[k];
        unsigned kind = hash / 7 % 16;
        size_t keep = kind == 0 ? 0 : kind == 1 ? 1 : kind == 2 ? (words_in + 1) / 2 : words_in;
        for (size_t k = 0; k < keep; k++) {
            word = all[kind % 2 == 0 ? k : words_in - 1 - k];
            LNG_TRY(lng_protector_find(protector, word.data, word.length, &found));
            bool whole = kind > 5 && found.count > 0;
            LNG_TRY(lng_buffer_append_text(&text, k > 0 ? " " : ""));
            for (size_t c = 0; c < word.length; c++) {
                char letter = word.data[c];
                bool lower = !whole && letter >= 'a' && letter < 'z';
                LNG_TRY(lng_buffer_append_byte(&text, (char)(letter + lower)));
            }
        }
        if (kind == 3)
            LNG_TRY(lng_buffer_append_text(
                &text, " 1. * _x_ <b> & \"q\" [a](b) -- --> # `c` \\ \xC3\xA9\xE4\xB8\xAD"));
        LNG_TRY(
            lng_translations_add(translations, text.data != NULL ? text.data : "", text.length));
        lng_buffer_release(&text);
    }
    lng_protector_close(protector);
    return LNG_OK;
}
