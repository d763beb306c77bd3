/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/name: names of segments, and which of them a reader needs; private to this folder.
 */
#ifndef WAL_NAME_H
#define WAL_NAME_H

#include "env/env.h"
#include "raft/types.h"
#include "wal/wal.h"

enum { WAL_NAME_MAX = 40 };

struct wal_name {
    uint64_t seq;
    raft_index index; /* of the first entry that can be in it */
};

void wal_name_format(char out[WAL_NAME_MAX], struct wal_name name);
/* False for anything but 16 hex digits, '-', 16 hex digits, ".wal". */
bool wal_name_parse(const char *text, struct wal_name *out);

struct wal_names {
    struct wal_name *items;
    size_t count;
    size_t cap;
};

void wal_names_deinit(struct wal_names *n);
/* Ascending. Names that do not parse are ignored with a warning; ERR_NOT_FOUND when none is left.
 */
MUST_USE int wal_names_list(struct env_disk *disk, const char *dir, struct wal_names *out,
                            struct wal_detail *detail);
/* Position of the last name with index <= at; from there on the sequence must be gapless. */
MUST_USE int wal_names_select(const struct wal_names *n, raft_index at, size_t *out_first,
                              struct wal_detail *detail);

PRINTF_LIKE(2, 3) void wal_detail_set(struct wal_detail *d, const char *fmt, ...);

#endif
