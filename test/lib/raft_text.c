/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/raft_text.h"

#include <inttypes.h>
#include <stdlib.h>

struct trace_text {
    enum raft_text_level level;
    /* %x %d next value; %m message type; %r role; %P subject as progress; %V subject as conf
     * change; %C configuration, %L log, %E voters of the raft. */
    const char *format;
};

static const struct trace_text trace_texts[RAFT_TRACE_KIND_COUNT] = {
    [RAFT_TRACE_CREATED] = {TEXT_INFO, "newRaft %x [peers: [%E], term: %d, commit: %d, applied: "
                                       "%d, lastindex: %d, lastterm: %d]"},
    [RAFT_TRACE_CONFIG] = {TEXT_INFO, "%x switched to configuration %C"},
    [RAFT_TRACE_BECAME_FOLLOWER] = {TEXT_INFO, "%x became follower at term %d"},
    [RAFT_TRACE_BECAME_CANDIDATE] = {TEXT_INFO, "%x became candidate at term %d"},
    [RAFT_TRACE_BECAME_PRE_CANDIDATE] = {TEXT_INFO, "%x became pre-candidate at term %d"},
    [RAFT_TRACE_BECAME_LEADER] = {TEXT_INFO, "%x became leader at term %d"},
    [RAFT_TRACE_CAMPAIGN_AS_LEADER] = {TEXT_DEBUG, "%x ignoring MsgHup because already leader"},
    [RAFT_TRACE_UNPROMOTABLE] = {TEXT_WARN, "%x is unpromotable and can not campaign"},
    [RAFT_TRACE_CAMPAIGN_PENDING_CONF] = {TEXT_WARN,
                                          "%x cannot campaign at term %d since there are still "
                                          "pending configuration changes to apply"},
    [RAFT_TRACE_CAMPAIGN] = {TEXT_INFO, "%x is starting a new election at term %d"},
    [RAFT_TRACE_SENT_VOTE_REQUEST] =
        {TEXT_INFO, "%x [logterm: %d, index: %d] sent %m request to %x at term %d"},
    [RAFT_TRACE_VOTE_RECEIVED] = {TEXT_INFO, "%x received %m from %x at term %d"},
    [RAFT_TRACE_VOTE_REFUSED] = {TEXT_INFO, "%x received %m rejection from %x at term %d"},
    [RAFT_TRACE_VOTE_COUNT] = {TEXT_INFO, "%x has received %d %m votes and %d vote rejections"},
    [RAFT_TRACE_VOTE_LEASE] = {TEXT_INFO,
                               "%x [logterm: %d, index: %d, vote: %x] ignored %m from %x "
                               "[logterm: %d, index: %d] at term %d: lease is not expired "
                               "(remaining ticks: %d)"},
    [RAFT_TRACE_VOTE_CAST] = {TEXT_INFO, "%x [logterm: %d, index: %d, vote: %x] cast %m for %x "
                                         "[logterm: %d, index: %d] at term %d"},
    [RAFT_TRACE_VOTE_REJECTED] = {TEXT_INFO,
                                  "%x [logterm: %d, index: %d, vote: %x] rejected %m from %x "
                                  "[logterm: %d, index: %d] at term %d"},
    [RAFT_TRACE_TIMEOUT_NOW] = {TEXT_INFO, "%x [term %d] received MsgTimeoutNow from %x and "
                                           "starts an election to get leadership."},
    [RAFT_TRACE_TIMEOUT_NOW_IGNORED] = {TEXT_DEBUG,
                                        "%x [term %d state %r] ignored MsgTimeoutNow from %x"},
    [RAFT_TRACE_QUORUM_LOST] = {TEXT_WARN,
                                "%x stepped down to follower since quorum is not active"},
    [RAFT_TRACE_HIGHER_TERM] =
        {TEXT_INFO, "%x [term: %d] received a %m message with higher term from %x [term: %d]"},
    [RAFT_TRACE_LOWER_TERM] =
        {TEXT_INFO, "%x [term: %d] ignored a %m message with lower term from %x [term: %d]"},
    [RAFT_TRACE_STALE_APPEND] = {TEXT_INFO,
                                 "%x [term: %d] ignored entry appends from a MsgStorageAppendResp "
                                 "message with lower term [term: %d]"},
    [RAFT_TRACE_DROP_NO_LEADER] = {TEXT_INFO, "%x no leader at term %d; dropping proposal"},
    [RAFT_TRACE_DROP_NO_FORWARDING] =
        {TEXT_INFO, "%x not forwarding to leader %x at term %d; dropping proposal"},
    [RAFT_TRACE_DROP_TRANSFERRING] =
        {TEXT_DEBUG, "%x [term %d] transfer leadership to %x is in progress; dropping proposal"},
    [RAFT_TRACE_DROP_UNCOMMITTED] = {TEXT_WARN,
                                     "%x appending new entries to log would exceed uncommitted "
                                     "entry size limit; dropping proposal"},
    [RAFT_TRACE_CONF_PENDING] = {TEXT_INFO,
                                 "%x ignoring conf change %V at config %C: possible unapplied "
                                 "conf change at index %d (applied to %d)"},
    [RAFT_TRACE_CONF_JOINT] = {TEXT_INFO, "%x ignoring conf change %V at config %C: must "
                                          "transition out of joint config first"},
    [RAFT_TRACE_CONF_EMPTY] = {TEXT_INFO, "%x ignoring conf change %V at config %C: not in joint "
                                          "state; refusing empty conf change"},
    [RAFT_TRACE_AUTO_LEAVE] = {TEXT_INFO,
                               "initiating automatic transition out of joint configuration %C"},
    [RAFT_TRACE_AUTO_LEAVE_DROPPED] = {TEXT_DEBUG,
                                       "not initiating automatic transition out of joint "
                                       "configuration %C: raft proposal dropped"},
    [RAFT_TRACE_APPEND_REJECTED] = {TEXT_DEBUG, "%x [logterm: %d, index: %d] rejected MsgApp "
                                                "[logterm: %d, index: %d] from %x"},
    [RAFT_TRACE_REJECTION] = {TEXT_DEBUG, "%x received MsgAppResp(rejected, hint: (index %d, "
                                          "term %d)) from %x for index %d"},
    [RAFT_TRACE_PROGRESS_DECREASED] = {TEXT_DEBUG, "%x decreased progress of %x to [%P]"},
    [RAFT_TRACE_SNAPSHOT_INACTIVE] =
        {TEXT_DEBUG, "ignore sending snapshot to %x since it is not recently active"},
    [RAFT_TRACE_SNAPSHOT_NONE] = {TEXT_DEBUG,
                                  "%x failed to send snapshot to %x because snapshot is "
                                  "temporarily unavailable"},
    [RAFT_TRACE_SNAPSHOT_SENT] = {TEXT_DEBUG,
                                  "%x [firstindex: %d, commit: %d] sent snapshot[index: %d, "
                                  "term: %d] to %x [%P]"},
    [RAFT_TRACE_PAUSED] = {TEXT_DEBUG, "%x paused sending replication messages to %x [%P]"},
    [RAFT_TRACE_SNAPSHOT_RECOVERED] = {TEXT_DEBUG,
                                       "%x recovered from needing snapshot, resumed sending "
                                       "replication messages to %x [%P]"},
    [RAFT_TRACE_SNAPSHOT_SUCCEEDED] =
        {TEXT_DEBUG, "%x snapshot succeeded, resumed sending replication messages to %x [%P]"},
    [RAFT_TRACE_SNAPSHOT_FAILED] =
        {TEXT_DEBUG, "%x snapshot failed, resumed sending replication messages to %x [%P]"},
    [RAFT_TRACE_UNREACHABLE] = {TEXT_DEBUG,
                                "%x failed to send message to %x because it is unreachable [%P]"},
    [RAFT_TRACE_NO_PROGRESS] = {TEXT_DEBUG, "%x no progress available for %x"},
    [RAFT_TRACE_SNAPSHOT_RESTORED] = {TEXT_INFO,
                                      "%x [commit: %d] restored snapshot [index: %d, term: %d]"},
    [RAFT_TRACE_SNAPSHOT_IGNORED] = {TEXT_INFO,
                                     "%x [commit: %d] ignored snapshot [index: %d, term: %d]"},
    [RAFT_TRACE_SNAPSHOT_NOT_MEMBER] = {TEXT_WARN,
                                        "%x attempted to restore snapshot but it is not in the "
                                        "ConfState; should never happen"},
    [RAFT_TRACE_SNAPSHOT_FAST_FORWARD] =
        {TEXT_INFO, "%x [commit: %d, lastindex: %d, lastterm: %d] fast-forwarded commit to "
                    "snapshot [index: %d, term: %d]"},
    [RAFT_TRACE_RESTORED] = {TEXT_INFO, "%x [commit: %d, lastindex: %d, lastterm: %d] restored "
                                        "snapshot [index: %d, term: %d]"},
    [RAFT_TRACE_RESTORING] = {TEXT_INFO,
                              "log [%L] starts to restore snapshot [index: %d, term: %d]"},
    [RAFT_TRACE_TRANSFER_LEARNER] = {TEXT_DEBUG, "%x is learner. Ignored transferring leadership"},
    [RAFT_TRACE_TRANSFER_SAME] =
        {TEXT_INFO,
         "%x [term %d] transfer leadership to %x is in progress, ignores request to same node"},
    [RAFT_TRACE_TRANSFER_ABORTED] = {TEXT_INFO,
                                     "%x [term %d] abort previous transferring leadership to %x"},
    [RAFT_TRACE_TRANSFER_SELF] = {TEXT_DEBUG,
                                  "%x is already leader. Ignored transferring leadership to self"},
    [RAFT_TRACE_TRANSFER_STARTED] = {TEXT_INFO, "%x [term %d] starts to transfer leadership to %x"},
    [RAFT_TRACE_TRANSFER_IMMEDIATE] =
        {TEXT_INFO, "%x sends MsgTimeoutNow to %x immediately as %y already has up-to-date log"},
    [RAFT_TRACE_TRANSFER_CAUGHT_UP] = {TEXT_INFO,
                                       "%x sent MsgTimeoutNow to %x after received MsgAppResp"},
    [RAFT_TRACE_TRANSFER_NO_LEADER] = {TEXT_INFO,
                                       "%x no leader at term %d; dropping leader transfer msg"},
    [RAFT_TRACE_FORGET_LEASE] = {TEXT_ERROR, "ignoring MsgForgetLeader due to ReadOnlyLeaseBased"},
    [RAFT_TRACE_FORGET] = {TEXT_INFO, "%x forgetting leader %x at term %d"},
    [RAFT_TRACE_READ_NO_LEADER] = {TEXT_INFO,
                                   "%x no leader at term %d; dropping index reading msg"},
    [RAFT_TRACE_LOG_CONFLICT] = {TEXT_INFO, "found conflict at index %d [existing term: %d, "
                                            "conflicting term: %d]"},
    [RAFT_TRACE_LOG_REPLACED] = {TEXT_INFO, "replace the unstable entries from index %d"},
    [RAFT_TRACE_LOG_TRUNCATED] = {TEXT_INFO, "truncate the unstable entries before index %d"},
    [RAFT_TRACE_STABLE_MISSING] = {TEXT_INFO,
                                   "entry at index %d missing from unstable log; ignoring"},
    [RAFT_TRACE_STABLE_SNAPSHOT] = {TEXT_INFO,
                                    "entry at index %d matched unstable snapshot; ignoring"},
    [RAFT_TRACE_STABLE_MISMATCH] = {TEXT_INFO,
                                    "entry at (index,term)=(%d,%d) mismatched with entry at "
                                    "(%z,%d) in unstable log; ignoring"},
};

