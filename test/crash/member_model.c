/* SPDX-License-Identifier: Apache-2.0 */
#include "member_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values and steps ---- */

void model_value(const struct model_step *s, struct buf *out)
{
    buf_printf(out, "v%u.", s->value_seed);
    while (out->len < s->value_len) {
        buf_append_byte(out, (uint8_t)('a' + (out->len * 7 + s->value_seed) % 26));
    }
}

static struct model_step *step_begin(struct model *md, enum model_kind kind, const char *key,
                                     uint32_t len)
{
    ensure(md->begun < MODEL_STEPS_MAX);
    struct model_step *s = &md->steps[md->begun];
    *s = (struct model_step){.kind = kind, .value_seed = (uint32_t)md->begun, .value_len = len};
    (void)snprintf(s->key, sizeof(s->key), "%s", key);
    md->begun++;
    return s;
}

static int step_end(struct model *md, int err)
{
    if (err == 0) {
        md->acked = md->begun;
    }
    return err;
}

int model_put(struct model *md, struct member_fixture *m, const char *key, uint32_t len)
{
    struct buf value = BUF_INIT;
    model_value(step_begin(md, MODEL_PUT, key, len), &value);
    int err = step_end(md, mf_put(m, key, buf_cstr(&value)));
    buf_deinit(&value);
    return err;
}

int model_delete(struct model *md, struct member_fixture *m, const char *key)
{
    (void)step_begin(md, MODEL_DELETE, key, 0);
    return step_end(md, mf_delete(m, key));
}

int model_compact(struct model *md, struct member_fixture *m, int64_t rev, bool is_physical)
{
    step_begin(md, MODEL_COMPACT, "", 0)->rev = rev;
    return step_end(md, mf_compact(m, rev, is_physical));
}

int model_burst(struct model *md, struct member_fixture *m, const char *prefix, size_t count)
{
    size_t before = md->begun, acked = 0;
    for (size_t i = 0; i < count; i++) {
        char key[MODEL_KEY_BYTES];
        (void)snprintf(key, sizeof(key), "%.8s%zu", prefix, i);
        struct model_step *s = step_begin(md, MODEL_PUT, key, 0);
        s->value_seed = (uint32_t)before; /* the same value in all */
    }
    struct buf value = BUF_INIT;
    model_value(&md->steps[before], &value);
    int err = mf_put_burst(m, prefix, buf_cstr(&value), count, &acked);
    buf_deinit(&value);
    if (acked > 0) {
        md->acked = before + acked;
    }
    return err;
}

/* ---- states ---- */

struct state {
    const struct model_step *keys[MODEL_KEYS_MAX]; /* last put of each live key, by key */
    size_t count;
    int64_t rev;
    int64_t compact_rev;
};

static size_t state_find(const struct state *st, const char *key, bool *is_there)
{
    size_t i = 0;
    while (i < st->count && strcmp(st->keys[i]->key, key) < 0) {
        i++;
    }
    *is_there = i < st->count && strcmp(st->keys[i]->key, key) == 0;
    return i;
}

static void state_step(struct state *st, const struct model_step *s)
{
    bool is_there;
    size_t i = state_find(st, s->key, &is_there);
    switch (s->kind) {
    case MODEL_PUT:
        if (!is_there) {
            ensure(st->count < MODEL_KEYS_MAX);
            memmove(&st->keys[i + 1], &st->keys[i], (st->count - i) * sizeof(st->keys[0]));
            st->count++;
        }
        st->keys[i] = s;
        st->rev++;
        break;
    case MODEL_DELETE:
        if (is_there) {
            st->count--;
            memmove(&st->keys[i], &st->keys[i + 1], (st->count - i) * sizeof(st->keys[0]));
            st->rev++;
        }
        break;
    case MODEL_COMPACT:
        if (s->rev > st->compact_rev && s->rev <= st->rev) {
            st->compact_rev = s->rev;
        }
        break;
    }
}

static void state_text(const struct state *st, struct buf *out)
{
    struct buf value = BUF_INIT;
    for (size_t i = 0; i < st->count; i++) {
        buf_clear(&value);
        model_value(st->keys[i], &value);
        buf_printf(out, "%s=", st->keys[i]->key);
        buf_append_slice(out, buf_slice(&value));
        buf_append_byte(out, '\n');
    }
    buf_deinit(&value);
}

int model_check(const struct model *md, struct member_fixture *m, struct buf *why)
{
    struct buf found = BUF_INIT, want = BUF_INIT;
    int64_t rev = 0;
    int err = mf_dump(m, &found, &rev);
    if (err != 0) {
        buf_printf(why, "cannot read: %s", err_text(err));
        buf_deinit(&found);
        return err;
    }
    int64_t compact_rev = mvcc_compact_rev(core_store(driver_core(m->driver)));
    struct state *st = mem_zalloc(sizeof(*st));
    st->rev = 1;
    st->compact_rev = -1;
    bool is_match = false;
    for (size_t k = 0; k <= md->begun && !is_match; k++) {
        if (k > 0) {
            state_step(st, &md->steps[k - 1]);
        }
        if (k >= md->acked && st->rev == rev && st->compact_rev == compact_rev) {
            buf_clear(&want);
            state_text(st, &want);
            is_match = slice_equal(buf_slice(&want), buf_slice(&found));
        }
    }
    if (!is_match) {
        buf_printf(
            why,
            "revision %lld, compacted %lld, %zu bytes of pairs: not the state after any k of "
            "the requests, %zu acknowledged <= k <= %zu begun",
            (long long)rev, (long long)compact_rev, found.len, md->acked, md->begun);
        err = ERR_MISMATCH;
    }
    mem_free(st);
    buf_deinit(&found);
    buf_deinit(&want);
    return err;
}
