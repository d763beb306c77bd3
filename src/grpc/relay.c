/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc/relay: life of a relay, and its mails.  Mails are recycled where they arrive: as every
 * request has a reply, the two sides feed each other's pool.
 */
#include "grpc/relay.h"

#include "base/limits.h"
#include "grpc/relay_private.h"

/* ---- mails ---- */

static void mail_free(struct relay_mail *m)
{
    buf_deinit(&m->bytes);
    mem_free(m->parts);
    mem_free(m);
}

static void forget_references(struct relay_mail *m)
{
    for (size_t i = 0; i < m->part_count; i++) {
        rcbuf_unref(m->parts[i].owner);
    }
    m->part_count = 0;
    rcbuf_unref(m->owner);
    m->owner = NULL;
}

static void mail_drop(struct env_mail *mail)
{
    struct relay_mail *m = container_of(mail, struct relay_mail, mail);
    forget_references(m);
    mail_free(m);
}

struct relay_mail *relay_mail_get(struct grpc_relay *r, struct relay_pool *pool,
                                  enum relay_kind kind, uint64_t id)
{
    struct relay_mail *m;
    struct list_node *n = list_first(&pool->mails);
    if (n == NULL) {
        m = mem_zalloc(sizeof(*m));
        m->mail.drop = mail_drop;
    } else {
        list_remove(n);
        pool->count--;
        m = container_of(LIST_ENTRY(n, struct env_mail, node), struct relay_mail, mail);
    }
    m->relay = r;
    m->kind = kind;
    m->id = id;
    m->has_message = m->is_last = false;
    buf_clear(&m->bytes);
    return m;
}

void relay_mail_put(struct relay_pool *pool, struct relay_mail *m)
{
    forget_references(m);
    if (pool->count >= RELAY_MAILS_KEPT) {
        mail_free(m);
        return;
    }
    if (m->bytes.cap > RELAY_MAIL_BUF_KEPT) {
        buf_deinit(&m->bytes);
    }
    list_push_front(&pool->mails, &m->mail.node);
    pool->count++;
}

static void pool_deinit(struct relay_pool *pool)
{
    LIST_FOREACH (&pool->mails, n) {
        list_remove(n);
        mail_drop(LIST_ENTRY(n, struct env_mail, node));
    }
}

static void deliver_up(struct env_mail *mail)
{
    relay_home_deliver(container_of(mail, struct relay_mail, mail));
}

static void deliver_down(struct env_mail *mail)
{
    relay_net_deliver(container_of(mail, struct relay_mail, mail));
}

static void push(struct env_mailbox *mb, struct relay_mail *m)
{
    m->mail.bytes = m->bytes.len;
    env_mailbox_push(mb, &m->mail);
}

void relay_push_up(struct relay_mail *m)
{
    m->mail.deliver = deliver_up;
    push(m->relay->up, m);
}

void relay_push_down(struct relay_mail *m)
{
    m->mail.deliver = deliver_down;
    push(m->relay->down, m);
}

/* ---- life ---- */

struct grpc_relay *grpc_relay_create(struct grpc_server *home, unsigned shares,
                                     struct env_mailbox *up, struct env_mailbox *down)
{
    struct grpc_relay *r = mem_zalloc(sizeof(*r));
    r->home = home;
    r->shares = shares;
    r->up = up;
    r->down = down;
    r->conn.server = home;
    list_init(&r->net_pool.mails);
    list_init(&r->home_pool.mails);
    list_init(&r->rooms);
    list_init(&r->free_calls);
    list_init(&r->pumps);
    return r;
}

struct grpc_server *grpc_relay_open(struct grpc_relay *r, struct env *env)
{
    struct grpc_server_options o = r->home->opts;
    o.on_handled = NULL; /* home's, as admit */
    o.admit = NULL;
    o.response_bytes_max /= r->shares;
    o.held_bytes_max /= r->shares;
    o.streams_max /= r->shares;
    r->net = grpc_server_create(env, &o);
    relay_net_methods(r);
    return r->net;
}

void grpc_relay_close(struct grpc_relay *r)
{
    grpc_server_destroy(r->net);
    r->net = NULL;
    mem_free(r->methods);
    pool_deinit(&r->net_pool);
}

void grpc_relay_destroy(struct grpc_relay *r)
{
    ensure(r->net == NULL);
    relay_home_deinit(r);
    pool_deinit(&r->home_pool);
    mem_free(r);
}
