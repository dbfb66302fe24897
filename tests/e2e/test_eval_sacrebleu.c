/* lingster eval against sacreBLEU on random texts, by scripts/check-sacrebleu.py. Skipped without a Python that has
 * sacrebleu (LNG_PEER_PYTHON names one); LNG_EVAL_CASES is how many corpora. */
#include <stdlib.h>

#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/peer.h"
#include "tests/support/scratch.h"

Test(eval_sacrebleu, scores_the_same, .timeout = 300)
{
    const char *binary = getenv("LNG_TEST_BINARY"), *cases = getenv("LNG_EVAL_CASES");
    struct lng_buffer text = {0};
    scratch_make();
    char *python = lng_strdup(peer_python("sacrebleu.significance, numpy"));
    char *script = peer_script("scripts/check-sacrebleu.py");
    cr_assert(binary != NULL, "LNG_TEST_BINARY is not set: use tests/run");
    char *program = lng_format("--lingster=%s", binary);
    char *count = lng_format("--cases=%s", cases ? cases : "4");
    char *arguments[] = {python, script, program, count, (char[]){"--seed=7"}, NULL};
    int status = peer_run(arguments, &text);
    cr_assert(status == 0, "exit status %d:\n%s", status, text.data);
    cr_assert(strstr(text.data, "ok: ") != NULL, "%s", text.data);
    lng_free(python);
    lng_free(script);
    lng_free(program);
    lng_free(count);
    lng_buffer_release(&text);
    scratch_remove();
}
