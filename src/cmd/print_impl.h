/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/print_impl: what the printer files share.
 */
#ifndef CMD_PRINT_IMPL_H
#define CMD_PRINT_IMPL_H

#include <protobuf-c/protobuf-c.h>

#include "cmd/print.h"

/* JSON object of a message by Go's rules (names of the .proto, zero and empty left out), no
 * newline. */
void print_json_message(struct buf *out, const ProtobufCMessage *m);
/* {"cluster_id":..} of a header; "{}" when all is zero. */
void print_json_header(struct buf *out, const struct wire_header *h);
/* The fields of a header without braces, a comma behind each. */
void print_json_header_flat(struct buf *out, const Etcdserverpb__ResponseHeader *h);
/* Writes a comma unless *is_first, which becomes false, then "name": */
void print_json_name(struct buf *out, bool *is_first, const char *name);

/* fields: `"Name" : ` lines. */
void print_field_header(struct printer *p, const struct wire_header *h);
void print_field_pb_header(struct printer *p, const Etcdserverpb__ResponseHeader *h);
void print_field_i64(struct buf *out, const char *name, int64_t v);
void print_field_u64(struct buf *out, const char *name, uint64_t v);
void print_field_bool(struct buf *out, const char *name, bool v);
/* %q */
void print_field_quoted(struct buf *out, const char *name, struct slice v);
/* as it is */
void print_field_bare(struct buf *out, const char *name, const char *v);
/* An id: decimal, or hex in the given form when --hex. */
void print_field_id(struct printer *p, const char *name, uint64_t v, bool is_padded);

/* A table of rows * columns cells. */
struct print_table {
    size_t columns;
    const char *const *headings; /* in capitals */
    struct buf *cells;           /* rows * columns */
    size_t rows;
};
void print_table_init(struct print_table *t, const char *const *headings, size_t columns,
                      size_t rows);
void print_table_deinit(struct print_table *t);
struct buf *print_cell(struct print_table *t, size_t row, size_t column);
void print_table_draw(const struct print_table *t, struct buf *out);
/* "a, b, c" a row. */
void print_table_simple(const struct print_table *t, struct buf *out);

MUST_USE int print_raw(struct printer *p, struct slice raw);

#endif