const char *text_level_name(enum raft_text_level level)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"};
    return names[level];
}

static const char *const message_types[] = {
    "MsgHup",
    "MsgBeat",
    "MsgProp",
    "MsgApp",
    "MsgAppResp",
    "MsgVote",
    "MsgVoteResp",
    "MsgSnap",
    "MsgHeartbeat",
    "MsgHeartbeatResp",
    "MsgUnreachable",
    "MsgSnapStatus",
    "MsgCheckQuorum",
    "MsgTransferLeader",
    "MsgTimeoutNow",
    "MsgReadIndex",
    "MsgReadIndexResp",
    "MsgPreVote",
    "MsgPreVoteResp",
    "MsgStorageAppend",
    "MsgStorageAppendResp",
    "MsgStorageApply",
    "MsgStorageApplyResp",
    "MsgForgetLeader",
};

const char *text_message_type(unsigned type)
{
    return type < ARRAY_LEN(message_types) ? message_types[type] : "?";
}

int text_message_type_from(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(message_types); i++) {
        if (strcmp(message_types[i], name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

const char *text_role(enum raft_role role)
{
    static const char *const names[] = {"StateFollower", "StateCandidate", "StateLeader",
                                        "StatePreCandidate"};
    return names[role];
}

static void text_log(struct buf *out, const struct raft_log *l)
{
    buf_printf(out,
               "committed=%" PRIu64 ", applied=%" PRIu64 ", applying=%" PRIu64
               ", unstable.offset=%" PRIu64 ", unstable.offsetInProgress=%" PRIu64
               ", len(unstable.Entries)=%" PRIu64,
               l->committed, l->applied, l->applying, l->unstable_first, l->unwritten_first,
               raft_log_last(l) + 1 - l->unstable_first);
}

static void text_voters(struct buf *out, const struct raft *r)
{
    const struct raft_members *m = &r->tracker.members;
    const char *comma = "";
    for (uint32_t i = 0; i < m->count; i++) {
        if (raft_members_is_voter(m, m->list[i].id)) {
            buf_printf(out, "%s%" PRIx64, comma, m->list[i].id);
            comma = ",";
        }
    }
}

static void text_conf_change(struct buf *out, const struct raft_conf_change_v2 *cc)
{
    static const char *const transitions[] = {"ConfChangeTransitionAuto",
                                              "ConfChangeTransitionJointImplicit",
                                              "ConfChangeTransitionJointExplicit"};
    static const char *const types[] = {"ConfChangeAddNode", "ConfChangeRemoveNode",
                                        "ConfChangeUpdateNode", "ConfChangeAddLearnerNode"};
    buf_printf(out, "transition:%s", transitions[cc->transition]);
    for (uint32_t i = 0; i < cc->count; i++) {
        buf_printf(out, " changes:{type:%s node_id:%" PRIu64 "}", types[cc->changes[i].type],
                   cc->changes[i].node_id);
    }
}

static void text_directive(struct buf *out, char d, const struct raft *r,
                           const struct raft_trace_line *line, size_t *next)
{
    switch (d) {
    case 'x': buf_printf(out, "%" PRIx64, line->v[(*next)++]); break;
    case 'y': buf_printf(out, "%" PRIx64, line->v[*next - 1]); break; /* the last one again */
    case 'z': buf_printf(out, "%" PRIu64, line->v[0]); break;         /* the first one again */
    case 'd': buf_printf(out, "%" PRIu64, line->v[(*next)++]); break;
    case 'm': buf_append_cstr(out, text_message_type((unsigned)line->v[(*next)++])); break;
    case 'r': buf_append_cstr(out, text_role((enum raft_role)line->v[(*next)++])); break;
    case 'P': text_progress(out, line->subject); break;
    case 'V': text_conf_change(out, line->subject); break;
    case 'C': text_config(out, &r->tracker.members.conf); break;
    case 'L': text_log(out, &r->log); break;
    case 'E': text_voters(out, r); break;
    default: ensure(false);
    }
}

enum raft_text_level text_trace(struct buf *out, const struct raft *r,
                                const struct raft_trace_line *line)
{
    const struct trace_text *t = &trace_texts[line->kind];
    size_t next = 0;
    ensure(t->format != NULL);
    for (const char *f = t->format; *f != '\0'; f++) {
        if (*f != '%') {
            buf_append_byte(out, (uint8_t)*f);
        } else {
            text_directive(out, *++f, r, line, &next);
        }
    }
    return t->level;
}

/* Go's %q for the printable text that scripts use. */
static void text_quoted(struct buf *out, struct slice s)
{
    buf_append_byte(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '"' || s.data[i] == '\\') {
            buf_append_byte(out, '\\');
        }
        buf_append_byte(out, s.data[i]);
    }
    buf_append_byte(out, '"');
}

static void text_changes(struct buf *out, const struct raft_entry *e)
{
    static const char letters[] = {'v', 'r', 'u', 'l'};
    struct raft_conf_change_v2 cc;
    if (raft_conf_change_decode(e->type, e->data, &cc) != 0) {
        buf_append_cstr(out, " malformed");
        return;
    }
    for (uint32_t i = 0; i < cc.count; i++) {
        buf_printf(out, " %c%" PRIu64, letters[cc.changes[i].type], cc.changes[i].node_id);
    }
}

void text_entry(struct buf *out, const struct raft_entry *e)
{
    static const char *const types[] = {"EntryNormal", "EntryConfChange", "EntryConfChangeV2"};
    buf_printf(out, "%" PRIu64 "/%" PRIu64 " %s", e->term, e->index, types[e->type]);
    if (e->type == RAFT_ENTRY_NORMAL) {
        buf_append_byte(out, ' ');
        text_quoted(out, e->data);
    } else {
        text_changes(out, e);
    }
}

void text_entries(struct buf *out, const struct raft_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        text_entry(out, &entries[i]);
        buf_append_byte(out, '\n');
    }
}

static void text_target(struct buf *out, uint64_t id)
{
    if (id == 0) {
        buf_append_cstr(out, "None");
    } else if (id == TEXT_APPEND_THREAD) {
        buf_append_cstr(out, "AppendThread");
    } else if (id == TEXT_APPLY_THREAD) {
        buf_append_cstr(out, "ApplyThread");
    } else {
        buf_printf(out, "%" PRIx64, id);
    }
}

static void text_message_entries(struct buf *out, const char *indent, const struct raft_message *m)
{
    if (m->entry_count == 0) {
        return;
    }
    buf_append_cstr(out, " Entries:[");
    for (size_t i = 0; i < m->entry_count; i++) {
        if (m->entry_count > 1) {
            buf_printf(out, "\n%s  ", indent);
        }
        text_entry(out, &m->entries[i]);
    }
    if (m->entry_count > 1) {
        buf_printf(out, "\n%s", indent);
    }
    buf_append_byte(out, ']');
}

static void text_message_head(struct buf *out, const char *indent, const struct text_message *tm)
{
    const struct raft_message *m = &tm->m;
    buf_append_cstr(out, indent);
    text_target(out, m->from);
    buf_append_cstr(out, "->");
    text_target(out, m->to);
    buf_printf(out, " %s Term:%" PRIu64 " Log:%" PRIu64 "/%" PRIu64, text_message_type(m->type),
               m->term, m->log_term, m->index);
    if (m->reject) {
        buf_printf(out, " Rejected (Hint: %" PRIu64 ")", m->reject_hint);
    }
    if (m->commit != 0) {
        buf_printf(out, " Commit:%" PRIu64, m->commit);
    }
    if (tm->vote != 0) {
        buf_printf(out, " Vote:%" PRIu64, tm->vote);
    }
}

void text_message(struct buf *out, const char *indent, const struct text_message *tm)
{
    const struct raft_message *m = &tm->m;
    struct buf deeper = BUF_INIT;
    text_message_head(out, indent, tm);
    text_message_entries(out, indent, m);
    if (m->snapshot != NULL && m->snapshot->meta.index != 0) {
        buf_printf(out, "\n%s  Snapshot: ", indent);
        text_snapshot(out, m->snapshot);
    }
    if (tm->response_count > 0) {
        buf_append_cstr(out, " Responses:[");
        buf_printf(&deeper, "%s  ", indent);
        for (size_t i = 0; i < tm->response_count; i++) {
            buf_append_byte(out, '\n');
            text_message(out, buf_cstr(&deeper), &tm->responses[i]);
        }
        buf_printf(out, "\n%s]", indent);
    }
    buf_deinit(&deeper);
}

void text_hard_state(struct buf *out, const struct raft_hard_state *hs)
{
    buf_printf(out, "Term:%" PRIu64, hs->term);
    if (hs->vote != 0) {
        buf_printf(out, " Vote:%" PRIu64, hs->vote);
    }
    buf_printf(out, " Commit:%" PRIu64, hs->commit);
}

static void text_list(struct buf *out, const char *name, const struct raft_ids *ids)
{
    buf_printf(out, "%s:[", name);
    for (uint32_t i = 0; i < ids->count; i++) {
        buf_printf(out, "%s%" PRIu64, i > 0 ? " " : "", ids->ids[i]);
    }
    buf_append_cstr(out, "] ");
}

void text_snapshot(struct buf *out, const struct raft_snapshot *s)
{
    const struct raft_conf_state *c = &s->meta.conf;
    buf_printf(out, "Index:%" PRIu64 " Term:%" PRIu64 " ConfState:", s->meta.index, s->meta.term);
    text_list(out, "Voters", &c->voters);
    text_list(out, "VotersOutgoing", &c->voters_outgoing);
    text_list(out, "Learners", &c->learners);
    text_list(out, "LearnersNext", &c->learners_next);
    buf_printf(out, "AutoLeave:%s", c->auto_leave ? "true" : "false");
}

void text_ids(struct buf *out, const struct raft_ids *ids)
{
    buf_append_byte(out, '(');
    for (uint32_t i = 0; i < ids->count; i++) {
        buf_printf(out, "%s%" PRIx64, i > 0 ? " " : "", ids->ids[i]);
    }
    buf_append_byte(out, ')');
}

void text_config(struct buf *out, const struct raft_conf_state *c)
{
    buf_append_cstr(out, "voters=");
    text_ids(out, &c->voters);
    if (c->voters_outgoing.count > 0) {
        buf_append_cstr(out, "&&");
        text_ids(out, &c->voters_outgoing);
    }
    if (c->learners.count > 0) {
        buf_append_cstr(out, " learners=");
        text_ids(out, &c->learners);
    }
    if (c->learners_next.count > 0) {
        buf_append_cstr(out, " learners_next=");
        text_ids(out, &c->learners_next);
    }
    if (c->auto_leave) {
        buf_append_cstr(out, " autoleave");
    }
}

void text_progress(struct buf *out, const struct raft_progress *pr)
{
    static const char *const states[] = {"StateProbe", "StateReplicate", "StateSnapshot"};
    buf_printf(out, "%s match=%" PRIu64 " next=%" PRIu64, states[pr->state], pr->match, pr->next);
    if (pr->is_learner) {
        buf_append_cstr(out, " learner");
    }
    if (raft_progress_is_paused(pr)) {
        buf_append_cstr(out, " paused");
    }
    if (pr->pending_snapshot > 0) {
        buf_printf(out, " pendingSnap=%" PRIu64, pr->pending_snapshot);
    }
    if (!pr->recent_active) {
        buf_append_cstr(out, " inactive");
    }
    if (pr->inflights.count > 0) {
        buf_printf(out, " inflight=%u", pr->inflights.count);
        if (raft_inflights_is_full(&pr->inflights)) {
            buf_append_cstr(out, "[full]");
        }
    }
}

void text_members(struct buf *out, const struct raft_members *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        buf_printf(out, "%" PRIu64 ": ", m->list[i].id);
        text_progress(out, &m->list[i]);
        buf_append_byte(out, '\n');
    }
}

