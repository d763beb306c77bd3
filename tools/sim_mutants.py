#!/usr/bin/env python3
"""Breaks the sources on purpose, one rule at a time, and demands that the simulator finds each.

A copy of the tree is built once; then, for each mutant, its edits are made, the simulator is built and
run seed after seed (a scenario that leans on the place first, then mixed runs) until it fails.
usage: tools/sim_mutants.py [--dir build-mutants] [--seeds 100] [--only name,...] [--list]
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent

# name, what it breaks, scenario, [(file, old text, new text)].  Each old text is in its file once.
# Marked *: written without looking at the checkers.
MUTANTS = [
    ('ack-before-sync', 'the WAL is not synced before it is spoken about', 'crash-in-cut',
     [('src/wal/wal.c', 'int err = f->ops->sync_data(f);', 'int err = f == NULL ? ERR_IO : 0;')]),
    ('sealed-past-durable', 'what is committed is applied and put into the file before the own log has it', 'log-behind-commit',
     [('src/core/core.c', '.check_quorum = true,', '.check_quorum = true, .apply_unstable = true,'),
      ('src/core/commit.c', 'uint64_t durable = c->durable;', 'uint64_t durable = UINT64_MAX;'),
      ('src/backend/batch.c', 'ensure(m->index <= durable_index);', '')]),
    ('meta-before-pages', 'bolt writes the meta page before the pages it names are durable', 'crash-in-commit',
     [('src/bolt/commit.c', 'err = sync_data(db);\n    }\n#ifndef', 'err = 0;\n    }\n#ifndef')]),
    ('vote-twice', 'a vote is not stored: after a restart the member votes again', 'votes',
     [('src/wal/wal.c', '{hs->term, hs->vote, hs->commit}', '{hs->term, 0, hs->commit}')]),
    ('term-unsynced', 'term and vote do not wait for a sync', 'votes',
     [('src/core/commit.c', 'a->must_sync = u->must_sync;', 'a->must_sync = u->must_sync && (u->entry_count > 0 || u->snapshot != NULL);')]),
    ('old-term-by-counting', 'a leader commits entries of an old term by counting (Raft 5.4.2)', 'votes',
     [('src/raft/leader.c', 'struct raft_entry_id id = {r->term, index};',
       'struct raft_entry_id id = {raft_log_term_or_zero(&r->log, index), index};')]),
    ('vote-for-short-log', 'a vote does not look at the log (Raft 5.4.1)', 'votes',
     [('src/raft/election.c', '(repeats || is_free || is_future) && raft_log_is_up_to_date(&r->log, last)',
       '(repeats || is_free || is_future) && (last.index > 0 || raft_log_is_up_to_date(&r->log, last))')]),
    ('quorum-of-half', 'half of the members commit', 'watch-back-in-time',
     [('src/raft/quorum.c', 'return sorted[n - (n / 2 + 1)];', 'return sorted[n - (n > 1 ? n / 2 : 1)];')]),
    ('append-anywhere', 'a follower does not compare the entry before', 'messages-in-disorder',
     [('src/raft/follower.c', 'if (!raft_log_matches(l, (struct raft_entry_id){m->log_term, m->index})) {',
       'if (m->index > raft_log_last(l)) {')]),
    ('stale-read-index', 'a leader answers reads without asking its quorum', 'stale-read-after-pause',
     [('src/raft/reads.c', 'bool is_alone = raft_tracker_is_singleton(&r->tracker) &&',
       'bool is_alone = r->role == RAFT_LEADER ||')]),
    ('read-before-applied', 'a linearizable read does not wait for its index', 'leases-of-leaders',
     [('src/core/read.c', 'r->wait = reads[i].index;', 'r->wait = 0;')]),
    ('early-read', 'a new leader serves reads before it has committed', 'crash-under-load',
     [('src/raft/reads.c', 'if (raft_log_term_or_zero(&r->log, r->log.committed) != r->term) {\n        raft_readonly_add_early',
       'if (r->term == 0) {\n        raft_readonly_add_early')]),
    ('lost-behind-watcher', 'a watcher that falls behind loses what it was to get', 'watch-starved',
     [('src/mvcc/watch.c', 'watch_fall_behind(h, w, first->rev.main);', 'watch_fall_behind(h, w, last->rev.main + 1);')]),
    ('lost-at-compaction', 'a watcher that needs what is compacted is not told, it goes on', 'compaction-on-delete',
     [('src/mvcc/watch_history.c', 'if (w->next_rev < h->store->compact_rev) {\n            compacted(h, w);',
       'if (w->next_rev < h->store->compact_rev) {\n            w->next_rev = h->rev + 1;')]),
    ('chunk-cut', '* a watcher passes over the last revision of a chunk', 'watch-back-in-time',
     [('src/mvcc/watch_history.c', 'h->chunk.to = tail <= h->rev ? tail - 1 : h->rev;',
       'h->chunk.to = tail <= h->rev ? tail : h->rev;')]),
    ('progress-overtakes', 'progress is told while watchers are behind', 'progress-overtakes',
     [('src/service/watch.c', 'return watcher_is_synced(wc->all->hub, &cw->w) && cw->start_rev',
       'return cw->start_rev')]),
    ('watch-future-told', 'progress is told to watchers whose start is still to come', 'watch-future',
     [('src/service/watch.c', 'return watcher_is_synced(wc->all->hub, &cw->w) && cw->start_rev <= watch_hub_rev(wc->all->hub);',
       'return cw->w.is_live;')]),
    ('page-of-a-reader', 'freed pages are used again while a view reads them', 'cold-pages',
     [('src/bolt/freelist.c', 'if (below == 0 || newest_below < run.alloc_txid) {', 'if (true || newest_below < run.alloc_txid) {')]),
    ('snapshot-ahead', 'a raft snapshot names an index that the file does not hold yet', 'crash-in-save',
     [('src/core/commit.c', 'backend_committed_index(c->backend) >= c->save->meta.index) {',
       'c->save->meta.index > 0) {')]),
    ('apply-twice', 'after a restart the last entry of the file is applied again', 'crash-in-commit',
     [('src/core/boot.c', '        .applied = schema_of(b)->consistent_index,\n        .snapshot',
       '        .applied = schema_of(b)->consistent_index > b->snap.index ? schema_of(b)->consistent_index - 1 : schema_of(b)->consistent_index,\n        .snapshot')]),
    ('lease-expires-early', '* a lease of a new leader starts with half of its time', 'leases-of-leaders',
     [('src/lease/lessor.c', 'l->is_primary ? now_ms + extend_ms + (uint64_t)run_s(lease) * MS_PER_S : NEVER',
       'l->is_primary ? now_ms + (uint64_t)run_s(lease) * MS_PER_S / (extend_ms > 0 ? 3 : 1) : NEVER')]),
    ('lease-not-renewed', '* a renewal is answered, and forgotten', 'leases-of-leaders',
     [('src/lease/lessor.c', 'if (!*needs_checkpoint) {\n        lease_start(l, lease, now_ms, 0);',
       'if (!*needs_checkpoint) {\n        heap_schedule(&l->heaps[HEAP_EXPIRY], lease, lease->expiry_ms);')]),
    ('lease-never-expires', '* leases of a follower that becomes leader never end', 'leases-of-leaders',
     [('src/lease/lessor.c', '    l->is_primary = true;\n    all_start(l, now_ms, extend_ms);',
       '    all_start(l, now_ms, extend_ms);\n    l->is_primary = true;')]),
    ('catch-up-own-disk', 'our bug 1: what the own disk is late with does not count as committed', 'log-behind-commit',
     [('src/core/read.c', 'r->wait = st.hard.commit;', 'r->wait = c->committed;')]),
    ('stop-waits-for-ever', 'our bug 2: a joiner without an entry cannot stop', 'members-come-and-go',
     [('src/backend/backend.c', 'return b->sealed_index > b->taken_index;\n    }\n    const',
       'return b->tail.ops.end > b->taken_ops || b->sealed_index > b->taken_index;\n    }\n    const')]),
    ('compaction-too-far', '* a compaction drops a revision too many', 'crash-in-compaction',
     [('src/mvcc/compact.c', 'keyrec_drop_count(pos.rec, c->target);', 'keyrec_drop_count(pos.rec, c->target + 1);')]),
    ('version-goes-on', '* a key that was deleted goes on with its old version', 'watch-txn-twice',
     [('src/mvcc/write.c', 'value,       lease};\n    size_t len', 'value,       lease};\n    kv.version = old != NULL ? old->version + 1 : 1;\n    size_t len')]),
    ('segment-name-unsynced', 'the name of a new WAL segment is not made durable', 'crash-in-cut',
     [('src/wal/cut.c', 'if (err == 0 && !w->no_sync) {\n        err = w->disk->ops->sync_dir(w->disk, w->dir);',
       'if (err == 0 && w->no_sync) {\n        err = w->disk->ops->sync_dir(w->disk, w->dir);')]),
    ('defrag-name-unsynced', 'the name of a defragmented file is not made durable (storage-formats 8, D3)', 'crash-in-defrag',
     [('src/backend/defrag.c', 'err = disk->ops->sync_dir(disk, dir);', 'err = 0;')]),
    ('sync-retried', 'a failed sync is tried again', 'disk-errors',
     [('src/wal/wal.c', 'if (err != 0) {\n            return wal_fail(w, err, "fdatasync failed");',
       'if (err != 0 && f->ops->sync_data(f) != 0) {\n            return wal_fail(w, err, "fdatasync failed");')]),
]


def run(cmd, cwd, timeout=1800):
    try:
        r = subprocess.run(cmd, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           errors='replace', timeout=timeout)
        return r.returncode, r.stdout
    except subprocess.TimeoutExpired as e:
        text = e.stdout.decode(errors='replace') if e.stdout else ''
        return -1, text + '\nBROKEN the run does not end\n'


def copy_tree(to):
    files = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in files.split():
        here, there = ROOT / name, to / name
        if not here.is_file():
            continue
        if not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(here, there)
        elif here.read_bytes() != there.read_bytes():  # newer than what was built of it
            shutil.copyfile(here, there)


def edit(tree, edits):
    """The files as they were, to be put back."""
    before = {}
    for name, old, new in edits:
        path = tree / name
        text = path.read_text()
        before.setdefault(path, text)
        if text.count(old) != 1:
            raise SystemExit(f'{name}: {text.count(old)} times: {old!r}')
        path.write_text(text.replace(old, new))
    return before


def build(tree):
    code, text = run(['ninja', '-C', 'build', 'sim/simulator'], tree)
    return None if code == 0 else text[-2000:]


def rule_of(text):
    m = re.search(r'^(?:BROKEN|cairn:) (.*)$', text, re.M)
    return m.group(1) if m else 'it died'


def hunt(tree, scenario, seeds):
    """(runs, rule) of the first failure, or (runs, None)."""
    exe = str(tree / 'build' / 'sim' / 'simulator')
    plans = [['--scenario', scenario, '--seed', str(s)] for s in range(1, 1 + seeds // 2)]
    plans += [['--seed', str(s)] for s in range(1, 1 + seeds - seeds // 2)]
    for n, plan in enumerate(plans, 1):
        code, text = run([exe, *plan], tree, 600)
        if code != 0:
            return n, rule_of(text)
    return len(plans), None


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--dir', default='build-mutants')
    ap.add_argument('--seeds', type=int, default=100)
    ap.add_argument('--only', default='')
    ap.add_argument('--list', action='store_true')
    args = ap.parse_args()
    only = set(filter(None, args.only.split(',')))
    if args.list:
        for name, what, scenario, _ in MUTANTS:
            print(f'{name:24} {what} ({scenario})')
        return 0
    tree = (ROOT / args.dir).resolve()
    tree.mkdir(parents=True, exist_ok=True)
    copy_tree(tree)
    if not (tree / 'build' / 'build.ninja').exists():
        code, text = run(['meson', 'setup', 'build', '-Dwerror=false'], tree)
        if code != 0:
            raise SystemExit(text)
    found = missed = 0
    for name, what, scenario, edits in MUTANTS:
        if only and name not in only:
            continue
        before = edit(tree, edits)
        start = time.monotonic()
        error = build(tree)
        runs, rule = hunt(tree, scenario, args.seeds) if error is None else (0, None)
        for path, text in before.items():
            path.write_text(text)
            os.utime(path)
        found += rule is not None
        missed += rule is None
        said = f'run {runs}: {rule}' if rule else error or f'NOT FOUND in {runs} runs'
        print(f'{name:24} {said} ({time.monotonic() - start:.0f} s)', flush=True)
    print(f'{found} passed, {missed} failed')
    return 1 if missed else 0


if __name__ == '__main__':
    sys.exit(main())
