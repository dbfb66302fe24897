#include <string.h>

#include "host/documents/formats.h"
#include "host/documents/scan_lines.h"

/* The bytes of column n (from 1) of a row; false when it has fewer, *columns then says how many. */
static bool find_column(const struct lng_document *document, const struct lng_scan *row, int n,
                        size_t *begin, size_t *end, int *columns)
{
    size_t at = row->begin;
    for (*columns = 1;; ++*columns) {
        size_t tab = at;
        while (tab < row->end && document->bytes[tab] != '\t')
            tab++;
        *begin = at;
        *end = tab;
        if (*columns == n)
            return true;
        if (tab == row->end)
            return false;
        at = tab + 1;
    }
}

enum lng_status lng_read_tsv(struct lng_document *document, const struct lng_read_options *options)
{
    enum { MOST_COLUMNS = 10000 };
    struct lng_scan row = {.next = lng_document_mark(document)};
    int to = options->target_column > 0 ? options->target_column : options->column;
    char tabs[MOST_COLUMNS + 1];
    memset(tabs, '\t', sizeof tabs);
    LNG_FAIL_IF(options->column < 1 || options->column > MOST_COLUMNS || to > MOST_COLUMNS,
                LNG_ERR_RANGE, "column %d: expected 1 to %d", options->column, MOST_COLUMNS);
    while (lng_scan_next(document, &row)) {
        size_t begin, end, to_begin, to_end;
        int columns;
        if (!find_column(document, &row, options->column, &begin, &end, &columns)) {
            document->skipped += !lng_scan_blank(document, &row);
            continue;
        }
        LNG_TRY(lng_document_begin_unit(document, LNG_ENCODING_CELL));
        LNG_TRY(lng_document_add(document, LNG_PIECE_TEXT, begin, end, NULL, 0, 0));
        if (to == options->column) {
            LNG_TRY(lng_document_end_unit(document));
            continue;
        }
        bool there = find_column(document, &row, to, &to_begin, &to_end, &columns);
        tabs[there ? 0 : to - columns] = '\0';
        LNG_TRY(lng_document_end_unit_at(document, there ? to_begin : row.end,
                                         there ? to_end : row.end, tabs, NULL));
        tabs[there ? 0 : to - columns] = '\t';
    }
    return LNG_OK;
}
