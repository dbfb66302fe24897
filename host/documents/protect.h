/* Finds what must come through a translation as it is: placeholders, addresses, tags in plain text. The one place
 * that says what counts as such. */
#ifndef LNG_HOST_DOCUMENTS_PROTECT_H
#define LNG_HOST_DOCUMENTS_PROTECT_H

#include "host/documents/document.h"

struct lng_protected {
    enum lng_piece_kind kind; /* KEEP; OPEN, CLOSE or POINT for a tag */
    size_t begin, end;
    size_t name, name_length; /* of a tag, in the text */
};

/* The first at or after `from`; false when there is none. Found are:
 *   {{name}}  {name}  ${name}  %{name}  $name      templates
 *   %s  %1$s  %-5.2f  %(name)s  %%                 printf, Python
 *   scheme://...  www....  name@example.org        addresses, without the punctuation that follows them
 *   <b>  </b>  <br/>  <!-- -->                     tags; tags that stay open are the caller's to see
 *   &amp;  &#65;                                   character references */
bool lng_protect_find(const char *text, size_t length, size_t from, struct lng_protected *found);

/* The tag at the start of `text`, HTML's or XML's way: the bytes it takes, 0 when none is there. Quoted attribute
 * values may hold '>'. found->begin is 0. */
size_t lng_protect_tag(const char *text, size_t length, struct lng_protected *found);

#endif
