/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/why: the sentence that goes with ERR_CORRUPT.
 *
 * Validation returns a code and fills a struct why; the pager adds path, page and offset.
 */
#ifndef BOLT_WHY_H
#define BOLT_WHY_H

#include "base/err.h"

enum { WHY_TEXT_BYTES = 160 };

struct why {
    char text[WHY_TEXT_BYTES];
};

/* Fills why (cut to fit) and returns ERR_CORRUPT. */
PRINTF_LIKE(2, 3) int why_set(struct why *why, const char *fmt, ...);

#endif
