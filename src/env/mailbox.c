/* SPDX-License-Identifier: Apache-2.0
 *
 * env/mailbox: see mailbox.h.
 */
#include "env/mailbox.h"

#include "base/limits.h"

void env_mailbox_init(struct env_mailbox *mb)
{
    *mb = (struct env_mailbox){0};
    list_init(&mb->pending);
    list_init(&mb->shared);
    ensure(pthread_mutex_init(&mb->mutex, NULL) == 0);
}

static void drop_all(struct list *l)
{
    LIST_FOREACH (l, n) {
        list_remove(n);
        struct env_mail *m = LIST_ENTRY(n, struct env_mail, node);
        m->drop(m);
    }
}

void env_mailbox_deinit(struct env_mailbox *mb)
{
    ensure(mb->waker == NULL);
    drop_all(&mb->shared);
    drop_all(&mb->pending);
    (void)pthread_mutex_destroy(&mb->mutex);
}

static void count_mail(struct env_mail_count *c, const struct env_mail *m)
{
    c->mails++;
    c->bytes += m->bytes;
}

/* ---- sending ---- */

void env_mailbox_sender_set(struct env_mailbox *mb, struct env *from)
{
    mb->from = from;
}

static void flush(void *arg)
{
    struct env_mailbox *mb = arg;
    mb->is_deferred = false;
    (void)pthread_mutex_lock(&mb->mutex);
    bool was_empty = list_is_empty(&mb->shared);
    list_splice_back(&mb->shared, &mb->pending);
    mb->seen_taken = mb->taken;
    if (was_empty && mb->waker != NULL) {
        mb->waker->ops->wake(mb->waker); /* under the lock: the receiver may not close meanwhile */
    }
    (void)pthread_mutex_unlock(&mb->mutex);
}

void env_mailbox_push(struct env_mailbox *mb, struct env_mail *m)
{
    list_push_back(&mb->pending, &m->node);
    count_mail(&mb->sent, m);
    if (!mb->is_deferred) {
        mb->is_deferred = true;
        mb->from->exec->ops->defer(mb->from->exec, flush, mb);
    }
}

static bool is_below(const struct env_mailbox *mb)
{
    return mb->sent.mails - mb->seen_taken.mails < LIMIT_MAIL_COUNT &&
           mb->sent.bytes - mb->seen_taken.bytes < LIMIT_MAIL_BYTES;
}

bool env_mailbox_has_room(struct env_mailbox *mb)
{
    if (is_below(mb)) {
        return true;
    }
    (void)pthread_mutex_lock(&mb->mutex);
    mb->seen_taken = mb->taken;
    (void)pthread_mutex_unlock(&mb->mutex);
    return is_below(mb);
}

/* ---- receiving ---- */

static void on_wake(void *arg)
{
    struct env_mailbox *mb = arg;
    struct list now;
    list_init(&now);
    (void)pthread_mutex_lock(&mb->mutex);
    list_splice_back(&now, &mb->shared);
    (void)pthread_mutex_unlock(&mb->mutex);
    for (struct list_node *n; (n = list_first(&now)) != NULL;) {
        list_remove(n);
        struct env_mail *m = LIST_ENTRY(n, struct env_mail, node);
        count_mail(&mb->delivered, m);
        m->deliver(m);
    }
    (void)pthread_mutex_lock(&mb->mutex);
    mb->taken = mb->delivered;
    (void)pthread_mutex_unlock(&mb->mutex);
}

int env_mailbox_receiver_open(struct env_mailbox *mb, struct env *to)
{
    struct env_waker *w;
    int err = to->exec->ops->waker_create(to->exec, on_wake, mb, &w);
    if (err != 0) {
        return err;
    }
    (void)pthread_mutex_lock(&mb->mutex);
    mb->waker = w;
    if (!list_is_empty(&mb->shared)) {
        w->ops->wake(w);
    }
    (void)pthread_mutex_unlock(&mb->mutex);
    return 0;
}

void env_mailbox_receiver_close(struct env_mailbox *mb)
{
    (void)pthread_mutex_lock(&mb->mutex);
    struct env_waker *w = mb->waker;
    mb->waker = NULL;
    (void)pthread_mutex_unlock(&mb->mutex);
    if (w != NULL) {
        w->ops->destroy(w);
    }
}
