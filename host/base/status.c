#include "host/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_CAPACITY = 2048 };

static _Thread_local char message[MESSAGE_CAPACITY];

enum lng_status lng_fail(enum lng_status code, const char *format, ...)
{
    /* Formatted aside first: an argument may be the current message itself. */
    char text[MESSAGE_CAPACITY];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(message, text, sizeof message);
    return code;
}

enum lng_status lng_fail_context(enum lng_status code, const char *format, ...)
{
    char text[MESSAGE_CAPACITY];
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t length = written < 0 ? 0 : strlen(text);
    size_t room = sizeof text - length;
    snprintf(text + length, room, ": %.*s", room > 2 ? (int)room - 3 : 0, message);
    memcpy(message, text, sizeof message);
    return code;
}

const char *lng_error_message(void)
{
    return message;
}

const char *lng_status_text(enum lng_status status)
{
    static const char *const texts[] = {
#define LNG_STATUS(name, text) text,
#include "host/base/status.def"
#undef LNG_STATUS
    };
    size_t index = (size_t)status;
    return index < sizeof texts / sizeof texts[0] ? texts[index] : "unknown status";
}
