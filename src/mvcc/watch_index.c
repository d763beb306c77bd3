/* SPDX-License-Identifier: Apache-2.0 */
#include "mvcc/watch_index.h"

#include "base/buf.h"

enum { WATCH_INDEX_SEED = 5 };

void watch_index_init(struct watch_index *x)
{
    *x = (struct watch_index){.root = NULL};
    prng_init(&x->prng, WATCH_INDEX_SEED);
}

static struct slice key_of(const struct watch_interval *i)
{
    return slice_make(i->bytes, i->key_len);
}

static struct slice end_of(const struct watch_interval *i)
{
    return i->is_single ? key_of(i) : slice_make(i->bytes + i->key_len, i->end_len);
}

/* Ends by what lies below them: a single key ends behind itself, an open end behind all. */
static int end_order(const struct watch_interval *a, const struct watch_interval *b)
{
    if (a->is_open_end || b->is_open_end) {
        return (int)a->is_open_end - (int)b->is_open_end;
    }
    int c = slice_compare(end_of(a), end_of(b));
    return c != 0 ? c : (int)a->is_single - (int)b->is_single;
}

static bool is_below_end(const struct watch_interval *i, struct slice key)
{
    return i->is_open_end || slice_compare(key, end_of(i)) < (int)i->is_single;
}

static int order(const struct watch_interval *a, const struct watch_interval *b)
{
    int c = slice_compare(key_of(a), key_of(b));
    return c != 0 ? c : end_order(a, b);
}

static void top_set(struct watch_interval *i)
{
    i->top = i;
    if (i->left != NULL && end_order(i->left->top, i->top) > 0) {
        i->top = i->left->top;
    }
    if (i->right != NULL && end_order(i->right->top, i->top) > 0) {
        i->top = i->right->top;
    }
}

static struct watch_interval *join(struct watch_interval *a, struct watch_interval *b)
{
    if (a == NULL || b == NULL) {
        return a != NULL ? a : b;
    }
    if (a->priority >= b->priority) {
        a->right = join(a->right, b);
        top_set(a);
        return a;
    }
    b->left = join(a, b->left);
    top_set(b);
    return b;
}

/* What is below `at`, and the rest. */
static void split(struct watch_interval *i, const struct watch_interval *at,
                  struct watch_interval **below, struct watch_interval **rest)
{
    if (i == NULL) {
        *below = *rest = NULL;
        return;
    }
    if (order(i, at) < 0) {
        split(i->right, at, &i->right, rest);
        *below = i;
    } else {
        split(i->left, at, below, &i->left);
        *rest = i;
    }
    top_set(i);
}

static struct watch_interval *insert(struct watch_interval *at, struct watch_interval *i)
{
    if (at == NULL || i->priority > at->priority) {
        split(at, i, &i->left, &i->right);
        top_set(i);
        return i;
    }
    if (order(i, at) < 0) {
        at->left = insert(at->left, i);
    } else {
        at->right = insert(at->right, i);
    }
    top_set(at);
    return at;
}

static struct watch_interval *interval_make(struct watch_index *x, struct slice key,
                                            struct slice end, bool is_single, bool is_open_end)
{
    size_t end_len = is_single || is_open_end ? 0 : end.len;
    struct watch_interval *i = mem_zalloc(sizeof(*i) + key.len + end_len);
    for (int side = 0; side < WATCH_SIDES; side++) {
        list_init(&i->sides[side]);
    }
    i->priority = (uint32_t)prng_next(&x->prng);
    i->key_len = (uint32_t)key.len;
    i->end_len = (uint32_t)end_len;
    i->is_single = is_single;
    i->is_open_end = is_open_end;
    memcpy(i->bytes, key.data, key.len);
    if (end_len > 0) {
        memcpy(i->bytes + key.len, end.data, end_len);
    }
    return i;
}

struct watch_interval *watch_index_take(struct watch_index *x, struct slice key, struct slice end,
                                        bool is_single, bool is_open_end)
{
    struct watch_interval *made = interval_make(x, key, end, is_single, is_open_end);
    struct watch_interval *i = x->root;
    while (i != NULL) {
        int c = order(made, i);
        if (c == 0) {
            mem_free(made);
            return i;
        }
        i = c < 0 ? i->left : i->right;
    }
    x->root = insert(x->root, made);
    x->count++;
    return made;
}

static struct watch_interval *cut(struct watch_interval *at, const struct watch_interval *i)
{
    ensure(at != NULL);
    if (at == i) {
        return join(at->left, at->right);
    }
    if (order(i, at) < 0) {
        at->left = cut(at->left, i);
    } else {
        at->right = cut(at->right, i);
    }
    top_set(at);
    return at;
}

void watch_index_drop(struct watch_index *x, struct watch_interval *i)
{
    if (list_is_empty(&i->sides[WATCH_LIVE]) && list_is_empty(&i->sides[WATCH_BEHIND])) {
        x->root = cut(x->root, i);
        x->count--;
        mem_free(i);
    }
}

static void find(struct watch_interval *i, struct slice key,
                 void (*fn)(void *arg, struct watch_interval *i), void *arg)
{
    while (i != NULL && is_below_end(i->top, key)) {
        find(i->left, key, fn, arg);
        if (slice_compare(key_of(i), key) > 0) {
            return;
        }
        if (is_below_end(i, key)) {
            fn(arg, i);
        }
        i = i->right;
    }
}

void watch_index_find(const struct watch_index *x, struct slice key,
                      void (*fn)(void *arg, struct watch_interval *i), void *arg)
{
    find(x->root, key, fn, arg);
}

static size_t check(const struct watch_interval *i)
{
    if (i == NULL) {
        return 0;
    }
    ensure(!list_is_empty(&i->sides[WATCH_LIVE]) || !list_is_empty(&i->sides[WATCH_BEHIND]));
    ensure(i->left == NULL || (order(i->left, i) < 0 && i->left->priority <= i->priority &&
                               end_order(i->left->top, i->top) <= 0));
    ensure(i->right == NULL || (order(i->right, i) > 0 && i->right->priority <= i->priority &&
                                end_order(i->right->top, i->top) <= 0));
    ensure(end_order(i, i->top) <= 0);
    return 1 + check(i->left) + check(i->right);
}

void watch_index_check(const struct watch_index *x)
{
    ensure(check(x->root) == x->count);
}
