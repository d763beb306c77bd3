/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/raft_post.h"

struct post *post_create(const struct raft_message *m)
{
    struct post *p = mem_zalloc(sizeof(*p));
    p->t.m = *m;
    store_entries_append(&p->entries, m->entries, m->entry_count);
    p->t.m.entries = p->entries.data;
    if (m->snapshot != NULL) {
        p->snapshot = *m->snapshot;
        p->t.m.snapshot = &p->snapshot;
    }
    return p;
}

void post_destroy(struct post *p)
{
    if (p == NULL) {
        return;
    }
    store_entries_deinit(&p->entries);
    for (size_t i = 0; p->responses != NULL && i < p->t.response_count; i++) {
        store_entries_deinit(&p->responses[i].entries);
    }
    mem_free(p->responses);
    mem_free(p->response_texts);
    mem_free(p);
}

void post_respond(struct post *p, const struct raft_message *m, const struct raft_append_ack *ack)
{
    size_t n = p->t.response_count++;
    p->responses = mem_realloc(p->responses, (n + 1) * sizeof(*p->responses));
    p->response_texts = mem_realloc(p->response_texts, (n + 1) * sizeof(*p->response_texts));
    struct post *copy = post_create(m);
    p->responses[n] = *copy;
    mem_free(copy);
    if (ack != NULL) {
        p->responses[n].ack = *ack;
    }
    for (size_t i = 0; i <= n; i++) { /* the array may have moved */
        struct post *r = &p->responses[i];
        r->t.m.snapshot = r->t.m.snapshot != NULL ? &r->snapshot : NULL;
        p->response_texts[i] = r->t;
    }
    p->t.responses = p->response_texts;
}

void post_queue_push(struct post_queue *q, struct post *p)
{
    ensure(q->len < POST_QUEUE_MAX);
    q->items[q->len++] = p;
}

struct post *post_queue_take(struct post_queue *q, size_t i)
{
    struct post *p = q->items[i];
    q->len--;
    memmove(&q->items[i], &q->items[i + 1], (q->len - i) * sizeof(q->items[0]));
    return p;
}

void post_queue_deinit(struct post_queue *q)
{
    while (q->len > 0) {
        post_destroy(post_queue_take(q, 0));
    }
}
