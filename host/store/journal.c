#include "host/store/journal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/base/mem.h"

enum { CHECK_BYTES = 17, READ_BYTES = 1 << 14, LONGEST_LINE = 1 << 20 };

static const char first_line[] = "lingster journal 1";

/* ---- reading ---- */

static bool parse_number(struct lng_slice word, unsigned base, uint64_t *value)
{
    uint64_t number = 0;
    if (word.length == 0 || (base == 16 && word.length != 16))
        return false;
    for (size_t i = 0; i < word.length; i++) {
        char c = word.data[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : base;
        if (digit >= base || number > (UINT64_MAX - digit) / base)
            return false;
        number = number * base + digit;
    }
    *value = number;
    return true;
}

static bool parse_entry(struct lng_slice line, struct lng_journal_entry *entry)
{
    struct lng_slice words[7];
    size_t count = 0;
    while (count < 7 && lng_text_next_word(&line, &words[count]))
        count++;
    if (count != 6)
        return false;
    bool at = lng_slice_equals(words[0], "at");
    entry->finished = lng_slice_equals(words[0], "end");
    return (at || entry->finished) && parse_number(words[1], 10, &entry->lines) &&
           parse_number(words[2], 16, &entry->input) &&
           parse_number(words[3], 16, &entry->second) &&
           parse_number(words[4], 10, &entry->bytes) && parse_number(words[5], 16, &entry->output);
}

/* A line without its checksum; *holds says whether it is one that may stand here. */
static enum lng_status take_line(struct lng_journal *journal, struct lng_slice line, bool *holds)
{
    struct lng_journal_entry entry = {0};
    *holds = false;
    if (journal->size == 0) {
        *holds = lng_slice_equals(line, first_line);
    } else if (journal->begun) {
        *holds = !journal->last.finished && parse_entry(line, &entry) &&
                 entry.lines >= journal->last.lines && entry.bytes >= journal->last.bytes;
        if (*holds)
            journal->last = entry;
    } else if (lng_slice_equals(line, "begin")) {
        *holds = journal->begun = true;
    } else if (line.length > 4 && memcmp(line.data, "set ", 4) == 0) {
        *holds = true;
        LNG_TRY(lng_buffer_append(&journal->settings, line.data + 4, line.length - 4));
        LNG_TRY(lng_buffer_append_byte(&journal->settings, '\n'));
    }
    return LNG_OK;
}

/* The whole line, newline included: checks its checksum before anything in it is looked at. */
static enum lng_status take_checked(struct lng_journal *journal, const char *line, size_t length,
                                    bool *holds)
{
    uint64_t check = 0;
    *holds = false;
    if (length < CHECK_BYTES + 1 || line[length - CHECK_BYTES - 1] != ' ' ||
        !parse_number((struct lng_slice){line + length - CHECK_BYTES, CHECK_BYTES - 1}, 16, &check))
        return LNG_OK;
    size_t text = length - CHECK_BYTES - 1;
    lng_hash_add(journal->hash, line, text);
    if (lng_hash_value(journal->hash) != check)
        return LNG_OK;
    LNG_TRY(take_line(journal, (struct lng_slice){line, text}, holds));
    if (*holds) {
        lng_hash_add(journal->hash, line + text, length - text);
        journal->size += length;
    }
    return LNG_OK;
}

/* Reads on; *got = 0 at the end. */
static enum lng_status read_more(struct lng_journal *journal, uint64_t offset,
                                 struct lng_buffer *text, size_t *got)
{
    LNG_TRY(lng_buffer_reserve(text, READ_BYTES));
    ssize_t n;
    do {
        n = pread(journal->fd, text->data + text->length, READ_BYTES, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    LNG_FAIL_IF(n < 0, LNG_ERR_IO, "cannot read %s: %s", journal->name, strerror(errno));
    text->length += (size_t)n;
    *got = (size_t)n;
    return LNG_OK;
}

static bool starts_like_a_journal(const char *data, size_t size)
{
    size_t length = size < sizeof first_line - 1 ? size : sizeof first_line - 1;
    return memcmp(data, first_line, length) == 0;
}

/* A hash that was added a line which does not hold is made again from those that do. */
static enum lng_status rehash(struct lng_journal *journal, struct lng_buffer *text)
{
    lng_hash_close(journal->hash);
    journal->hash = NULL;
    LNG_TRY(lng_hash_open(&journal->hash));
    for (uint64_t offset = 0; offset < journal->size;) {
        size_t got;
        lng_buffer_clear(text);
        LNG_TRY(read_more(journal, offset, text, &got));
        LNG_FAIL_IF(got == 0, LNG_ERR_IO, "%s became shorter while it was read", journal->name);
        uint64_t left = journal->size - offset;
        size_t count = got < left ? got : (size_t)left;
        lng_hash_add(journal->hash, text->data, count);
        offset += count;
    }
    return LNG_OK;
}

/* Takes whole lines off `text` for as long as they hold. */
static enum lng_status take_lines(struct lng_journal *journal, struct lng_buffer *text, bool *holds)
{
    size_t start = 0;
    while (*holds) {
        const char *line = text->data + start;
        const char *newline = memchr(line, '\n', text->length - start);
        if (newline == NULL)
            break;
        size_t length = (size_t)(newline - line) + 1;
        LNG_TRY(take_checked(journal, line, length, holds));
        start += length;
    }
    memmove(text->data, text->data + start, text->length - start);
    text->length -= start;
    return LNG_OK;
}

static enum lng_status read_lines(struct lng_journal *journal, struct lng_buffer *text)
{
    bool holds = true;
    uint64_t offset = 0;
    for (;;) {
        size_t got;
        LNG_TRY(read_more(journal, offset, text, &got));
        if (offset == 0)
            journal->ours = starts_like_a_journal(text->data, text->length);
        offset += got;
        if (got == 0 || !journal->ours)
            break;
        LNG_TRY(take_lines(journal, text, &holds));
        if (!holds || text->length > LONGEST_LINE)
            break;
    }
    off_t end = lseek(journal->fd, 0, SEEK_END);
    LNG_FAIL_IF(end < 0, LNG_ERR_IO, "cannot read %s: %s", journal->name, strerror(errno));
    journal->dropped = (uint64_t)end > journal->size ? (uint64_t)end - journal->size : 0;
    return rehash(journal, text);
}

enum lng_status lng_journal_read(struct lng_journal *journal, int fd, const char *name)
{
    *journal = (struct lng_journal){.name = name, .fd = fd};
    struct lng_buffer text = {0};
    enum lng_status status = lng_hash_open(&journal->hash);
    if (status == LNG_OK)
        status = read_lines(journal, &text);
    lng_buffer_release(&text);
    return status;
}

/* ---- writing ---- */

/* Appends "LINE CHECK\n" to `out`; the hash then covers it. */
static enum lng_status add_line(struct lng_journal *journal, struct lng_slice line,
                                struct lng_buffer *out)
{
    size_t start = out->length;
    lng_hash_add(journal->hash, line.data, line.length);
    uint64_t check = lng_hash_value(journal->hash);
    LNG_TRY(lng_buffer_append(out, line.data, line.length));
    LNG_TRY(lng_buffer_append_format(out, " %016llx\n", (unsigned long long)check));
    lng_hash_add(journal->hash, out->data + start + line.length, out->length - start - line.length);
    return LNG_OK;
}

static enum lng_status fail_writing(const struct lng_journal *journal)
{
    return lng_fail(LNG_ERR_IO, "cannot write %s: %s", journal->name, strerror(errno));
}

/* After the lines that hold, in place of what may follow them, and onto the disk. */
static enum lng_status write_text(struct lng_journal *journal, const struct lng_buffer *text)
{
    if (journal->dropped > 0 && ftruncate(journal->fd, (off_t)journal->size) != 0)
        return fail_writing(journal);
    for (size_t done = 0; done < text->length;) {
        ssize_t n = pwrite(journal->fd, text->data + done, text->length - done,
                           (off_t)(journal->size + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_writing(journal);
        done += (size_t)n;
    }
    if (fdatasync(journal->fd) != 0)
        return fail_writing(journal);
    journal->dropped = 0;
    journal->size += text->length;
    return LNG_OK;
}

enum lng_status lng_journal_begin(struct lng_journal *journal, struct lng_slice settings)
{
    struct lng_buffer text = {0}, line = {0};
    struct lng_slice rest = settings, setting;
    enum lng_status status = LNG_OK;
    lng_hash_close(journal->hash);
    journal->hash = NULL;
    LNG_TRY(lng_hash_open(&journal->hash));
    lng_buffer_clear(&journal->settings);
    journal->last = (struct lng_journal_entry){0};
    journal->size = 0;
    journal->dropped = 1; /* whatever there is */
    LNG_TRY_OR_FAIL(lng_buffer_append(&journal->settings, settings.data, settings.length));
    LNG_TRY_OR_FAIL(add_line(journal, lng_slice_of(first_line), &text));
    while (lng_text_split(&rest, '\n', &setting)) {
        if (setting.length == 0)
            continue;
        lng_buffer_clear(&line);
        LNG_TRY_OR_FAIL(lng_buffer_append_text(&line, "set "));
        LNG_TRY_OR_FAIL(lng_buffer_append(&line, setting.data, setting.length));
        LNG_TRY_OR_FAIL(add_line(journal, (struct lng_slice){line.data, line.length}, &text));
    }
    LNG_TRY_OR_FAIL(add_line(journal, lng_slice_of("begin"), &text));
    LNG_TRY_OR_FAIL(write_text(journal, &text));
    journal->begun = journal->ours = true;
fail:
    lng_buffer_release(&text);
    lng_buffer_release(&line);
    return status;
}

enum lng_status lng_journal_append(struct lng_journal *journal,
                                   const struct lng_journal_entry *entry)
{
    char line[160];
    struct lng_buffer text = {0};
    snprintf(line, sizeof line, "%s %llu %016llx %016llx %llu %016llx",
             entry->finished ? "end" : "at", (unsigned long long)entry->lines,
             (unsigned long long)entry->input, (unsigned long long)entry->second,
             (unsigned long long)entry->bytes, (unsigned long long)entry->output);
    enum lng_status status = add_line(journal, lng_slice_of(line), &text);
    if (status == LNG_OK)
        status = write_text(journal, &text);
    if (status == LNG_OK)
        journal->last = *entry;
    lng_buffer_release(&text);
    return status;
}

/* ---- settings ---- */

/* The value of a setting in "NAME VALUE\n..."; false when it is not there. */
static bool find_setting(struct lng_slice settings, struct lng_slice name, struct lng_slice *value)
{
    struct lng_slice line;
    while (lng_text_split(&settings, '\n', &line))
        if (line.length > name.length && line.data[name.length] == ' ' &&
            memcmp(line.data, name.data, name.length) == 0) {
            *value = (struct lng_slice){line.data + name.length + 1, line.length - name.length - 1};
            return true;
        }
    return false;
}

/* Every setting of `a` must be in `b` with the same value; began: `a` is the journal. */
static enum lng_status compare_settings(const struct lng_journal *journal, struct lng_slice a,
                                        struct lng_slice b, bool began)
{
    struct lng_slice line;
    while (lng_text_split(&a, '\n', &line)) {
        const char *space = memchr(line.data, ' ', line.length);
        if (space == NULL)
            continue;
        struct lng_slice name = {line.data, (size_t)(space - line.data)};
        struct lng_slice value = {space + 1, line.length - name.length - 1};
        struct lng_slice other = {"nothing", 7};
        bool found = find_setting(b, name, &other);
        if (found && other.length == value.length &&
            memcmp(other.data, value.data, value.length) == 0)
            continue;
        struct lng_slice then = began ? value : other, now = began ? other : value;
        return lng_fail(LNG_ERR_MISMATCH,
                        "%s: this was begun with %.*s %.*s, now it is %.*s; go on as it was begun, "
                        "or start again with --overwrite",
                        journal->name, (int)name.length, name.data, (int)then.length, then.data,
                        (int)now.length, now.data);
    }
    return LNG_OK;
}

enum lng_status lng_journal_check_settings(const struct lng_journal *journal,
                                           struct lng_slice settings)
{
    struct lng_slice begun = {journal->settings.data ? journal->settings.data : "",
                              journal->settings.length};
    LNG_TRY(compare_settings(journal, begun, settings, true));
    return compare_settings(journal, settings, begun, false);
}

void lng_journal_release(struct lng_journal *journal)
{
    lng_buffer_release(&journal->settings);
    lng_hash_close(journal->hash);
    *journal = (struct lng_journal){0};
}
