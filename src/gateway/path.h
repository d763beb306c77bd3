/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/path: paths of requests as Go's net/http sees them.
 *
 * Thread      any.
 */
#ifndef GATEWAY_PATH_H
#define GATEWAY_PATH_H

#include "base/buf.h"

/* Percent-decoded; a '%' that is none stays.  out is cleared first. */
void path_decode(struct slice path, struct buf *out);
/* ServeMux's canonical form: rooted, without "//", "." and ".."; a slash at the end stays. */
void path_clean(struct slice path, struct buf *out);

#endif
