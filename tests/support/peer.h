/* Scripts of the project that compare it with other people's programs, from tests that skip where those are absent. */
#ifndef LNG_TESTS_SUPPORT_PEER_H
#define LNG_TESTS_SUPPORT_PEER_H

#include "host/base/text.h"

/* The Python to use: LNG_PEER_PYTHON, or python3. Skips the test when it cannot import `modules` (as in
 * an import statement: "torch, transformers"). */
const char *peer_python(const char *modules);
/* Path of the repository's `script`; to be freed with lng_free. */
char *peer_script(const char *script);
/* Runs `arguments`, ended by NULL, to their end; what they say on both streams is in `text`. Returns the exit status,
 * 128 + the signal that killed it, or 127 when it cannot be run. The scratch folder must exist. */
int peer_run(char *const *arguments, struct lng_buffer *text);

#endif
