/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/truth: what must hold of all members together, looked at after every step of one of them.
 *
 *   one leader a term             leader_look
 *   one vote a term               truth_sent (also over restarts)
 *   log matching                  log_look: (term, index) has one content and one predecessor
 *   committed entries stay        committed_look: equal on every member, for ever
 *   what was promised is kept     truth_begin: a log is not behind what its member acknowledged
 *   state = model at applied      applied_look: revision, compact revision; truth_compare: contents
 *   file behind the own log       applied_look
 *   leases never early            revoked
 */
#include "core/internal.h"

#include <inttypes.h>

#include "base/hash.h"
#include "bolt/bolt.h"
#include "mvcc/hash.h"
#include "sim/disk.h"
#include "sim/run.h"
#include "wal/wal.h"

enum { TERM_BITS = 40, EARLY_ELECTIONS = 3 };

static uint64_t entry_digest(const struct raft_entry *e, raft_term before)
{
    const uint64_t numbers[] = {e->term, e->index, (uint64_t)e->type, before};
    uint64_t h = fnv1a64(numbers, sizeof(numbers));
    return fnv1a64_more(h, e->data.data, e->data.len) | 1;
}

/* An entry as some log has it; entries of a term and index are all the same one. */
struct seen_entry {
    uint64_t digest;
    struct raft_entry entry; /* data is a copy */
};

static struct seen_entry *seen_add(struct run *r, const struct raft_entry *e, uint64_t digest)
{
    struct seen_entry *k = mem_alloc(sizeof(*k) + e->data.len);
    uint8_t *data = (uint8_t *)(k + 1);
    if (e->data.len > 0) {
        memcpy(data, e->data.data, e->data.len);
    }
    *k = (struct seen_entry){digest, *e};
    k->entry.data = slice_make(data, e->data.len);
    k->entry.owner = NULL;
    if (r->seen_count == r->seen_cap) {
        r->seen_cap = r->seen_cap == 0 ? 1024 : r->seen_cap * 2;
        r->seen = mem_realloc(r->seen, r->seen_cap * sizeof(r->seen[0]));
    }
    r->seen[r->seen_count++] = k;
    (void)map_put(&r->log, e->term << TERM_BITS | e->index, k);
    return k;
}

void truth_init(struct run *r)
{
    r->model = model_create();
    map_init(&r->log);
    map_init(&r->leaders);
    map_init(&r->puts);
}

void truth_deinit(struct run *r)
{
    model_destroy(r->model);
    map_deinit(&r->log);
    map_deinit(&r->leaders);
    map_deinit(&r->puts);
    for (size_t i = 0; i < r->seen_count; i++) {
        mem_free(r->seen[i]);
    }
    mem_free(r->seen);
    mem_free(r->committed);
}

/* ---- leaders, votes ---- */

static void leader_look(struct run *r, struct run_slot *s, const struct raft_status *st)
{
    if (st->role != RAFT_LEADER) {
        return;
    }
    void *me = (void *)(uintptr_t)st->id;
    void *was = map_get(&r->leaders, st->hard.term);
    if (was == NULL) {
        trace(r, "%s leads term %" PRIu64, s->name, st->hard.term);
        (void)map_put(&r->leaders, st->hard.term, me);
    } else if (was != me) {
        run_fail(r, "one leader a term: %" PRIx64 " and %" PRIx64 " lead term %" PRIu64,
                 (uint64_t)(uintptr_t)was, st->id, st->hard.term);
    }
}

static void vote_look(struct run *r, const struct raft_message *m)
{
    size_t count = r->vote_count < RUN_VOTES_MAX ? r->vote_count : RUN_VOTES_MAX;
    for (size_t i = 0; i < count; i++) {
        const struct run_vote *v = &r->votes[i];
        if (v->from == m->from && v->term == m->term && v->to != m->to) {
            run_fail(r,
                     "one vote a term: %" PRIx64 " votes for %" PRIx64 " and %" PRIx64
                     " in term %" PRIu64,
                     m->from, v->to, m->to, m->term);
            return;
        }
    }
    r->votes[r->vote_count++ % RUN_VOTES_MAX] = (struct run_vote){m->from, m->to, m->term};
}

