/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/print.h"

#include <inttypes.h>

#include "cmd/print_impl.h"
#include "cmd/print_text.h"

static const char *const format_names[] = {
    [PRINT_SIMPLE] = "simple", [PRINT_JSON] = "json",         [PRINT_FIELDS] = "fields",
    [PRINT_TABLE] = "table",   [PRINT_PROTOBUF] = "protobuf",
};

bool print_format_parse(struct slice name, enum print_format *out)
{
    for (size_t i = 0; i < ARRAY_LEN(format_names); i++) {
        if (slice_equal_cstr(name, format_names[i])) {
            *out = (enum print_format)i;
            return true;
        }
    }
    return false;
}

void print_unsupported(const struct printer *p, struct buf *out)
{
    buf_printf(out, "%s not supported as output format", format_names[p->format]);
}

int print_raw(struct printer *p, struct slice raw)
{
    buf_append_slice(p->out, raw);
    return 0;
}

/* ---- fields
 * -------------------------------------------------------------------------------------- */

void print_field_i64(struct buf *out, const char *name, int64_t v)
{
    buf_printf(out, "\"%s\" : %" PRId64 "\n", name, v);
}

void print_field_u64(struct buf *out, const char *name, uint64_t v)
{
    buf_printf(out, "\"%s\" : %" PRIu64 "\n", name, v);
}

void print_field_bool(struct buf *out, const char *name, bool v)
{
    buf_printf(out, "\"%s\" : %s\n", name, v ? "true" : "false");
}

void print_field_quoted(struct buf *out, const char *name, struct slice v)
{
    buf_printf(out, "\"%s\" : ", name);
    gotext_quote(out, v);
    buf_append_byte(out, '\n');
}

void print_field_bare(struct buf *out, const char *name, const char *v)
{
    buf_printf(out, "\"%s\" : %s\n", name, v);
}

void print_field_id(struct printer *p, const char *name, uint64_t v, bool is_padded)
{
    if (!p->is_hex) {
        if (is_padded) {
            print_field_i64(p->out, name, (int64_t)v); /* leases are signed */
        } else {
            print_field_u64(p->out, name, v);
        }
    } else if (is_padded) {
        /* Go prints a negative number in hex with its sign. */
        bool is_negative = (int64_t)v < 0;
        buf_printf(p->out, "\"%s\" : %s%0*" PRIx64 "\n", name, is_negative ? "-" : "",
                   is_negative ? 15 : 16, is_negative ? 0 - v : v);
    } else {
        buf_printf(p->out, "\"%s\" : %" PRIx64 "\n", name, v);
    }
}

void print_field_header(struct printer *p, const struct wire_header *h)
{
    print_field_id(p, "ClusterID", h->cluster_id, false);
    print_field_id(p, "MemberID", h->member_id, false);
    if (h->revision > 0) {
        print_field_i64(p->out, "Revision", h->revision);
    }
    print_field_u64(p->out, "RaftTerm", h->raft_term);
}

void print_field_pb_header(struct printer *p, const Etcdserverpb__ResponseHeader *h)
{
    struct wire_header plain = {0};
    if (h != NULL) {
        plain = (struct wire_header){h->cluster_id, h->member_id, h->revision, h->raft_term};
    }
    print_field_header(p, &plain);
}
