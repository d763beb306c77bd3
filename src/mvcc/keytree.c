/* SPDX-License-Identifier: Apache-2.0 */
#include "mvcc/keytree.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/bytes.h"

enum {
    FANOUT = KEYTREE_FANOUT,
    HEAD_BYTES = 4,
    MERGE_BELOW = FANOUT / 4,     /* a node with fewer looks for a neighbour ... */
    MERGE_UP_TO = FANOUT * 3 / 4, /* ... that gives no more than this together */
};

struct keyinner;
struct keyleaf;

/* The common part. */
struct keynode {
    uint32_t skip; /* bytes that all keys of the node share (inner: separators 1..count-1) */
    uint16_t count;
    bool is_leaf;
    uint32_t heads[FANOUT];
};

struct keyleaf {
    struct keynode node;
    struct keyrec *recs[FANOUT];
};

struct keyinner {
    struct keynode node; /* heads[0] is not used */
    struct keynode *children[FANOUT];
    struct keysum sums[FANOUT];
    struct slice seps[FANOUT]; /* [0] empty; owned */
};

static struct keyleaf *leaf_of(struct keynode *n)
{
    return (struct keyleaf *)(void *)n;
}

static struct keyinner *inner_of(struct keynode *n)
{
    return (struct keyinner *)(void *)n;
}

struct keysum keyrec_sum(const struct keyrec *k)
{
    if (!keyrec_is_live(k)) {
        return (struct keysum){0, 0};
    }
    uint32_t len = keyrec_revs(k)[k->count - 1].len;
    return (struct keysum){1, 1 + varint_len(len) + (uint64_t)len};
}

static struct keysum sum_add(struct keysum a, struct keysum b)
{
    return (struct keysum){a.count + b.count, a.bytes + b.bytes};
}

/* ---- heads ---- */

static uint32_t head_of(struct slice key, uint32_t skip)
{
    if (key.len >= (size_t)skip + HEAD_BYTES) {
        return load_be32(key.data + skip);
    }
    if (key.len <= skip) {
        return 0;
    }
    uint8_t b[HEAD_BYTES] = {0};
    memcpy(b, key.data + skip, key.len - skip);
    return load_be32(b);
}

static uint32_t shared_prefix(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    size_t i = 0;
    while (i < n && a.data[i] == b.data[i]) {
        i++;
    }
    return (uint32_t)i;
}

static unsigned first_slot(const struct keynode *n)
{
    return n->is_leaf ? 0 : 1;
}

static struct slice key_at(const struct keynode *n, unsigned i)
{
    if (n->is_leaf) {
        return keyrec_key(((const struct keyleaf *)(const void *)n)->recs[i]);
    }
    return ((const struct keyinner *)(const void *)n)->seps[i];
}

static void heads_remake(struct keynode *n)
{
    unsigned from = first_slot(n);
    if (n->count <= from) {
        n->skip = 0;
        return;
    }
    n->skip = shared_prefix(key_at(n, from), key_at(n, n->count - 1u));
    for (unsigned i = from; i < n->count; i++) {
        n->heads[i] = head_of(key_at(n, i), n->skip);
    }
}

/* After a key came in at slot i. */
static void head_added(struct keynode *n, unsigned i)
{
    struct slice key = key_at(n, i);
    unsigned from = first_slot(n);
    unsigned other = i == from ? from + 1 : from;
    if (n->count == from + 1 || shared_prefix(key, key_at(n, other)) < n->skip) {
        heads_remake(n);
    } else {
        n->heads[i] = head_of(key, n->skip);
    }
}

/* ---- search ---- */

/* The first of len heads that is >= head: no branch depends on the data. */
static unsigned heads_bound(const uint32_t *heads, unsigned len, uint32_t head)
{
    const uint32_t *at = heads;
    while (len > 1) {
        unsigned half = len / 2;
        at += at[half - 1] < head ? half : 0;
        len -= half;
    }
    return (unsigned)(at - heads) + (len == 1 && *at < head ? 1 : 0);
}

