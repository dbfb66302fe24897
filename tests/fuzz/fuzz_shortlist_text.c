/* libFuzzer target: lines "target source probability" of a shortlist. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/store/shortlist_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *count, char ***arguments);

/* Opened once: they cost more than most inputs. */
static struct lng_vocab *source, *target;

static struct lng_vocab *words(const char *const *list)
{
    struct lng_vocab *vocab;
    if (lng_vocab_open(&vocab) != LNG_OK)
        abort();
    for (; *list; list++)
        if (lng_vocab_add(vocab, *list, strlen(*list), NULL) != LNG_OK)
            abort();
    return vocab;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    static const char *const one[] = {"</s>", "<unk>", "a", "b", "c", NULL};
    static const char *const other[] = {"</s>", "<unk>", "x", "y", "z", "w", "v", NULL};
    (void)count;
    (void)arguments;
    source = words(one);
    target = words(other);
    return 0;
}

static void use(const struct lng_shortlist *list, int32_t rows)
{
    uint8_t marks[8] = {0};
    int32_t tokens[9], ids[] = {0, 2, 3, 4}, eos = 0;
    int32_t count = lng_shortlist_collect(list, ids, 4, &eos, 1, marks, tokens);
    if (count < 1 || count > rows || list->lines_left_out < 0)
        abort();
    for (int32_t i = 0; i < count; i++)
        if (tokens[i] < 0 || tokens[i] >= rows || (i > 0 && tokens[i] <= tokens[i - 1]))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct lng_shortlist_options options = {.first = 2, .best = 2, .threshold = 0.01};
    struct lng_shortlist list = {.target_rows = lng_vocab_size(target)};
    struct lng_lines *lines;
    lng_lines_set_chunk((size_t)16 << size % 8); /* as in fuzz_lines.c */
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0)
        abort();
    if (lng_lines_open_fd(fd, "fuzz", &lines) == LNG_OK) {
        if (lng_shortlist_read_text("fuzz", lines, source, target, &options, &list) == LNG_OK) {
            use(&list, lng_vocab_size(target));
            lng_shortlist_release(&list);
        }
        lng_lines_close(lines);
    }
    close(fd);
    return 0;
}
