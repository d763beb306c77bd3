/* SPDX-License-Identifier: Apache-2.0
 *
 * member/initial: see initial.h.
 */
#include "member/initial.h"

#include <inttypes.h>

static struct initial_member *find_or_add(struct initial_cluster *ic, struct slice name);

static int refuse(struct buf *error, struct buf *text)
{
    if (error != NULL) {
        buf_append_slice(error, buf_slice(text));
    }
    buf_deinit(text);
    return ERR_INVALID;
}

void initial_cluster_deinit(struct initial_cluster *ic)
{
    for (size_t i = 0; i < ic->count; i++) {
        mem_free(ic->items[i].name);
        strs_deinit(&ic->items[i].urls);
    }
    mem_free(ic->items);
    *ic = (struct initial_cluster){NULL, 0};
}

/* ---- parse ---- */

static void parse_pair(struct initial_cluster *ic, struct slice pair)
{
    if (pair.len == 0) {
        return;
    }
    const uint8_t *eq = memchr(pair.data, '=', pair.len);
    size_t n = eq == NULL ? pair.len : (size_t)(eq - pair.data);
    struct slice url = eq == NULL ? SLICE_LIT("") : slice_skip(pair, n + 1);
    strs_add(&find_or_add(ic, slice_make(pair.data, n))->urls, url);
}

static struct initial_member *find_or_add(struct initial_cluster *ic, struct slice name)
{
    size_t at = 0;
    while (at < ic->count && slice_compare(slice_cstr(ic->items[at].name), name) < 0) {
        at++;
    }
    if (at < ic->count && slice_equal_cstr(name, ic->items[at].name)) {
        return &ic->items[at];
    }
    ic->items = mem_realloc(ic->items, (ic->count + 1) * sizeof(ic->items[0]));
    memmove(&ic->items[at + 1], &ic->items[at], (ic->count - at) * sizeof(ic->items[0]));
    ic->items[at] = (struct initial_member){.name = mem_strndup(name.data, name.len)};
    ic->count++;
    return &ic->items[at];
}

int initial_cluster_parse(const char *text, struct initial_cluster *out, struct buf *error)
{
    struct initial_cluster ic = {NULL, 0};
    for (const char *p = text; p != NULL;) {
        const char *comma = strchr(p, ',');
        parse_pair(&ic, slice_make(p, comma != NULL ? (size_t)(comma - p) : strlen(p)));
        p = comma != NULL ? comma + 1 : NULL;
    }
    int err = 0;
    for (size_t i = 0; err == 0 && i < ic.count; i++) {
        struct strs checked;
        err = urls_check(&ic.items[i].urls, &checked, error);
        if (err == 0) {
            strs_deinit(&ic.items[i].urls);
            ic.items[i].urls = checked;
        }
    }
    if (err != 0) {
        initial_cluster_deinit(&ic);
        return err;
    }
    *out = ic;
    return 0;
}

/* ---- queries ---- */

const struct initial_member *initial_cluster_find(const struct initial_cluster *ic,
                                                  const char *name)
{
    for (size_t i = 0; i < ic->count; i++) {
        if (strcmp(ic->items[i].name, name) == 0) {
            return &ic->items[i];
        }
    }
    return NULL;
}

bool initial_cluster_has_duplicate_url(const struct initial_cluster *ic)
{
    struct strs all = {NULL, 0};
    bool is_double = false;
    for (size_t i = 0; i < ic->count; i++) {
        for (size_t k = 0; k < ic->items[i].urls.count; k++) {
            strs_add(&all, slice_cstr(ic->items[i].urls.items[k]));
        }
    }
    strs_sort(&all);
    for (size_t i = 1; i < all.count; i++) {
        is_double = is_double || strcmp(all.items[i - 1], all.items[i]) == 0;
    }
    strs_deinit(&all);
    return is_double;
}

static void add_pairs(struct strs *pairs, const char *name, const struct strs *urls)
{
    for (size_t i = 0; i < urls->count; i++) {
        struct buf pair = BUF_INIT;
        buf_printf(&pair, "%s=%s", name, urls->items[i]);
        strs_add(pairs, buf_slice(&pair));
        buf_deinit(&pair);
    }
}

