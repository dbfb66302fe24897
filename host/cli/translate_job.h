/* The files of `lingster translate`, one after another. What goes to a file can be interrupted at any moment
 * and gone on with by the same command (host/store/resumable.h). */
#ifndef LNG_HOST_CLI_TRANSLATE_JOB_H
#define LNG_HOST_CLI_TRANSLATE_JOB_H

#include "host/cli/infer_setup.h"
#include "host/cli/translate_files.h"
#include "host/infer/translate.h"

struct lng_translate_job {
    const struct lng_translate_files *files;
    struct lng_translator *translator;
    const volatile sig_atomic_t *interrupted;
    struct lng_buffer settings; /* translate_settings.h; what every output depends on */
    const struct lng_options *options;
    struct lng_progress progress;
    uint64_t lines_before; /* of the files before this one */
};

/* An lng_translate_options.progress; the context is the job. */
void lng_translate_job_progress(void *job, uint64_t lines);

/* All files. When one of several fails, the log says why, the others are translated all the same, and the
 * status is that of the first failure; what makes all of them fail (memory, the device, a signal) ends it
 * at once. */
LNG_MUST_CHECK enum lng_status lng_translate_job_run(struct lng_translate_job *job);

#endif
