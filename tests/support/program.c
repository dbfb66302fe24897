#include "tests/support/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

enum { MAX_WORDS = 128, MAX_VARIABLES = 256 };

static int memory_file(const char *data, size_t length)
{
    int fd = memfd_create("lingster-test", MFD_CLOEXEC);
    cr_assert(fd >= 0);
    cr_assert(write(fd, data ? data : "", length) == (ssize_t)length);
    cr_assert(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static char *take_content(int fd, size_t *length)
{
    off_t size = lseek(fd, 0, SEEK_END);
    cr_assert(size >= 0);
    char *content = calloc((size_t)size + 1, 1);
    cr_assert(pread(fd, content, (size_t)size, 0) == size);
    close(fd);
    *length = (size_t)size;
    return content;
}

int program_start(const char *const *arguments, const char *const *environment, int in, int out,
                  int err)
{
    const char *path = getenv("LNG_TEST_BINARY");
    cr_assert(path != NULL, "LNG_TEST_BINARY is not set: run through tests/run");
    const char *argv[MAX_WORDS + 2] = {"lingster"};
    for (int i = 0; arguments[i] != NULL; i++) {
        cr_assert(i < MAX_WORDS);
        argv[i + 1] = arguments[i];
    }
    const char *variables[MAX_VARIABLES + 1] = {NULL};
    int count = 0;
    for (char **v = environ; *v != NULL && count < MAX_VARIABLES / 2; v++)
        if (strncmp(*v, "LINGSTER_", 9) != 0)
            variables[count++] = *v;
    for (; environment != NULL && *environment != NULL && count < MAX_VARIABLES; environment++)
        variables[count++] = *environment;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const int descriptors[] = {in, out, err};
    for (int i = 0; i < 3; i++)
        if (descriptors[i] < 0)
            posix_spawn_file_actions_addclose(&actions, i);
        else
            posix_spawn_file_actions_adddup2(&actions, descriptors[i], i);
    pid_t pid;
    int failed =
        posix_spawn(&pid, path, &actions, NULL, (char *const *)argv, (char *const *)variables);
    posix_spawn_file_actions_destroy(&actions);
    cr_assert(failed == 0, "cannot run %s: %s", path, strerror(failed));
    return pid;
}

int program_wait(int pid)
{
    int status;
    cr_assert(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void program_run_arguments(struct program *program, const char *const *arguments, const char *input,
                           size_t input_length, const char *const *environment)
{
    int in = memory_file(input, input_length);
    int out = memory_file(NULL, 0), err = memory_file(NULL, 0);
    program->status = program_wait(program_start(arguments, environment, in, out, err));
    close(in);
    program->out = take_content(out, &program->out_length);
    program->err = take_content(err, &program->err_length);
}

void program_run(struct program *program, const char *words, const char *input, size_t input_length,
                 const char *const *environment)
{
    char *copy = strdup(words), *rest = NULL;
    const char *arguments[MAX_WORDS + 1] = {NULL};
    int count = 0;
    for (char *word = strtok_r(copy, " ", &rest); word && count < MAX_WORDS;
         word = strtok_r(NULL, " ", &rest))
        arguments[count++] = word;
    program_run_arguments(program, arguments, input, input_length, environment);
    free(copy);
}

void program_expect(struct program *program, const char *words, int want)
{
    program_run(program, words, NULL, 0, NULL);
    cr_assert(program->status == want, "lingster %s: status %d, %s", words, program->status,
              program->err);
}

void program_release(struct program *program)
{
    free(program->out);
    free(program->err);
    *program = (struct program){0};
}
