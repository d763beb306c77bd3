/* SPDX-License-Identifier: Apache-2.0
 *
 * server/net: the net threads (--net-threads): each a loop of its own and the worker on it.
 *
 * Thread      main loop; open and close of the workers run on theirs.
 */
#include <stdio.h>

#include "os/os.h"
#include "server/internal.h"

static int start_one(struct server *s, struct server_net_thread *t, unsigned number)
{
    char name[16];
    int err = rpc_worker_create(s->rpc, s->config.net_threads, &t->worker);
    if (err != 0) {
        return err;
    }
    (void)snprintf(name, sizeof(name), "cairn-net-%u", number % 1000);
    struct os_thread_options o = {
        .name = name, .setup = rpc_worker_open, .teardown = rpc_worker_close, .arg = t->worker};
    err = os_thread_start(&o, &t->thread);
    if (err != 0) {
        rpc_worker_destroy(t->worker);
    }
    return err;
}

int server_net_start(struct server *s, char *text)
{
    ensure(s->config.net_threads <= SERVER_NET_THREADS_MAX);
    while (s->net_count < s->config.net_threads) {
        int err = start_one(s, &s->net[s->net_count], (unsigned)s->net_count + 1);
        if (err != 0) {
            (void)snprintf(text, DRIVER_TEXT_BYTES, "starting a net thread: %s", os_last_text_go());
            return err;
        }
        s->net_count++;
    }
    return 0;
}

void server_net_stop(struct server *s)
{
    while (s->net_count > 0) {
        struct server_net_thread *t = &s->net[--s->net_count];
        os_thread_join(t->thread);
        rpc_worker_destroy(t->worker);
    }
}
