/* SPDX-License-Identifier: Apache-2.0
 *
 * wal/name: see name.h.
 */
#include "wal/name.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"

enum { HEX_DIGITS = 16 };

void wal_detail_set(struct wal_detail *d, const char *fmt, ...)
{
    if (d == NULL) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(d->text, sizeof(d->text), fmt, ap);
    va_end(ap);
}

void wal_name_format(char out[WAL_NAME_MAX], struct wal_name name)
{
    (void)snprintf(out, WAL_NAME_MAX, "%016" PRIx64 "-%016" PRIx64 ".wal", name.seq, name.index);
}

static bool hex16(const char *s, uint64_t *out)
{
    uint64_t v = 0;
    for (int i = 0; i < HEX_DIGITS; i++) {
        char c = s[i];
        unsigned digit;
        if (c >= '0' && c <= '9') {
            digit = (unsigned)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (unsigned)(c - 'a' + 10);
        } else {
            return false;
        }
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

bool wal_name_parse(const char *text, struct wal_name *out)
{
    struct wal_name n;
    if (strlen(text) != 2 * HEX_DIGITS + 1 + 4 || text[HEX_DIGITS] != '-' ||
        strcmp(text + 2 * HEX_DIGITS + 1, ".wal") != 0 || !hex16(text, &n.seq) ||
        !hex16(text + HEX_DIGITS + 1, &n.index)) {
        return false;
    }
    *out = n;
    return true;
}

void wal_names_deinit(struct wal_names *n)
{
    mem_free(n->items);
    *n = (struct wal_names){NULL, 0, 0};
}

static int names_add(void *arg, const char *text)
{
    struct wal_names *n = arg;
    struct wal_name name;
    if (!wal_name_parse(text, &name)) {
        size_t len = strlen(text);
        if (len < 4 || strcmp(text + len - 4, ".tmp") != 0) {
            log_warn("ignored file in WAL directory", LOG_STR("path", text));
        }
        return 0;
    }
    if (n->count == n->cap) {
        n->cap = n->cap == 0 ? 16 : n->cap * 2;
        n->items = mem_realloc(n->items, n->cap * sizeof(n->items[0]));
    }
    n->items[n->count++] = name;
    return 0;
}

int wal_names_list(struct env_disk *disk, const char *dir, struct wal_names *out,
                   struct wal_detail *detail)
{
    *out = (struct wal_names){NULL, 0, 0};
    int err = disk->ops->list(disk, dir, names_add, out);
    if (err != 0) {
        wal_detail_set(detail, "[readWALNames] cannot list %s: %s", dir,
                       disk->ops->last_text(disk));
    } else if (out->count == 0) {
        wal_detail_set(detail, "wal: file not found");
        err = ERR_NOT_FOUND;
    }
    if (err != 0) {
        wal_names_deinit(out);
    }
    return err;
}

int wal_names_select(const struct wal_names *n, raft_index at, size_t *out_first,
                     struct wal_detail *detail)
{
    size_t first = n->count;
    while (first > 0 && n->items[first - 1].index > at) {
        first--;
    }
    if (first == 0) {
        wal_detail_set(detail, "wal: file not found which matches the snapshot index '%" PRIu64 "'",
                       at);
        return ERR_NOT_FOUND;
    }
    first--;
    for (size_t i = first + 1; i < n->count; i++) {
        if (n->items[i].seq != n->items[i - 1].seq + 1) {
            wal_detail_set(
                detail,
                "wal: file sequence numbers (starting from %zu) do not increase continuously",
                first);
            return ERR_GAP;
        }
    }
    *out_first = first;
    return 0;
}

static int is_wal(void *arg, const char *name)
{
    (void)arg;
    size_t len = strlen(name);
    return len >= 4 && strcmp(name + len - 4, ".wal") == 0;
}

bool wal_exists(struct env_disk *disk, const char *dir)
{
    return disk->ops->list(disk, dir, is_wal, NULL) == 1;
}
