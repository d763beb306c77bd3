/* SPDX-License-Identifier: Apache-2.0
 *
 * core/boot: from a data directory (or none) to a running core; private to core but for the path
 * names.
 *
 * Order at a restart (storage-formats 4.5): leftovers, database, its schema, newest raft snapshot
 * that the WAL confirms, received database if the snapshot is ahead, WAL with repair, checks, key
 * index, raft.  Everything that contradicts itself is refused with words that say what to do.
 */
#ifndef CORE_BOOT_H
#define CORE_BOOT_H

#include "core/driver_internal.h"

/* text: DRIVER_TEXT_BYTES. */
MUST_USE int boot_open(struct driver *d, char *text);
/* Closes what boot_open opened; nothing may be under way. */
void boot_close(struct driver *d);

/* boot_defrag.c: rewrites the database when boot_defrag_bytes of it or more are free.  Behind
 * backend_committed_index_init and before anything reads. */
MUST_USE int boot_defrag(struct driver *d);

#endif
