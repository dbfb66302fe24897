/* The program: finds the command, reads its options, runs it. The only place that prints errors and
 * exits. Exit status: 0 done, 1 failed, 2 wrong usage. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/text.h"
#include "host/cli/cmd.h"

static const struct entry {
    struct lng_command command;
    enum lng_status (*run)(const struct lng_options *options);
} commands[] = {
#define LNG_COMMAND(id, bit, arguments, min_arguments, max_arguments, arguments_are_config, \
                    summary)                                                                \
    {{#id, bit, arguments, min_arguments, max_arguments, arguments_are_config, summary},    \
     lng_cmd_##id},
#include "host/cli/commands.def"
#undef LNG_COMMAND
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

/* A file opened later must not get the number of a standard stream that the caller closed, and
 * using that stream must still fail: so it is opened the wrong way round. */
static void guard_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF &&
            open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            _exit(1);
}

static const struct entry *find_command(const char *name)
{
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].command.name, name) == 0)
            return &commands[i];
    return NULL;
}

static enum lng_status unknown_command(const char *name)
{
    const char *names[COMMAND_COUNT];
    for (int i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i].command.name;
    const char *nearest = lng_text_nearest(name, names, COMMAND_COUNT);
    LNG_FAIL_IF(nearest != NULL, LNG_ERR_USAGE, "unknown command '%.60s'; did you mean '%s'?", name,
                nearest);
    return lng_fail(LNG_ERR_USAGE, "unknown command '%.60s'; 'lingster --help' lists them", name);
}

static void print_version(void)
{
    puts("lingster " LNG_VERSION);
}

static void print_overview(FILE *stream)
{
    fputs("Usage: lingster COMMAND [OPTION...]\n"
          "Neural machine translation: train Transformers and translate with them.\n\nCommands:\n",
          stream);
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-12s %s\n", commands[i].command.name, commands[i].command.summary);
    fputs("\n'lingster COMMAND --help' lists the options of a command; 'lingster --version' prints "
          "the version.\nTranslations go to standard output, everything else to standard error.\n"
          "Exit status: 0 done, 1 failed, 2 wrong usage.\n",
          stream);
}

static enum lng_status print_text(enum lng_status status, struct lng_buffer *text)
{
    if (status == LNG_OK && text->length > 0)
        fwrite(text->data, 1, text->length, stdout);
    lng_buffer_release(text);
    return status;
}

static enum lng_status act(const struct entry *entry, const struct lng_options *options)
{
    struct lng_buffer text = {0};
    switch (options->action) {
    case LNG_ACTION_HELP:
        return lng_command_print_help(&entry->command, false, stdout);
    case LNG_ACTION_USAGE:
        return lng_command_print_help(&entry->command, true, stdout);
    case LNG_ACTION_VERSION:
        print_version();
        return LNG_OK;
    case LNG_ACTION_COMPLETIONS:
        return print_text(lng_command_list_options(&entry->command, &text), &text);
    case LNG_ACTION_DUMP_CONFIG:
        return print_text(lng_options_dump(options, &text), &text);
    default:
        if (options->quiet)
            lng_log_set_level(LNG_LOG_WARNING);
        return entry->run(options);
    }
}

static enum lng_status run_command(const struct entry *entry, int argc, char **argv)
{
    struct lng_options options;
    LNG_TRY(lng_options_init(&options, &entry->command));
    enum lng_status status = lng_options_parse(&options, argc, argv, environ);
    if (status == LNG_OK)
        status = act(entry, &options);
    lng_options_release(&options);
    return status;
}

/* Everything but `lingster COMMAND ...`. */
static enum lng_status run_general(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
        (strcmp(word, "help") == 0 && argc == 2)) {
        print_overview(stdout);
        return LNG_OK;
    }
    if (strcmp(word, "help") == 0) {
        const struct entry *entry = find_command(argv[2]);
        return entry ? lng_command_print_help(&entry->command, false, stdout)
                     : unknown_command(argv[2]);
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        print_version();
        return LNG_OK;
    }
    if (strcmp(word, "--completions") == 0) {
        for (int i = 0; i < COMMAND_COUNT; i++)
            puts(commands[i].command.name);
        return LNG_OK;
    }
    LNG_FAIL_IF(argc < 2, LNG_ERR_USAGE, "expected a command; 'lingster --help' lists them");
    LNG_FAIL_IF(*word == '-', LNG_ERR_USAGE,
                "unknown option '%.60s'; options stand after the command: lingster COMMAND ...",
                word);
    return unknown_command(word);
}

static void print_error(enum lng_status status, const char *command)
{
    const char *message = lng_error_message();
    flockfile(stderr);
    fprintf(stderr, "lingster%s%s: ", command ? " " : "", command ? command : "");
    if (*message == '\0')
        message = lng_status_text(status);
    /* Messages quote what users and files gave us; a terminal must not obey that. */
    for (size_t left = strlen(message), taken; left > 0; message += taken, left -= taken) {
        bool harmless;
        taken = lng_utf8_harmless(message, left, &harmless);
        (void)fwrite(harmless ? message : "?", 1, harmless ? taken : 1, stderr);
    }
    putc('\n', stderr);
    funlockfile(stderr);
}

int main(int argc, char **argv)
{
    guard_standard_streams();
    /* A reader that went away is a failed write, reported as such, not a sudden death. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* the same for a file at its size limit */
    const struct entry *entry = argc > 1 ? find_command(argv[1]) : NULL;
    enum lng_status status =
        entry ? run_command(entry, argc - 1, argv + 1) : run_general(argc, argv);
    if (status == LNG_OK)
        status = lng_stdout_finish();
    if (status == LNG_OK)
        return 0;
    print_error(status, entry ? entry->command.name : NULL);
    return status == LNG_ERR_USAGE ? 2 : 1;
}
