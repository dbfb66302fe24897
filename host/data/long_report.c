#include "host/data/long_report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static enum lng_status append(struct lng_long_report *report, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t put = write(report->fd, data, length);
        if (put < 0 && errno == EINTR)
            continue;
        LNG_FAIL_IF(put < 0, LNG_ERR_IO, "cannot write %s: %s", report->path, strerror(errno));
        data += put;
        length -= (size_t)put;
        report->bytes += (uint64_t)put;
    }
    return LNG_OK;
}

/* Cuts the file to at most `bytes` and stands at its end. */
static enum lng_status cut_back(struct lng_long_report *report, uint64_t bytes)
{
    off_t size = lseek(report->fd, 0, SEEK_END);
    LNG_FAIL_IF(size < 0, LNG_ERR_IO, "cannot read %s: %s", report->path, strerror(errno));
    report->bytes = (uint64_t)size < bytes ? (uint64_t)size : bytes;
    LNG_FAIL_IF(ftruncate(report->fd, (off_t)report->bytes) != 0 ||
                    lseek(report->fd, 0, SEEK_END) < 0,
                LNG_ERR_IO, "cannot shorten %s: %s", report->path, strerror(errno));
    return LNG_OK;
}

enum lng_status lng_long_report_open(struct lng_long_report *report, const char *path,
                                     uint64_t bytes)
{
    static const char header[] = "corpus\tline\treason\tsource tokens\ttarget tokens\n";
    struct lng_long_report fresh = {.fd = -1, .path = path};
    enum lng_status status = LNG_OK;
    if (path != NULL) {
        fresh.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        LNG_FAIL_IF(fresh.fd < 0, LNG_ERR_IO, "cannot write %s: %s", path, strerror(errno));
        status = cut_back(&fresh, bytes);
        if (status == LNG_OK && fresh.bytes == 0)
            status = append(&fresh, header, sizeof header - 1);
        if (status != LNG_OK) {
            close(fresh.fd);
            return status;
        }
    }
    *report = fresh;
    return LNG_OK;
}

enum lng_status lng_long_report_add(struct lng_long_report *report, const struct lng_corpus *corpus,
                                    const struct lng_encoded *part, int64_t max_length)
{
    if (report->fd < 0 || part->dropped_count == 0)
        return LNG_OK;
    struct lng_buffer rows = {0};
    enum lng_status status = LNG_OK;
    for (size_t i = 0; i < part->dropped_count && status == LNG_OK; i++) {
        const struct lng_long_pair *pair = &part->dropped[i];
        struct lng_corpus_place place = lng_corpus_locate(corpus, pair->sentence_id);
        const char *reason = pair->source_tokens > (uint64_t)max_length   ? "source too long"
                             : pair->target_tokens > (uint64_t)max_length ? "target too long"
                                                                          : "no tokens";
        status = lng_buffer_append_format(
            &rows, "%s\t%llu\t%s\t%llu\t%llu\n", place.path, (unsigned long long)place.line, reason,
            (unsigned long long)pair->source_tokens, (unsigned long long)pair->target_tokens);
    }
    if (status == LNG_OK)
        status = append(report, rows.data, rows.length);
    lng_buffer_release(&rows);
    return status;
}

void lng_long_report_close(struct lng_long_report *report)
{
    if (report->fd >= 0)
        close(report->fd);
    report->fd = -1;
}
