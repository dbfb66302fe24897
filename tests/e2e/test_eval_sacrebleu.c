/* lingster eval against sacreBLEU on random texts, by scripts/check-sacrebleu.py. Skipped without a Python that has
 * sacrebleu (LNG_PEER_PYTHON names one); LNG_EVAL_CASES is how many corpora. */
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "host/base/file.h"
#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/scratch.h"

extern char **environ;

/* Exit status of `arguments`, what they said in `text`; 127 when they cannot be run. */
static int run(char *const *arguments, struct lng_buffer *text)
{
    const char *path = scratch_path("output");
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
    check_ok(lng_file_read(path, 1 << 20, text));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Test(eval_sacrebleu, scores_the_same, .timeout = 300)
{
    const char *root = getenv("LNG_TEST_ROOT"), *peer = getenv("LNG_PEER_PYTHON");
    const char *binary = getenv("LNG_TEST_BINARY"), *cases = getenv("LNG_EVAL_CASES");
    char *python = lng_strdup(peer ? peer : "python3");
    char *probe[] = {python, (char[]){"-c"}, (char[]){"import sacrebleu.significance, numpy"},
                     NULL};
    struct lng_buffer text = {0};
    scratch_make();
    if (run(probe, &text) != 0)
        cr_skip_test("%s has no sacrebleu (LNG_PEER_PYTHON may name another)", python);
    cr_assert(binary != NULL, "LNG_TEST_BINARY is not set: use tests/run");
    char *script = lng_path_join(root ? root : ".", "scripts/check-sacrebleu.py");
    char *program = lng_format("--lingster=%s", binary);
    char *count = lng_format("--cases=%s", cases ? cases : "4");
    char *arguments[] = {python, script, program, count, (char[]){"--seed=7"}, NULL};
    int status = run(arguments, &text);
    cr_assert(status == 0, "exit status %d:\n%s", status, text.data);
    cr_assert(strstr(text.data, "ok: ") != NULL, "%s", text.data);
    lng_free(python);
    lng_free(script);
    lng_free(program);
    lng_free(count);
    lng_buffer_release(&text);
    scratch_remove();
}
