/* SPDX-License-Identifier: Apache-2.0
 *
 * bolt/pager: page numbers to validated frames: cache first, then the disk.
 *
 * Thread      any (see bolt.h).
 * Failure     ERR_COLD, ERR_IO, ERR_NOMEM, ERR_CORRUPT with the text remembered.
 */
#ifndef BOLT_PAGER_H
#define BOLT_PAGER_H

#include "bolt/db.h"

/* A pinned branch or leaf run of the state that tx shows. */
MUST_USE int pager_pin(struct bolt_tx *tx, uint64_t id, unsigned read_flags,
                       struct bolt_frame **out);
/* Without the cache and with the header validated only: any type; for the checker and the stored
 * freelist.  On ERR_CORRUPT why says it and nothing is remembered. */
MUST_USE int pager_read_raw(struct bolt_tx *tx, uint64_t id, struct why *why,
                            struct bolt_frame **out);
/* Exactly len bytes at off; ERR_IO, ERR_TRUNCATED. */
MUST_USE int pager_read_bytes(struct bolt_db *db, void *dst, size_t len, uint64_t off);

#endif