bool text_parse_changes(const char *s, struct raft_conf_change_v2 *out)
{
    static const char letters[] = "vrul";
    *out = (struct raft_conf_change_v2){0};
    for (s += strspn(s, " \n"); *s != '\0'; s += strspn(s, " \n")) {
        const char *letter = strchr(letters, *s);
        char *end;
        if (letter == NULL || out->count == RAFT_MEMBERS_MAX) {
            return false;
        }
        struct raft_conf_single *c = &out->changes[out->count++];
        c->type = (enum raft_conf_change_type)(letter - letters);
        c->node_id = strtoull(s + 1, &end, 10);
        if (end == s + 1) {
            return false;
        }
        s = end;
    }
    return true;
}

const char *text_changer_error(enum raft_changer_error err)
{
    switch (err) {
    case RAFT_CHANGER_OK: return "";
    case RAFT_CHANGER_SIMPLE_IN_JOINT: return "can't apply simple config change in joint config";
    case RAFT_CHANGER_MANY_VOTERS:
        return "more than one voter changed without entering joint config";
    case RAFT_CHANGER_ALREADY_JOINT: return "config is already joint";
    case RAFT_CHANGER_NO_VOTERS_TO_JOIN: return "can't make a zero-voter config joint";
    case RAFT_CHANGER_NOT_JOINT: return "can't leave a non-joint config";
    case RAFT_CHANGER_REMOVED_ALL_VOTERS: return "removed all voters";
    case RAFT_CHANGER_TOO_MANY_MEMBERS: return "too many members";
    case RAFT_CHANGER_INCONSISTENT: return "conf state is inconsistent";
    }
    return "?";
}

const char *text_quorum_result(enum quorum_result result)
{
    static const char *const names[] = {"VotePending", "VoteLost", "VoteWon"};
    return names[result];
}