void truth_sent(struct run *r, struct run_slot *s, const struct raft_message *m)
{
    bool waits_for_sync = m->type == RAFT_MSG_VOTE_RESP || m->type == RAFT_MSG_APP_RESP;
    if (waits_for_sync && !m->reject && m->term > s->promised_term) {
        s->promised_term = m->term;
    }
    if (m->type == RAFT_MSG_VOTE_RESP && !m->reject) {
        vote_look(r, m);
    } else if (m->type == RAFT_MSG_APP_RESP && !m->reject && m->index > 0) {
        raft_term term;
        int err = raft_log_term(slot_core(s)->raft, m->index, &term);
        if (err == 0 && (term > s->promised.term ||
                         (term == s->promised.term && m->index > s->promised.index))) {
            s->promised = (struct raft_entry_id){.term = term, .index = m->index};
        }
    }
}

/* ---- logs ---- */

static void terms_fit(struct run_slot *s, raft_index last)
{
    if (last >= s->term_count) {
        size_t count = s->term_count == 0 ? 1024 : s->term_count;
        while (count <= last) {
            count *= 2;
        }
        s->terms = mem_realloc(s->terms, count * sizeof(s->terms[0]));
        memset(s->terms + s->term_count, 0, (count - s->term_count) * sizeof(s->terms[0]));
        s->term_count = count;
    }
}

static bool log_entry_look(struct run *r, struct run_slot *s, const struct raft *raft, raft_index i)
{
    raft_term term, before;
    if (raft_log_term(raft, i, &term) != 0 || raft_log_term(raft, i - 1, &before) != 0 ||
        s->terms[i] == term) {
        return false;
    }
    const struct raft_entry *e = raft_log_entries(raft, i, i + 1);
    if (e == NULL) {
        return false;
    }
    s->terms[i] = term;
    uint64_t digest = entry_digest(e, before);
    const struct seen_entry *was = map_get(&r->log, term << TERM_BITS | i);
    if (was == NULL) {
        (void)seen_add(r, e, digest);
    } else if (was->digest != digest) {
        run_fail(r, "log matching: entry %" PRIu64 " of term %" PRIu64 " is another one on %s", i,
                 term, s->name);
    }
    return true;
}

static void log_look(struct run *r, struct run_slot *s, const struct raft *raft)
{
    raft_index last = raft_log_last_index(raft);
    raft_term term;
    if (raft_log_term(raft, last, &term) != 0 || (last == s->last && term == s->last_term)) {
        return;
    }
    s->last = last;
    s->last_term = term;
    terms_fit(s, last);
    for (raft_index i = last; i > 0 && log_entry_look(r, s, raft, i); i--) {
    }
}

/* ---- leases ---- */

static struct run_lease *lease_of(struct run *r, int64_t id)
{
    for (size_t i = 0; i < r->lease_count; i++) {
        if (r->leases[i].id == id) {
            return &r->leases[i];
        }
    }
    return NULL;
}

/* A member's clock may go 5% too fast; a leader that was cut off may renew for two elections more
 * what the next one does not know of. */
static void revoked(struct run *r, int64_t id)
{
    const struct run_lease *l = lease_of(r, id);
    uint64_t now = sim_now_ns(r->sim);
    if (l == NULL || l->is_revoked) {
        return;
    }
    uint64_t ttl_ns = (uint64_t)l->ttl_s * 1000000000;
    uint64_t slack = ttl_ns / 10;
    if (l->is_renewed) {
        slack += (uint64_t)EARLY_ELECTIONS * r->o.election_ms * 1000000;
    }
    if (now + slack < l->since_ns + ttl_ns) {
        run_fail(r,
                 "leases never early: %" PRIx64 " of %" PRId64 " s is revoked after %" PRIu64 " ms",
                 (uint64_t)id, l->ttl_s, (now - l->since_ns) / 1000000);
    }
}

