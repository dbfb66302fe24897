#include "host/train/run_state.h"

enum { RUN_STATE_VERSION = 1 };

/* Every counter once: (kind, field). The order is the file's. */
#define RUN_STATE_FIELDS(X)  \
    X(i64, progress.updates) \
    X(f64, progress.epochs)  \
    X(i64, progress.targets) \
    X(i64, sources)          \
    X(i64, sentences)        \
    X(i64, optimizer_steps)  \
    X(i64, skipped)          \
    X(i64, rollbacks)        \
    X(f64, seconds)          \
    X(u64, seed)

static enum lng_status lng_writer_i64(struct lng_writer *writer, int64_t value)
{
    return lng_writer_u64(writer, (uint64_t)value);
}

enum lng_status lng_run_state_write(const struct lng_run_state *state, struct lng_writer *writer)
{
    LNG_TRY(lng_writer_u32(writer, RUN_STATE_VERSION));
#define WRITE(kind, field) LNG_TRY(lng_writer_##kind(writer, state->field));
    RUN_STATE_FIELDS(WRITE)
#undef WRITE
    LNG_TRY(lng_data_position_write(&state->position, writer));
    LNG_TRY(lng_writer_i64(writer, state->stop.patience));
    LNG_TRY(lng_writer_u32(writer, (uint32_t)state->stop.count));
    for (size_t i = 0; i < state->stop.count; i++) {
        const struct lng_best *best = &state->stop.best[i];
        LNG_TRY(lng_writer_u32(writer, (uint32_t)best->metric));
        LNG_TRY(lng_writer_f64(writer, best->value));
        LNG_TRY(lng_writer_i64(writer, best->update));
        LNG_TRY(lng_writer_i64(writer, best->stalled));
    }
    return LNG_OK;
}

static enum lng_status read_best(struct lng_reader *reader, struct lng_best *best)
{
    uint32_t metric;
    LNG_TRY(lng_reader_u32(reader, &metric));
    LNG_FAIL_IF(metric >= LNG_VALID_METRICS, LNG_ERR_FORMAT,
                "%s: unknown metric %u in the run state", reader->name, metric);
    best->metric = (enum lng_opt_valid_metric)metric;
    LNG_TRY(lng_reader_f64(reader, &best->value));
    LNG_TRY(lng_reader_i64(reader, &best->update));
    return lng_reader_i64(reader, &best->stalled);
}

enum lng_status lng_run_state_read(struct lng_run_state *state, struct lng_reader *reader)
{
    struct lng_run_state result = {0};
    uint32_t version, count;
    LNG_TRY(lng_reader_u32(reader, &version));
    LNG_FAIL_IF(version != RUN_STATE_VERSION, LNG_ERR_UNSUPPORTED,
                "%s: run state of version %u, this program reads version %d", reader->name, version,
                RUN_STATE_VERSION);
#define READ(kind, field) LNG_TRY(lng_reader_##kind(reader, &result.field));
    RUN_STATE_FIELDS(READ)
#undef READ
    LNG_TRY(lng_data_position_read(reader, &result.position));
    LNG_TRY(lng_reader_i64(reader, &result.stop.patience));
    LNG_TRY(lng_reader_u32(reader, &count));
    LNG_FAIL_IF(count > LNG_VALID_METRICS, LNG_ERR_FORMAT,
                "%s: %u watched metrics in the run state, there are %d", reader->name, count,
                LNG_VALID_METRICS);
    result.stop.count = count;
    for (size_t i = 0; i < count; i++)
        LNG_TRY(read_best(reader, &result.stop.best[i]));
    LNG_FAIL_IF(lng_reader_left(reader) > 0, LNG_ERR_FORMAT,
                "%s: %zu bytes too many in the run state", reader->name, lng_reader_left(reader));
    *state = result;
    return LNG_OK;
}
