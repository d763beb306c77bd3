/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/blob.h"

#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "sim/disk.h"

struct blob_chunk {
    uint32_t refs;
    uint8_t data[SIM_CHUNK_BYTES];
};

static void chunk_unref(struct blob_chunk *c)
{
    if (c != NULL && --c->refs == 0) {
        mem_free(c);
    }
}

void blob_init(struct blob *b)
{
    *b = (struct blob){0, NULL, 0};
}

void blob_deinit(struct blob *b)
{
    for (size_t i = 0; i < b->chunk_count; i++) {
        chunk_unref(b->chunks[i]);
    }
    mem_free(b->chunks);
    blob_init(b);
}

void blob_copy(struct blob *out, const struct blob *b)
{
    *out = *b;
    out->chunks = NULL;
    if (b->chunk_count == 0) {
        return;
    }
    out->chunks = mem_alloc_array(b->chunk_count, sizeof(b->chunks[0]));
    for (size_t i = 0; i < b->chunk_count; i++) {
        out->chunks[i] = b->chunks[i];
        if (b->chunks[i] != NULL) {
            b->chunks[i]->refs++;
        }
    }
}

static void grow_to(struct blob *b, size_t chunk_count)
{
    if (chunk_count <= b->chunk_count) {
        return;
    }
    b->chunks = mem_realloc(b->chunks, chunk_count * sizeof(b->chunks[0]));
    memset(b->chunks + b->chunk_count, 0, (chunk_count - b->chunk_count) * sizeof(b->chunks[0]));
    b->chunk_count = chunk_count;
}

/* The chunk as one of our own, to be written into. */
static uint8_t *chunk_own(struct blob *b, size_t idx)
{
    struct blob_chunk *c = b->chunks[idx];
    if (c != NULL && c->refs == 1) {
        return c->data;
    }
    struct blob_chunk *own = mem_alloc(sizeof(*own));
    own->refs = 1;
    if (c == NULL) {
        memset(own->data, 0, sizeof(own->data));
    } else {
        memcpy(own->data, c->data, sizeof(own->data));
        chunk_unref(c);
    }
    b->chunks[idx] = own;
    return own->data;
}

void blob_write(struct blob *b, const void *data, size_t len, uint64_t off)
{
    if (len == 0) {
        return;
    }
    const uint8_t *src = data;
    if (off + len > b->size) {
        b->size = off + len;
    }
    grow_to(b, (size_t)((off + len - 1) / SIM_CHUNK_BYTES) + 1);
    while (len > 0) {
        size_t at = (size_t)(off % SIM_CHUNK_BYTES);
        size_t n = SIM_CHUNK_BYTES - at < len ? SIM_CHUNK_BYTES - at : len;
        memcpy(chunk_own(b, (size_t)(off / SIM_CHUNK_BYTES)) + at, src, n);
        src += n;
        off += n;
        len -= n;
    }
}

size_t blob_read(const struct blob *b, void *dst, size_t len, uint64_t off)
{
    if (off >= b->size) {
        return 0;
    }
    if (len > b->size - off) {
        len = (size_t)(b->size - off);
    }
    uint8_t *out = dst;
    for (size_t left = len; left > 0;) {
        size_t idx = (size_t)(off / SIM_CHUNK_BYTES);
        size_t at = (size_t)(off % SIM_CHUNK_BYTES);
        size_t n = SIM_CHUNK_BYTES - at < left ? SIM_CHUNK_BYTES - at : left;
        const struct blob_chunk *c = idx < b->chunk_count ? b->chunks[idx] : NULL;
        if (c == NULL) {
            memset(out, 0, n);
        } else {
            memcpy(out, c->data + at, n);
        }
        out += n;
        off += n;
        left -= n;
    }
    return len;
}

void blob_resize(struct blob *b, uint64_t size)
{
    if (size < b->size) {
        size_t keep = (size_t)((size + SIM_CHUNK_BYTES - 1) / SIM_CHUNK_BYTES);
        while (b->chunk_count > keep) {
            chunk_unref(b->chunks[--b->chunk_count]);
        }
        /* What a later extension shows again must be zeros. */
        size_t tail = (size_t)(size % SIM_CHUNK_BYTES);
        if (tail > 0 && b->chunk_count == keep && b->chunks[keep - 1] != NULL) {
            memset(chunk_own(b, keep - 1) + tail, 0, SIM_CHUNK_BYTES - tail);
        }
    }
    b->size = size;
}