/* Is key below (-1) or above (1) everything that has the prefix of the node, or does it have it? */
static int prefix_compare(const struct keynode *n, struct slice first, struct slice key)
{
    if (key.len < n->skip) {
        return slice_compare(key, slice_make(first.data, n->skip));
    }
    return n->skip == 0 ? 0 : memcmp(key.data, first.data, n->skip);
}

/* The first slot whose key is >= key (or > key if after_equal). */
static unsigned node_bound(const struct keynode *n, struct slice key, bool after_equal)
{
    unsigned from = first_slot(n);
    if (n->count <= from) {
        return from;
    }
    int side = prefix_compare(n, key_at(n, from), key);
    if (side != 0) {
        return side < 0 ? from : n->count;
    }
    uint32_t head = head_of(key, n->skip);
    unsigned lo = from + heads_bound(n->heads + from, n->count - from, head);
    unsigned hi = lo;
    while (hi < n->count && n->heads[hi] == head) {
        hi++;
    }
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        int c = slice_compare(key_at(n, mid), key);
        if (c < 0 || (c == 0 && after_equal)) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static unsigned child_of(const struct keynode *n, struct slice key)
{
    return node_bound(n, key, true) - 1;
}

/* child_of without a look at the shared prefix, which lies in other memory.  Right for every key
 * that has the prefix; for another the way ends in some leaf, where the key is not found. */
static unsigned child_guess(const struct keynode *n, struct slice key)
{
    uint32_t head = head_of(key, n->skip);
    unsigned i = n->count <= 1 ? 1 : 1 + heads_bound(n->heads + 1, n->count - 1u, head);
    while (i < n->count && n->heads[i] == head && slice_compare(key_at(n, i), key) <= 0) {
        i++;
    }
    return i - 1;
}

/* The position of key in the leaf if it is there, else its count. */
static unsigned leaf_guess(const struct keynode *n, struct slice key)
{
    uint32_t head = head_of(key, n->skip);
    unsigned i = heads_bound(n->heads, n->count, head);
    for (; i < n->count && n->heads[i] == head; i++) {
        if (slice_equal(key_at(n, i), key)) {
            return i;
        }
    }
    return n->count;
}

static struct keynode *descend(const struct keytree *t, struct slice key, struct keytree_path *out)
{
    struct keynode *n = t->root;
    for (unsigned i = 0; i < t->height; i++) {
        unsigned c = child_of(n, key);
        out->inner[i] = n;
        out->child[i] = (uint8_t)c;
        n = inner_of(n)->children[c];
    }
    out->leaf = n;
    return n;
}

/* The way of the guesses; NULL says nothing: the key may be there all the same. */
static struct keyrec *find_guess(const struct keytree *t, struct slice key,
                                 struct keytree_path *out)
{
    struct keynode *n = t->root;
    for (unsigned i = 0; i < t->height; i++) {
        unsigned c = child_guess(n, key);
        out->inner[i] = n;
        out->child[i] = (uint8_t)c;
        n = inner_of(n)->children[c];
    }
    out->leaf = n;
    out->at = leaf_guess(n, key);
    return out->at < n->count ? leaf_of(n)->recs[out->at] : NULL;
}

struct keyrec *keytree_find(const struct keytree *t, struct slice key, struct keytree_path *out)
{
    struct keyrec *found = find_guess(t, key, out);
    if (found != NULL) {
        return found;
    }
    struct keynode *n = descend(t, key, out);
    out->at = node_bound(n, key, false);
    if (out->at < n->count) {
        struct keyrec *rec = leaf_of(n)->recs[out->at];
        if (slice_equal(keyrec_key(rec), key)) {
            return rec;
        }
    }
    return NULL;
}

struct keyrec *keytree_get(const struct keytree *t, struct slice key)
{
    struct keytree_path path;
    return keytree_find(t, key, &path);
}

/* To the first record of the next leaf, or NULL. */
static struct keyrec *next_leaf(const struct keytree *t, struct keytree_path *p)
{
    unsigned i = t->height;
    while (i > 0 && p->child[i - 1] + 1u >= p->inner[i - 1]->count) {
        i--;
    }
    if (i == 0) {
        return NULL;
    }
    struct keynode *n = inner_of(p->inner[i - 1])->children[++p->child[i - 1]];
    for (; i < t->height; i++) {
        p->inner[i] = n;
        p->child[i] = 0;
        n = inner_of(n)->children[0];
    }
    p->leaf = n;
    p->at = 0;
    return leaf_of(n)->recs[0];
}

struct keyrec *keytree_seek(const struct keytree *t, struct slice key, struct keytree_path *out)
{
    struct keynode *n = descend(t, key, out);
    out->at = node_bound(n, key, false);
    return out->at < n->count ? leaf_of(n)->recs[out->at] : next_leaf(t, out);
}

struct keyrec *keytree_next(const struct keytree *t, struct keytree_path *path)
{
    struct keyleaf *leaf = leaf_of(path->leaf);
    if (++path->at < leaf->node.count) {
        if (path->at + 4u < leaf->node.count) {
            __builtin_prefetch(leaf->recs[path->at + 4]);
        }
        return leaf->recs[path->at];
    }
    return next_leaf(t, path);
}

struct slice keytree_leaf_last(const struct keytree_path *path)
{
    return key_at(path->leaf, path->leaf->count - 1u);
}

struct keysum keytree_rank(const struct keytree *t, struct slice key)
{
    struct keysum sum = {0, 0};
    struct keynode *n = t->root;
    for (unsigned h = t->height; h > 0; h--) {
        unsigned c = child_of(n, key);
        for (unsigned i = 0; i < c; i++) {
            sum = sum_add(sum, inner_of(n)->sums[i]);
        }
        n = inner_of(n)->children[c];
    }
    unsigned at = node_bound(n, key, false);
    for (unsigned i = 0; i < at; i++) {
        sum = sum_add(sum, keyrec_sum(leaf_of(n)->recs[i]));
    }
    return sum;
}

/* ---- changes ---- */

static struct keyleaf *leaf_create(void)
{
    struct keyleaf *l = mem_alloc(sizeof(*l));
    l->node.skip = 0;
    l->node.count = 0;
    l->node.is_leaf = true;
    return l;
}

static struct keyinner *inner_create(void)
{
    struct keyinner *n = mem_alloc(sizeof(*n));
    n->node.skip = 0;
    n->node.count = 0;
    n->node.is_leaf = false;
    return n;
}

void keytree_init(struct keytree *t)
{
    *t = (struct keytree){&leaf_create()->node, 0, 0, {0, 0}};
}

static void node_destroy(struct keynode *n)
{
    for (unsigned i = 0; i < n->count; i++) {
        if (n->is_leaf) {
            keyrec_destroy(leaf_of(n)->recs[i]);
        } else {
            mem_free((void *)(uintptr_t)inner_of(n)->seps[i].data);
            node_destroy(inner_of(n)->children[i]);
        }
    }
    mem_free(n);
}

void keytree_deinit(struct keytree *t)
{
    if (t->root != NULL) {
        node_destroy(t->root);
    }
    *t = (struct keytree){0};
}

static struct keysum node_sum(struct keynode *n)
{
    struct keysum sum = {0, 0};
    for (unsigned i = 0; i < n->count; i++) {
        sum = sum_add(sum, n->is_leaf ? keyrec_sum(leaf_of(n)->recs[i]) : inner_of(n)->sums[i]);
    }
    return sum;
}

/* before leaves and after comes in below path. */
static void sums_change(struct keytree *t, const struct keytree_path *path, struct keysum before,
                        struct keysum after)
{
    for (unsigned i = 0; i < t->height; i++) {
        struct keysum *s = &inner_of(path->inner[i])->sums[path->child[i]];
        s->count += after.count - before.count;
        s->bytes += after.bytes - before.bytes;
    }
    t->live.count += after.count - before.count;
    t->live.bytes += after.bytes - before.bytes;
}

void keytree_replace(struct keytree *t, const struct keytree_path *path, struct keyrec *rec,
                     struct keysum before)
{
    leaf_of(path->leaf)->recs[path->at] = rec;
    sums_change(t, path, before, keyrec_sum(rec));
}

static struct slice sep_copy(struct slice s)
{
    return slice_make(mem_strndup(s.data, s.len), s.len);
}

/* The shortest separator: a prefix of right's first key that is above left's last. */
static struct slice sep_between(struct slice left_last, struct slice right_first)
{
    return sep_copy(slice_make(right_first.data, shared_prefix(left_last, right_first) + 1u));
}

static void leaf_put(struct keyleaf *l, unsigned at, struct keyrec *rec)
{
    unsigned tail = l->node.count - at;
    memmove(&l->recs[at + 1], &l->recs[at], tail * sizeof(l->recs[0]));
    memmove(&l->node.heads[at + 1], &l->node.heads[at], tail * sizeof(l->node.heads[0]));
    l->recs[at] = rec;
    l->node.count++;
    head_added(&l->node, at);
}

static void inner_put(struct keyinner *n, unsigned at, struct slice sep, struct keynode *child,
                      struct keysum sum)
{
    unsigned tail = n->node.count - at;
    memmove(&n->children[at + 1], &n->children[at], tail * sizeof(n->children[0]));
    memmove(&n->sums[at + 1], &n->sums[at], tail * sizeof(n->sums[0]));
    memmove(&n->seps[at + 1], &n->seps[at], tail * sizeof(n->seps[0]));
    memmove(&n->node.heads[at + 1], &n->node.heads[at], tail * sizeof(n->node.heads[0]));
    n->children[at] = child;
    n->sums[at] = sum;
    n->seps[at] = sep;
    n->node.count++;
    head_added(&n->node, at);
}

/* Moves the slots [from, count) of l into a new leaf. */
static struct keyleaf *leaf_split(struct keyleaf *l, unsigned from)
{
    struct keyleaf *r = leaf_create();
    r->node.count = (uint16_t)(l->node.count - from);
    memcpy(r->recs, &l->recs[from], r->node.count * sizeof(r->recs[0]));
    l->node.count = (uint16_t)from;
    heads_remake(&l->node);
    heads_remake(&r->node);
    return r;
}

/* Moves [from, count) into a new node; out_sep: what stood before them. */
static struct keyinner *inner_split(struct keyinner *n, unsigned from, struct slice *out_sep)
{
    struct keyinner *r = inner_create();
    unsigned moved = n->node.count - from;
    memcpy(r->children, &n->children[from], moved * sizeof(r->children[0]));
    memcpy(r->sums, &n->sums[from], moved * sizeof(r->sums[0]));
    memcpy(r->seps, &n->seps[from], moved * sizeof(r->seps[0]));
    *out_sep = r->seps[0];
    r->seps[0] = SLICE_NULL;
    r->node.count = (uint16_t)moved;
    n->node.count = (uint16_t)from;
    heads_remake(&n->node);
    heads_remake(&r->node);
    return r;
}

static void root_grow(struct keytree *t, struct slice sep, struct keynode *right)
{
    ensure(t->height < KEYTREE_HEIGHT_MAX);
    struct keyinner *root = inner_create();
    root->children[0] = t->root;
    root->sums[0] = node_sum(t->root);
    root->seps[0] = SLICE_NULL;
    root->node.count = 1;
    inner_put(root, 1, sep, right, node_sum(right));
    t->root = &root->node;
    t->height++;
}

/* right comes in behind the child that path took, level by level. */
static void split_up(struct keytree *t, struct keytree_path *path, struct slice sep,
                     struct keynode *right)
{
    for (unsigned i = t->height; i > 0; i--) {
        struct keyinner *n = inner_of(path->inner[i - 1]);
        unsigned at = path->child[i - 1] + 1u;
        n->sums[at - 1] = node_sum(n->children[at - 1]);
        if (n->node.count < FANOUT) {
            inner_put(n, at, sep, right, node_sum(right));
            return;
        }
        if (at == FANOUT) {
            /* Keys in order: the full node stays full. */
            struct keyinner *r = inner_create();
            r->children[0] = right;
            r->sums[0] = node_sum(right);
            r->seps[0] = SLICE_NULL;
            r->node.count = 1;
            right = &r->node;
            continue;
        }
        struct slice up;
        struct keyinner *r = inner_split(n, FANOUT / 2, &up);
        if (at <= FANOUT / 2) {
            inner_put(n, at, sep, right, node_sum(right));
        } else {
            inner_put(r, at - FANOUT / 2, sep, right, node_sum(right));
        }
        sep = up;
        right = &r->node;
    }
    root_grow(t, sep, right);
}

void keytree_insert(struct keytree *t, struct keytree_path *path, struct keyrec *rec)
{
    struct keyleaf *l = leaf_of(path->leaf);
    unsigned at = path->at;
    t->key_count++;
    sums_change(t, path, (struct keysum){0, 0}, keyrec_sum(rec));
    if (l->node.count < FANOUT) {
        leaf_put(l, at, rec);
        return;
    }
    struct keyleaf *r = leaf_split(l, at == FANOUT ? FANOUT : FANOUT / 2);
    if (at == FANOUT) {
        leaf_put(r, 0, rec);
    } else if (at <= FANOUT / 2) {
        leaf_put(l, at, rec);
    } else {
        leaf_put(r, at - FANOUT / 2, rec);
    }
    struct slice sep = sep_between(key_at(&l->node, l->node.count - 1u), key_at(&r->node, 0));
    split_up(t, path, sep, &r->node);
}

/* ---- removal ---- */

static void inner_drop(struct keyinner *n, unsigned at)
{
    unsigned tail = n->node.count - at - 1u;
    mem_free((void *)(uintptr_t)n->seps[at].data);
    memmove(&n->children[at], &n->children[at + 1], tail * sizeof(n->children[0]));
    memmove(&n->sums[at], &n->sums[at + 1], tail * sizeof(n->sums[0]));
    memmove(&n->seps[at], &n->seps[at + 1], tail * sizeof(n->seps[0]));
    n->node.count--;
    if (at == 0 && n->node.count > 0) {
        mem_free((void *)(uintptr_t)n->seps[0].data);
        n->seps[0] = SLICE_NULL;
    }
    heads_remake(&n->node);
}

static void leaf_merge(struct keyleaf *l, struct keyleaf *r)
{
    memcpy(&l->recs[l->node.count], r->recs, r->node.count * sizeof(r->recs[0]));
    l->node.count = (uint16_t)(l->node.count + r->node.count);
    heads_remake(&l->node);
    mem_free(r);
}

/* sep: what stands between l and r. */
static void inner_merge(struct keyinner *l, struct keyinner *r, struct slice sep)
{
    unsigned at = l->node.count;
    memcpy(&l->children[at], r->children, r->node.count * sizeof(r->children[0]));
    memcpy(&l->sums[at], r->sums, r->node.count * sizeof(r->sums[0]));
    memcpy(&l->seps[at], r->seps, r->node.count * sizeof(r->seps[0]));
    l->seps[at] = sep_copy(sep);
    l->node.count = (uint16_t)(at + r->node.count);
    heads_remake(&l->node);
    mem_free(r);
}

/* Merges child `left` of p with the one behind it, if together they are small. */
static bool maybe_merge(struct keyinner *p, unsigned left)
{
    struct keynode *l = p->children[left];
    struct keynode *r = p->children[left + 1];
    if (l->count + r->count > MERGE_UP_TO) {
        return false;
    }
    if (l->is_leaf) {
        leaf_merge(leaf_of(l), leaf_of(r));
    } else {
        inner_merge(inner_of(l), inner_of(r), p->seps[left + 1]);
    }
    p->sums[left] = sum_add(p->sums[left], p->sums[left + 1]);
    inner_drop(p, left + 1);
    return true;
}

static void shrink_up(struct keytree *t, struct keytree_path *path)
{
    for (unsigned i = t->height; i > 0; i--) {
        struct keyinner *p = inner_of(path->inner[i - 1]);
        unsigned at = path->child[i - 1];
        struct keynode *n = p->children[at];
        if (n->count == 0) {
            mem_free(n);
            inner_drop(p, at);
        } else if (n->count < MERGE_BELOW) {
            bool is_merged = at + 1u < p->node.count && maybe_merge(p, at);
            if (!is_merged && at > 0) {
                (void)maybe_merge(p, at - 1);
            }
        }
    }
    while (t->height > 0 && t->root->count <= 1) {
        struct keyinner *root = inner_of(t->root);
        if (root->node.count == 0) {
            t->root = &leaf_create()->node;
            t->height = 0;
        } else {
            t->root = root->children[0];
            t->height--;
        }
        mem_free(root);
    }
}

void keytree_remove(struct keytree *t, struct keytree_path *path, struct keysum before)
{
    struct keyleaf *l = leaf_of(path->leaf);
    unsigned tail = l->node.count - path->at - 1u;
    sums_change(t, path, before, (struct keysum){0, 0});
    memmove(&l->recs[path->at], &l->recs[path->at + 1], tail * sizeof(l->recs[0]));
    memmove(&l->node.heads[path->at], &l->node.heads[path->at + 1],
            tail * sizeof(l->node.heads[0]));
    l->node.count--;
    t->key_count--;
    shrink_up(t, path);
}

/* ---- check ---- */

struct check {
    struct slice last; /* greatest key so far */
    bool has_last;
    uint64_t key_count;
};

static void heads_check(const struct keynode *n)
{
    for (unsigned i = first_slot(n); i < n->count; i++) {
        struct slice key = key_at(n, i);
        ensure(key.len >= n->skip);
        ensure(n->skip == 0 || memcmp(key.data, key_at(n, first_slot(n)).data, n->skip) == 0);
        ensure(n->heads[i] == head_of(key, n->skip));
    }
}

static void leaf_check(struct keyleaf *l, struct check *c)
{
    for (unsigned i = 0; i < l->node.count; i++) {
        struct slice key = keyrec_key(l->recs[i]);
        ensure(!c->has_last || slice_compare(c->last, key) < 0);
        c->last = key;
        c->has_last = true;
        c->key_count++;
        keyrec_check(l->recs[i]);
    }
}

static struct keysum node_check(struct keynode *n, unsigned height, struct check *c)
{
    ensure(n->is_leaf == (height == 0) && n->count <= FANOUT);
    heads_check(n);
    if (n->is_leaf) {
        leaf_check(leaf_of(n), c);
        return node_sum(n);
    }
    struct keyinner *in = inner_of(n);
    ensure(n->count > 0 && in->seps[0].data == NULL);
    for (unsigned i = 0; i < n->count; i++) {
        ensure(i == 0 || slice_compare(c->last, in->seps[i]) < 0);
        struct keynode *child = in->children[i];
        ensure(child->count > 0);
        struct slice first = child->is_leaf ? key_at(child, 0) : SLICE_NULL;
        ensure(i == 0 || !child->is_leaf || slice_compare(in->seps[i], first) <= 0);
        struct keysum sum = node_check(child, height - 1, c);
        ensure(sum.count == in->sums[i].count && sum.bytes == in->sums[i].bytes);
    }
    return node_sum(n);
}

void keytree_check(const struct keytree *t)
{
    struct check c = {SLICE_NULL, false, 0};
    struct keysum sum = node_check(t->root, t->height, &c);
    ensure(sum.count == t->live.count && sum.bytes == t->live.bytes);
    ensure(c.key_count == t->key_count);
}
