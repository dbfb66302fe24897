#include "tests/support/peer.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"

extern char **environ;

enum { MOST_OUTPUT = 1 << 20 };

int peer_run(char *const *arguments, struct lng_buffer *text)
{
    const char *path = scratch_path("said");
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    int started = posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (started != 0)
        return 127;
    cr_assert(waitpid(child, &status, 0) == child);
    check_ok(lng_file_read(path, MOST_OUTPUT, text));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

const char *peer_python(const char *modules)
{
    static char *python;
    const char *named = getenv("LNG_PEER_PYTHON");
    if (!python)
        python = strdup(named ? named : "python3");
    char *code = lng_format("import %s", modules);
    char *probe[] = {python, (char[]){"-c"}, code, NULL};
    struct lng_buffer text = {0};
    int status = peer_run(probe, &text);
    lng_free(code);
    lng_buffer_release(&text);
    if (status != 0)
        cr_skip_test("%s cannot import %s (LNG_PEER_PYTHON may name another)", python, modules);
    return python;
}

char *peer_script(const char *script)
{
    const char *root = getenv("LNG_TEST_ROOT");
    return lng_path_join(root ? root : ".", script);
}
