/* --compat hf and ctranslate2 against transformers and CTranslate2 themselves, on random models, by the scripts that
 * compare them. Skipped without a Python that has those (LNG_PEER_PYTHON names one); LNG_PEER_SENTENCES is how many
 * sentences a model. */
#include <stdlib.h>

#include "host/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/peer.h"
#include "tests/support/scratch.h"

TestSuite(compare_peers, .init = (void (*)(void))scratch_make, .fini = scratch_remove,
          .timeout = 900);

static void expect_the_same(const char *name, const char *modules, const char *expected)
{
    const char *binary = getenv("LNG_TEST_BINARY"), *sentences = getenv("LNG_PEER_SENTENCES");
    cr_assert(binary != NULL, "LNG_TEST_BINARY is not set: use tests/run");
    char *python = lng_strdup(peer_python(modules)), *script = peer_script(name);
    char *program = lng_strdup(binary), *folder = lng_strdup(scratch_path("models"));
    char *count = lng_strdup(sentences ? sentences : "10");
    char *arguments[] = {python, script, program, folder, count, NULL};
    struct lng_buffer text = {0};
    int status = peer_run(arguments, &text);
    cr_assert(status == 0, "exit status %d:\n%s", status, text.data);
    cr_assert(strstr(text.data, expected) != NULL, "nothing was compared:\n%s", text.data);
    lng_buffer_release(&text);
    lng_free(python);
    lng_free(script);
    lng_free(program);
    lng_free(folder);
    lng_free(count);
}

Test(compare_peers, random_models)
{
    expect_the_same("scripts/compare-peers.py", "torch, transformers, ctranslate2",
                    "m2m_100, relu");
}

Test(compare_peers, many_languages)
{
    expect_the_same("scripts/compare-languages.py", "torch, transformers, sentencepiece",
                    "NLLB, older form");
}