/* ---- committed entries ---- */

static void committed_add(struct run *r, const struct raft_entry *e, uint64_t digest)
{
    if (r->committed_count == r->committed_cap) {
        r->committed_cap = r->committed_cap == 0 ? 1024 : r->committed_cap * 2;
        r->committed = mem_realloc(r->committed, r->committed_cap * sizeof(r->committed[0]));
    }
    r->committed[r->committed_count++] = (struct run_committed){e->term, digest};
    size_t leases = model_lease_count(r->model);
    bool *alive = mem_alloc_array(leases + 1, sizeof(*alive));
    for (size_t i = 0; i < leases; i++) {
        alive[i] = model_lease_at(r->model, i)->is_alive;
    }
    if (!model_apply(r->model, e)) {
        run_fail(r, "entry %" PRIu64 " is none that a member writes", e->index);
    }
    for (size_t i = 0; i < leases; i++) {
        if (alive[i] && !model_lease_at(r->model, i)->is_alive) {
            revoked(r, model_lease_at(r->model, i)->id);
        }
    }
    mem_free(alive);
}

/* "c<client>.<number>" begins every value: no request may be in the log twice. */
static void puts_look(struct run *r, raft_index index)
{
    size_t i = model_record_count(r->model);
    for (; i > 0 && model_record(r->model, i - 1)->index == index; i--) {
        const struct model_record *rec = model_record(r->model, i - 1);
        uint64_t tag = 0;
        size_t k = 1;
        for (; k < rec->kv.value.len && rec->kv.value.data[k] != ' '; k++) {
            tag = tag * 11 + (rec->kv.value.data[k] == '.' ? 10 : rec->kv.value.data[k] - '0' + 0u);
        }
        if (rec->is_delete || rec->kv.value.len == 0 || rec->kv.value.data[0] != 'c') {
            continue;
        }
        void *was = map_put(&r->puts, tag + 1, (void *)(uintptr_t)index);
        if (was != NULL && (uintptr_t)was != index) {
            run_fail(r, "a request takes effect once: %.*s is in entries %" PRIu64 " and %" PRIu64,
                     (int)k, (const char *)rec->kv.value.data, (uint64_t)(uintptr_t)was, index);
        }
    }
}

static void committed_look(struct run *r, struct run_slot *s, const struct raft *raft,
                           raft_index index)
{
    raft_term term;
    if (index < raft_log_first_index(raft) || raft_log_term(raft, index, &term) != 0) {
        return; /* came with a snapshot */
    }
    const struct seen_entry *seen = map_get(&r->log, term << TERM_BITS | index);
    if (seen == NULL) {
        run_fail(r, "%s has committed %" PRIu64 ", which was in nobody's log", s->name, index);
        return;
    }
    const struct raft_entry *e = &seen->entry;
    uint64_t digest = seen->digest;
    if (index == r->committed_count + 1) {
        committed_add(r, e, digest);
        puts_look(r, index);
    } else if (index > r->committed_count) {
        run_fail(r, "%s has committed %" PRIu64 ", nobody was seen to commit %zu", s->name, index,
                 r->committed_count + 1);
    } else if (r->committed[index - 1].digest != digest) {
        run_fail(r,
                 "committed entries never change: %" PRIu64 " is of term %" PRIu64
                 " on %s and was of term %" PRIu64,
                 index, e->term, s->name, r->committed[index - 1].term);
    }
}

/* ---- state ---- */

