/* SPDX-License-Identifier: Apache-2.0 */
#include "load_count.h"

#include "base/bytes.h"
#include "load_conn.h"

enum { WIRE_NUMBER = 0, WIRE_BYTES = 2 };

static void message_over(struct load_count *n)
{
    n->messages++;
    n->head_len = 0;
}

static void head_byte(struct load_count *n, uint8_t byte)
{
    n->head[n->head_len++] = byte;
    if (n->head_len == sizeof(n->head)) {
        n->left = load_be32(n->head + 1);
        n->number = n->shift = n->field = 0;
        if (n->left == 0) {
            message_over(n);
        }
    }
}

/* A tag, a number or a length is whole. */
static void number_over(struct load_count *n)
{
    if (n->field == 0) {
        unsigned type = (unsigned)n->number & 7;
        n->field = (unsigned)(n->number >> 3);
        n->is_body = type == WIRE_BYTES;
        if (n->field == 0 || n->field >= LOAD_COUNT_FIELDS ||
            (type != WIRE_BYTES && type != WIRE_NUMBER)) {
            load_die("a response with the tag %u", (unsigned)n->number);
        }
        n->fields[n->field]++;
        return;
    }
    if (n->is_body) {
        n->skip = n->number;
    } else {
        n->values[n->field] = n->number;
    }
    n->field = 0;
}

static void number_byte(struct load_count *n, uint8_t byte)
{
    n->number |= (uint64_t)(byte & 127) << n->shift;
    n->shift += 7;
    n->left--;
    if (byte < 128) {
        number_over(n);
        n->number = n->shift = 0;
    }
    if (n->left == 0) {
        message_over(n);
    }
}

void load_count_feed(struct load_count *n, struct slice data)
{
    while (data.len > 0) {
        if (n->head_len < sizeof(n->head)) {
            head_byte(n, data.data[0]);
            data = slice_skip(data, 1);
        } else if (n->skip > 0) {
            size_t step = n->skip < data.len ? n->skip : data.len;
            n->skip -= step;
            n->left -= (uint32_t)step;
            data = slice_skip(data, step);
            if (n->left == 0) {
                message_over(n);
            }
        } else {
            number_byte(n, data.data[0]);
            data = slice_skip(data, 1);
        }
    }
}