/* Sorts and empties pairs. */
static void put_pairs(struct buf *out, struct strs *pairs)
{
    strs_sort(pairs);
    strs_join(out, pairs, ",");
    strs_deinit(pairs);
}

void initial_cluster_text(struct buf *out, const struct initial_cluster *ic)
{
    struct strs pairs = {NULL, 0};
    for (size_t i = 0; i < ic->count; i++) {
        add_pairs(&pairs, ic->items[i].name, &ic->items[i].urls);
    }
    put_pairs(out, &pairs);
}

/* ---- checks ---- */

static int check_local_name(const struct initial_cluster *ic, const char *name, struct buf *error)
{
    if (initial_cluster_find(ic, name) != NULL) {
        return 0;
    }
    struct buf text = BUF_INIT;
    buf_printf(&text, "couldn't find local name \"%s\" in the initial cluster configuration", name);
    return refuse(error, &text);
}

static int check_duplicates(const struct initial_cluster *ic, struct buf *error)
{
    if (!initial_cluster_has_duplicate_url(ic)) {
        return 0;
    }
    struct buf text = BUF_INIT;
    buf_append_cstr(&text, "initial cluster ");
    initial_cluster_text(&text, ic);
    buf_append_cstr(&text, " has duplicate url");
    return refuse(error, &text);
}

/* Items of a that b lacks. */
static struct strs without(const struct strs *a, const struct strs *b)
{
    struct strs out = {NULL, 0};
    for (size_t i = 0; i < a->count; i++) {
        if (!strs_contains(b, a->items[i])) {
            strs_add(&out, slice_cstr(a->items[i]));
        }
    }
    return out;
}

/* The three sentences of etcd for URLs that differ; why: what urls_equal said. */
static int explain_difference(const char *name, const struct strs *advertised,
                              const struct strs *urls, const char *why, struct buf *error)
{
    struct buf text = BUF_INIT;
    struct strs pairs = {NULL, 0};
    struct strs sorted;
    struct strs not_advertised = without(urls, advertised);
    struct strs not_initial = without(advertised, urls);
    strs_copy(&sorted, advertised);
    strs_sort(&sorted);
    if (not_advertised.count > 0) {
        buf_append_cstr(&text, "--initial-cluster has ");
        add_pairs(&pairs, name, &not_advertised);
        strs_join(&text, &pairs, ",");
        strs_deinit(&pairs);
        buf_append_cstr(&text, " but missing from --initial-advertise-peer-urls=");
        strs_join(&text, &sorted, ",");
        buf_printf(&text, " (%s)", why);
    } else if (not_initial.count > 0) {
        buf_append_cstr(&text, "--initial-advertise-peer-urls has ");
        strs_join(&text, &not_initial, ",");
        buf_append_cstr(&text, " but missing from --initial-cluster=");
        add_pairs(&pairs, name, advertised);
        put_pairs(&text, &pairs);
    } else {
        buf_append_cstr(&text, "failed to resolve ");
        strs_join(&text, &sorted, ",");
        buf_append_cstr(&text, " to match --initial-cluster=");
        add_pairs(&pairs, name, advertised);
        put_pairs(&text, &pairs);
        buf_printf(&text, " (%s)", why);
    }
    strs_deinit(&sorted);
    strs_deinit(&not_advertised);
    strs_deinit(&not_initial);
    (void)refuse(error, &text);
    return ERR_MISMATCH;
}

static int check_advertised(const struct initial_member *local, const struct strs *advertised,
                            const struct url_resolver *resolver, struct buf *error)
{
    struct buf why = BUF_INIT;
    int err = urls_equal(advertised, &local->urls, resolver, &why);
    if (err != 0) {
        err = explain_difference(local->name, advertised, &local->urls, buf_cstr(&why), error);
    }
    buf_deinit(&why);
    return err;
}