static void applied_look(struct run *r, struct run_slot *s, const struct core *c)
{
    if (c->applied == s->applied || c->install_stage != CORE_INSTALL_NONE || c->is_fetching) {
        return;
    }
    s->applied = c->applied;
    if (c->applied > model_index(r->model)) {
        run_fail(r, "%s has applied %" PRIu64 ", which nobody has committed", s->name, c->applied);
        return;
    }
    int64_t rev = mvcc_rev(c->store), compact = mvcc_compact_rev(c->store);
    int64_t want = model_rev_at(r->model, c->applied);
    int64_t want_compact = model_compact_rev_at(r->model, c->applied);
    if (rev != want || compact != want_compact) {
        run_fail(r,
                 "equal state at equal index: %s is at revision %" PRId64 " (compacted %" PRId64
                 ") at index %" PRIu64 ", which gives %" PRId64 " (%" PRId64 ")",
                 s->name, rev, compact, c->applied, want, want_compact);
    }
    if (backend_committed_index(c->backend) > c->durable) {
        run_fail(r,
                 "the file is never ahead of the own log: %s has %" PRIu64 " in it, and %" PRIu64
                 " durable",
                 s->name, backend_committed_index(c->backend), c->durable);
    }
}

void truth_look(struct run *r, struct run_slot *s)
{
    const struct core *c = slot_core(s);
    struct raft_status st;
    raft_status(c->raft, &st);
    leader_look(r, s, &st);
    log_look(r, s, c->raft);
    for (; s->seen < c->committed && !r->is_failed; s->seen++) {
        committed_look(r, s, c->raft, s->seen + 1);
    }
    applied_look(r, s, c);
    if (r->steps >= s->next_check) {
        s->next_check = r->steps + RUN_CHECK_STEPS;
        r->stats.checks++;
        sim_member_check(s->member);
    }
}

/* Terms and votes that it has spoken of are on its disk. */
static void hard_state_look(struct run *r, const struct run_slot *s, const struct raft_status *st)
{
    if (st->hard.term < s->promised_term) {
        run_fail(r,
                 "what was acknowledged survives: %s had spoken in term %" PRIu64
                 ", it is back in term %" PRIu64,
                 s->name, s->promised_term, st->hard.term);
    }
    size_t count = r->vote_count < RUN_VOTES_MAX ? r->vote_count : RUN_VOTES_MAX;
    for (size_t i = 0; i < count; i++) {
        const struct run_vote *v = &r->votes[i];
        if (v->from == s->id && v->term == st->hard.term && v->to != st->hard.vote) {
            run_fail(r,
                     "one vote a term: %s has forgotten its vote for %" PRIx64 " in term %" PRIu64,
                     s->name, v->to, v->term);
        }
    }
}

void truth_begin(struct run *r, struct run_slot *s)
{
    const struct core *c = slot_core(s);
    struct raft_status st;
    raft_status(c->raft, &st);
    hard_state_look(r, s, &st);
    raft_index last = raft_log_last_index(c->raft);
    raft_term term = 0;
    int err = raft_log_term(c->raft, last, &term);
    ensure(err == 0);
    s->seen = raft_log_first_index(c->raft) - 1;
    s->last = 0;
    s->last_term = 0;
    s->applied = UINT64_MAX;
    s->next_check = 0;
    memset(s->terms, 0, s->term_count * sizeof(s->terms[0]));
    if (term < s->promised.term || (term == s->promised.term && last < s->promised.index)) {
        run_fail(r,
                 "what was acknowledged survives: %s had stored %" PRIu64 " of term %" PRIu64
                 ", its log ends with %" PRIu64 " of term %" PRIu64,
                 s->name, s->promised.index, s->promised.term, last, term);
    }
    truth_look(r, s);
}

/* ---- files ---- */

struct problem {
    struct run *run;
    struct run_slot *slot;
};

static void on_problem(void *arg, const char *text)
{
    const struct problem *p = arg;
    run_fail(p->run, "the database file is clean at every start: %s: %s", p->slot->name, text);
}

