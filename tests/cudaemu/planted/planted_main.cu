/* usage: planted CASE    with its bug      planted clean    every case without
 * 0: right results; 1: wrong ones; 2: no such case; 3: an error of CUDA; 86: the double's report. */
#include <string.h>

#include "tests/cudaemu/planted/planted.h"

static const planted_case *const all[] = {planted_copies,  planted_reductions, planted_blocks,
                                          planted_memory,  planted_host,       planted_graphs,
                                          planted_products};

int main(int count, char **arguments)
{
    const char *wanted = count == 2 ? arguments[1] : "";
    const bool clean = strcmp(wanted, "clean") == 0;
    int ran = 0;
    for (const planted_case *one : all)
        for (; one->name != nullptr; one++) {
            if (!clean && strcmp(wanted, one->name) != 0)
                continue;
            ran++;
            if (!one->run(!clean)) {
                printf("%s: wrong\n", one->name);
                return 1;
            }
        }
    return ran > 0 ? 0 : 2;
}
