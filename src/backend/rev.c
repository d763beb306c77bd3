/* SPDX-License-Identifier: Apache-2.0
 *
 * backend/rev: keys of the record bucket (storage-formats 2.2).
 */
#include "backend/backend.h"
#include "base/bytes.h"

size_t backend_rev_encode(struct backend_rev rev, uint8_t out[BACKEND_TOMBSTONE_BYTES])
{
    store_be64(out, (uint64_t)rev.main);
    out[8] = '_';
    store_be64(out + 9, (uint64_t)rev.sub);
    if (!rev.is_tombstone) {
        return BACKEND_REV_BYTES;
    }
    out[17] = 't';
    return BACKEND_TOMBSTONE_BYTES;
}

int backend_rev_decode(struct slice key, struct backend_rev *out)
{
    bool is_tombstone = key.len == BACKEND_TOMBSTONE_BYTES && key.data[17] == 't';
    if ((key.len != BACKEND_REV_BYTES && !is_tombstone) || key.data[8] != '_') {
        return ERR_MALFORMED;
    }
    struct backend_rev rev = {(int64_t)load_be64(key.data), (int64_t)load_be64(key.data + 9),
                              is_tombstone};
    if (rev.main < 0 || rev.sub < 0) {
        return ERR_MALFORMED;
    }
    *out = rev;
    return 0;
}