void truth_files(struct run *r, struct run_slot *s)
{
    struct env_disk *disk = sim_disk_env(sim_host_disk(s->host));
    struct bolt_options o = {.disk = disk, .path = "d/member/snap/db", .read_only = true};
    struct bolt_db *db;
    struct bolt_tx *tx;
    struct problem p = {r, s};
    if (!env_exists(disk, o.path)) {
        return;
    }
    int err = bolt_db_open(&o, &db);
    if (err != 0) {
        run_fail(r, "the database file is clean at every start: %s: %s", s->name, err_text(err));
        return;
    }
    err = bolt_tx_begin(db, false, &tx);
    if (err == 0) {
        err = bolt_check(tx, on_problem, &p);
        bolt_tx_rollback(tx);
    }
    if (err != 0) {
        run_fail(r, "the database file is clean at every start: %s: %s", s->name, err_text(err));
    }
    bolt_db_close(db);
}

/* ---- all of it ---- */

static bool content_equal(const struct run *r, struct core *c, const struct model_record *rec)
{
    struct backend_view *view = backend_view_pin(core_backend(c));
    struct backend_record got;
    const struct backend_rev rev = {.main = rec->rev, .sub = (int64_t)rec->sub};
    struct wire_kv kv;
    int err = backend_record_get(core_backend(c), rev, &got);
    if (err == ERR_COLD) {
        err = backend_view_record_get(view, rev, &got);
    }
    bool is_equal = err == 0 && wire_kv_decode(got.value, &kv) == 0 &&
                    slice_equal(kv.key, rec->kv.key) && slice_equal(kv.value, rec->kv.value) &&
                    kv.create_revision == rec->kv.create_revision &&
                    kv.mod_revision == rec->kv.mod_revision && kv.version == rec->kv.version &&
                    kv.lease == rec->kv.lease;
    if (err == 0) {
        backend_record_release(&got);
    }
    backend_view_unpin(view);
    (void)r;
    return is_equal;
}

bool truth_compare(struct run *r)
{
    const struct model_record *live[256];
    static const uint8_t open[] = {0};
    int64_t rev = model_rev(r->model);
    size_t n =
        model_range(r->model, slice_make(open, 1), slice_make(open, 1), rev, live, ARRAY_LEN(live));
    ensure(n <= ARRAY_LEN(live));
    for (unsigned i = 0; i < r->slot_count; i++) {
        struct run_slot *s = &r->slots[i];
        if (!s->is_used || s->member == NULL) {
            continue;
        }
        struct core *c = slot_core(s);
        if (mvcc_rev(core_store(c)) != rev || mvcc_key_count(core_store(c)) != n) {
            run_fail(r,
                     "equal state at the end: %s has %" PRIu64 " keys at %" PRId64
                     ", it must be %zu at %" PRId64,
                     s->name, mvcc_key_count(core_store(c)), mvcc_rev(core_store(c)), n, rev);
            return false;
        }
        for (size_t k = 0; k < n; k++) {
            if (!content_equal(r, c, live[k])) {
                run_fail(r, "equal state at the end: %s has another %.*s at %" PRId64, s->name,
                         (int)live[k]->kv.key.len, (const char *)live[k]->kv.key.data,
                         live[k]->rev);
                return false;
            }
        }
        sim_member_check(s->member);
    }
    return true;
}

void truth_hash(struct run *r, uint64_t *h)
{
    for (unsigned i = 0; i < r->slot_count; i++) {
        const struct run_slot *s = &r->slots[i];
        if (!s->is_used || s->member == NULL) {
            continue;
        }
        const struct core *c = slot_core(s);
        struct raft_status st;
        raft_status(c->raft, &st);
        const uint64_t numbers[] = {i,
                                    s->id,
                                    st.hard.term,
                                    st.hard.vote,
                                    st.hard.commit,
                                    (uint64_t)st.role,
                                    st.last_index,
                                    c->applied,
                                    c->durable,
                                    backend_committed_index(c->backend),
                                    (uint64_t)mvcc_rev(c->store),
                                    (uint64_t)mvcc_compact_rev(c->store),
                                    backend_size_bytes(c->backend)};
        *h = fnv1a64_more(*h, numbers, sizeof(numbers));
    }
    uint64_t digest = model_digest_at(r->model, model_rev(r->model));
    *h = fnv1a64_more(*h, &digest, sizeof(digest));
}
