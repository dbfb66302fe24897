/* Workload startup: whole processes of this program, as a user starts them, from their start to their end. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/mem.h"
#include "host/cli/bench.h"
#include "host/cli/bench_plan.h"

extern char **environ;

void lng_bench_list_commands(const struct lng_bench *bench, struct lng_bench_command *commands)
{
    const struct lng_options *o = bench->options;
    commands[0] = (struct lng_bench_command){
        .name = "version", .words = {"lingster", "--version", NULL}, .input = ""};
    commands[1] = (struct lng_bench_command){
        .name = "translate",
        .input = "Hello.\n",
        .words = {"lingster", "translate", "--quiet", "--model", o->bench_model, "--device",
                  o->device, "--dtype",
                  bench->dtype == LNG_DTYPE_I8 ? "int8" : lng_dtype_name(bench->dtype), "--threads",
                  commands[1].threads, NULL}};
    snprintf(commands[1].threads, sizeof commands[1].threads, "%d", o->threads);
}

/* Of one process. */
struct life {
    double first_output, seconds, cpu_seconds, bytes; /* seconds from its start; peak resident */
};

static enum lng_status fail_here(const char *what, int error)
{
    return lng_fail(LNG_ERR_IO, "startup: %s: %s", what, strerror(error));
}

/* In: a pipe that holds the input. Out: a pipe to read from. */
static enum lng_status spawn(const struct lng_bench_command *command, int in[2], int out[2],
                             pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    char *words[LNG_BENCH_WORDS];
    for (int i = 0; i < LNG_BENCH_WORDS; i++)
        words[i] = (char *)command->words[i];
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return fail_here("no process", error);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    if (error == 0)
        error = posix_spawn(pid, "/proc/self/exe", &actions, NULL, words, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return error == 0 ? LNG_OK : fail_here("no process", error);
}

/* Reads until the process closes its output. */
static void drain(int out, struct lng_bench_clock start, double *first)
{
    char buffer[4096];
    for (;;) {
        ssize_t got = read(out, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return;
        if (*first <= 0)
            *first = lng_bench_stop(start).seconds;
    }
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + 1e-6 * (double)time.tv_usec;
}

static enum lng_status wait_for(pid_t pid, const char *name, struct lng_bench_clock start,
                                struct life *life)
{
    struct rusage usage;
    int status;
    while (wait4(pid, &status, 0, &usage) < 0)
        if (errno != EINTR)
            return fail_here("waiting", errno);
    life->seconds = lng_bench_stop(start).seconds;
    life->cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    life->bytes = 1024.0 * (double)usage.ru_maxrss;
    LNG_FAIL_IF(!WIFEXITED(status) || WEXITSTATUS(status) != 0, LNG_ERR_DEVICE,
                "startup: lingster %s ended with status %d; what it said is above", name,
                WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return LNG_OK;
}

/* The pipes are closed in any case. */
static enum lng_status live(const struct lng_bench_command *command, int in[2], int out[2],
                            struct life *life)
{
    const size_t size = strlen(command->input);
    enum lng_status status = LNG_OK;
    pid_t pid = 0;
    if (write(in[1], command->input, size) != (ssize_t)size)
        status = fail_here("writing", errno);
    struct lng_bench_clock start = lng_bench_start();
    if (status == LNG_OK)
        status = spawn(command, in, out, &pid);
    for (int i = 0; i < 2; i++)
        close(in[i]);
    close(out[1]);
    if (status == LNG_OK) {
        drain(out[0], start, &life->first_output);
        status = wait_for(pid, command->name, start, life);
    }
    close(out[0]);
    return status;
}

static enum lng_status run(const struct lng_bench_command *command, struct life *life)
{
    int in[2], out[2];
    *life = (struct life){0};
    if (pipe2(in, O_CLOEXEC) != 0)
        return fail_here("no pipe", errno);
    if (pipe2(out, O_CLOEXEC) != 0) {
        int error = errno;
        close(in[0]);
        close(in[1]);
        return fail_here("no pipe", error);
    }
    return live(command, in, out, life);
}

static enum lng_status add_life(json_t *list, const char *name, const struct life *lives,
                                double *values, size_t count)
{
    static const struct {
        const char *key;
        size_t offset;
        double factor;
    } rows[] = {
        {"first_output_ms", offsetof(struct life, first_output), 1e3},
        {"total_ms", offsetof(struct life, seconds), 1e3},
        {"cpu_ms", offsetof(struct life, cpu_seconds), 1e3},
        {"peak_rss_bytes", offsetof(struct life, bytes), 1},
    };
    json_t *row;
    LNG_TRY(lng_bench_add_object(list, &row));
    LNG_TRY(lng_json_set(row, "process", json_string(name)));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t k = 0; k < count; k++) {
            memcpy(&values[k], (const char *)&lives[k] + rows[i].offset, sizeof values[k]);
            values[k] *= rows[i].factor;
        }
        LNG_TRY(lng_bench_add_spread(row, rows[i].key, values, count));
    }
    return LNG_OK;
}

enum lng_status lng_bench_startup(struct lng_bench *bench, json_t *report)
{
    const struct lng_options *o = bench->options;
    const size_t count = (size_t)o->bench_repetitions;
    struct lng_bench_command commands[LNG_BENCH_COMMANDS];
    struct life *lives = lng_alloc(count, sizeof *lives);
    double *values = lng_alloc(count, sizeof *values);
    json_t *list = json_array();
    enum lng_status status = lives != NULL && values != NULL ? LNG_OK : LNG_ERR_MEMORY;
    lng_bench_list_commands(bench, commands);
    if (lng_json_set(report, "processes", list) != LNG_OK)
        status = LNG_ERR_MEMORY;
    for (int c = 0; c < LNG_BENCH_COMMANDS && status == LNG_OK; c++) {
        struct life ignored;
        for (int i = 0; i < o->bench_warmup && status == LNG_OK; i++)
            status = run(&commands[c], &ignored);
        for (size_t i = 0; i < count && status == LNG_OK; i++)
            status = run(&commands[c], &lives[i]);
        if (status == LNG_OK)
            status = add_life(list, commands[c].name, lives, values, count);
    }
    lng_free(lives);
    lng_free(values);
    return status;
}
