/* What a translation's bytes depend on beside its input: the text that a journal (host/store/journal.h)
 * keeps, so that a job goes on only as it was begun. */
#ifndef LNG_HOST_CLI_TRANSLATE_SETTINGS_H
#define LNG_HOST_CLI_TRANSLATE_SETTINGS_H

#include "host/base/pack.h"
#include "host/cli/infer_setup.h"

/* Appends "NAME VALUE\n" lines: the version, the device, checksums of the model's files, every option that
 * may change the result (files that options name: their checksums). */
LNG_MUST_CHECK enum lng_status lng_translate_settings(const struct lng_options *options,
                                                      const struct lng_infer_setup *setup,
                                                      struct lng_buffer *text);
/* Appends the checksum of a file under a name. */
LNG_MUST_CHECK enum lng_status lng_translate_file_setting(const char *name, const char *path,
                                                          struct lng_buffer *text);
/* Appends what an output packed so depends on beside: pieces are windows. Nothing for plain text. */
LNG_MUST_CHECK enum lng_status lng_translate_packing_settings(const struct lng_options *options,
                                                              enum lng_packing packing,
                                                              struct lng_buffer *text);

#endif