int initial_cluster_verify_bootstrap(const struct initial_cluster *ic, const char *name,
                                     const struct strs *advertised, bool has_discovery,
                                     const struct url_resolver *resolver, struct buf *error)
{
    int err = check_local_name(ic, name, error);
    if (err == 0) {
        err = check_advertised(initial_cluster_find(ic, name), advertised, resolver, error);
    }
    if (err == 0) {
        err = check_duplicates(ic, error);
    }
    if (err == 0 && ic->count == 0 && !has_discovery) {
        struct buf text = BUF_INIT;
        buf_append_cstr(&text, "initial cluster unset and no discovery endpoints found");
        err = refuse(error, &text);
    }
    return err;
}

int initial_cluster_verify_join(const struct initial_cluster *ic, const char *name,
                                bool has_discovery, struct buf *error)
{
    int err = check_local_name(ic, name, error);
    if (err == 0) {
        err = check_duplicates(ic, error);
    }
    if (err == 0 && has_discovery) {
        struct buf text = BUF_INIT;
        buf_append_cstr(&text,
                        "discovery URL should not be set when joining existing initial cluster");
        err = refuse(error, &text);
    }
    return err;
}

/* ---- members ---- */

static int check_id(const struct membership *ms, uint64_t id, struct buf *error)
{
    struct buf text = BUF_INIT;
    if (id != 0 && membership_find(ms, id) == NULL) {
        return 0;
    }
    if (id == 0) {
        buf_append_cstr(&text, "cannot use 0 as member id");
    } else {
        buf_printf(&text, "member exists with identical ID %" PRIx64, id);
    }
    return refuse(error, &text);
}

int initial_cluster_members(const struct initial_cluster *ic, const char *token,
                            struct membership *out, struct buf *error)
{
    struct membership ms;
    membership_init(&ms);
    for (size_t i = 0; i < ic->count; i++) {
        uint64_t id = member_id_compute(&ic->items[i].urls, token, -1);
        int err = check_id(&ms, id, error);
        if (err != 0) {
            membership_deinit(&ms);
            return err;
        }
        struct member m = {.id = id, .name = mem_strdup(ic->items[i].name)};
        strs_copy(&m.peer_urls, &ic->items[i].urls);
        (void)membership_add(&ms, &m);
    }
    *out = ms;
    return 0;
}

/* The local member with the URLs of theirs, or NULL with the last resolver error in why. */
static const struct member *match_one(const struct membership *local, const struct member *theirs,
                                      const struct url_resolver *resolver, struct buf *why)
{
    for (size_t i = 0; i < local->count; i++) {
        buf_clear(why);
        if (urls_equal(&theirs->peer_urls, &local->members[i].peer_urls, resolver, why) == 0) {
            return &local->members[i];
        }
    }
    return NULL;
}

int membership_match_existing(struct membership *local, const struct membership *existing,
                              const struct url_resolver *resolver, struct buf *error)
{
    struct membership matched;
    struct buf text = BUF_INIT;
    struct buf why = BUF_INIT;
    int err = 0;
    if (local->count != existing->count) {
        buf_append_cstr(&text, "member count is unequal");
        return refuse(error, &text);
    }
    membership_init(&matched);
    for (size_t i = 0; err == 0 && i < existing->count; i++) {
        const struct member *theirs = &existing->members[i];
        const struct member *ours = match_one(local, theirs, resolver, &why);
        if (ours == NULL) {
            buf_printf(&text, "PeerURLs: no match found for existing member (%" PRIx64 ", [",
                       theirs->id);
            strs_join(&text, &theirs->peer_urls, " ");
            buf_printf(&text, "]), last resolver error (%s)", buf_cstr(&why));
            err = refuse(error, &text);
            break;
        }
        struct member m;
        member_copy(&m, ours);
        m.id = theirs->id;
        (void)membership_add(&matched, &m);
    }
    buf_deinit(&why);
    if (err != 0) {
        membership_deinit(&matched);
        return err;
    }
    membership_deinit(local);
    *local = matched;
    return 0;
}
