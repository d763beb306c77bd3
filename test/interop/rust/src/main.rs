//! checks ENDPOINT: what Rust's etcd-client sees of a server, one line a check, without anything that may differ
//! between two servers on copies of one directory.  Two outputs are compared line by line.

use etcd_client::*;
use std::time::Duration;
use tokio::time::{sleep, timeout};

type Saw = std::result::Result<String, Error>;

fn text(bytes: &[u8]) -> String {
    if bytes.len() > 40 {
        let sum = bytes.iter().fold(7u64, |h, b| h.wrapping_mul(31).wrapping_add(*b as u64));
        return format!("{} bytes {sum:x}", bytes.len());
    }
    bytes.escape_ascii().to_string()
}

fn say(name: &str, saw: Saw) {
    let line = match saw {
        Ok(s) => s,
        Err(Error::GRpcStatus(s)) => format!("{:?} {:?}", s.code(), s.message()),
        Err(e) => format!("error {e}"),
    };
    println!("{name}: {line}");
}

fn kv(k: &KeyValue) -> String {
    format!(
        "[{}={} c{} m{} v{} l{}]",
        text(k.key()),
        text(k.value()),
        k.create_revision(),
        k.mod_revision(),
        k.version(),
        k.lease()
    )
}

fn rev(h: Option<&ResponseHeader>) -> i64 {
    h.map_or(-1, |h| h.revision())
}

fn got(r: GetResponse) -> String {
    let all: Vec<String> = r.kvs().iter().map(kv).collect();
    format!("rev={} count={} more={} {}", rev(r.header()), r.count(), r.more(), all.join(" "))
}

fn put(r: PutResponse) -> String {
    format!("rev={} prev={}", rev(r.header()), r.prev_key().map_or("-".into(), kv))
}

fn deleted(r: DeleteResponse) -> String {
    let all: Vec<String> = r.prev_kvs().iter().map(kv).collect();
    format!("rev={} deleted={} {}", rev(r.header()), r.deleted(), all.join(" "))
}

fn done(r: TxnResponse) -> String {
    let mut out = format!("succeeded={} rev={}", r.succeeded(), rev(r.header()));
    for op in r.op_responses() {
        out += &match op {
            TxnOpResponse::Put(p) => format!(" put({})", put(p)),
            TxnOpResponse::Get(g) => format!(" get({})", got(g)),
            TxnOpResponse::Delete(d) => format!(" delete({})", deleted(d)),
            TxnOpResponse::Txn(t) => format!(" txn({})", done(t)),
        };
    }
    out
}

/// Waits until there are so many keys; a hang limit, not a measurement.
async fn until(c: &mut Client, prefix: &str, count: i64) {
    for _ in 0..1200 {
        let o = GetOptions::new().with_prefix().with_count_only();
        if c.get(prefix, Some(o)).await.is_ok_and(|r| r.count() == count) {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("{prefix}: not {count} keys");
}

async fn within<T>(what: impl std::future::Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), what).await.expect("nothing came")
}

async fn puts(c: &mut Client) {
    say("put", c.put("p1", "a", None).await.map(put));
    say("put with prev", c.put("p1", "b", Some(PutOptions::new().with_prev_key())).await.map(put));
    say("put empty", c.put("p2", "", None).await.map(put));
    say("put empty key", c.put("", "x", None).await.map(put));
    say("put ignore value", c.put("p1", "", Some(PutOptions::new().with_ignore_value())).await.map(put));
    say("put ignore value of none", c.put("none", "", Some(PutOptions::new().with_ignore_value())).await.map(put));
    say("put ignore lease", c.put("p1", "c", Some(PutOptions::new().with_ignore_lease())).await.map(put));
    say("put without its lease", c.put("p1", "d", Some(PutOptions::new().with_lease(77))).await.map(put));
    let all: Vec<u8> = (0..=255).collect();
    say("put binary", c.put(all.clone(), all.clone(), None).await.map(put));
    say("get binary", c.get(all, None).await.map(got));
    say("put 1 MiB", c.put("big", vec![b'x'; 1 << 20], None).await.map(put));
    say("get 1 MiB", c.get("big", None).await.map(got));
    say("put more than 1.5 MiB", c.put("big", vec![b'x'; 1572865], None).await.map(put));
    say("put more than gRPC takes", c.put("big", vec![b'x'; 3 << 20], None).await.map(put));
}

async fn ranges(c: &mut Client) {
    for (i, v) in ["e", "d", "c", "b", "a"].iter().enumerate() {
        c.put(format!("r{i}"), *v, None).await.unwrap();
    }
    let all = || GetOptions::new().with_prefix();
    say("get none", c.get("none", None).await.map(got));
    say("get empty key", c.get("", None).await.map(got));
    say("prefix", c.get("r", Some(all())).await.map(got));
    say("limit", c.get("r", Some(all().with_limit(2))).await.map(got));
    say("keys", c.get("r", Some(all().with_keys_only())).await.map(got));
    say("count", c.get("r", Some(all().with_count_only())).await.map(got));
    say("serializable", c.get("r1", Some(GetOptions::new().with_serializable())).await.map(got));
    say("range", c.get("r1", Some(GetOptions::new().with_range("r3"))).await.map(got));
    say("from key", c.get("r3", Some(GetOptions::new().with_from_key())).await.map(got));
    for t in [SortTarget::Key, SortTarget::Version, SortTarget::Create, SortTarget::Mod, SortTarget::Value] {
        for o in [SortOrder::Ascend, SortOrder::Descend] {
            say(&format!("sorted by {t:?}, {o:?}"), c.get("r", Some(all().with_sort(t, o).with_limit(3))).await.map(got));
        }
    }
    let now = rev(c.get("r", None).await.unwrap().header());
    say("older", c.get("r", Some(all().with_revision(now - 2))).await.map(got));
    say("future", c.get("r", Some(all().with_revision(now + 100))).await.map(got));
    say("min mod", c.get("r", Some(all().with_min_mod_revision(now - 1))).await.map(got));
    say("max create", c.get("r", Some(all().with_max_create_revision(now - 2))).await.map(got));
    say("delete", c.delete("r1", Some(DeleteOptions::new().with_prev_key())).await.map(deleted));
    say("delete again", c.delete("r1", None).await.map(deleted));
    say("delete range", c.delete("r0", Some(DeleteOptions::new().with_range("r3"))).await.map(deleted));
    say("delete prefix", c.delete("r", Some(DeleteOptions::new().with_prefix())).await.map(deleted));
    say("compact", c.compact(now, None).await.map(|r| format!("rev={}", rev(r.header()))));
    say("compact again", c.compact(now, None).await.map(|_| "ok".into()));
    say("compact the future", c.compact(now + 100, None).await.map(|_| "ok".into()));
    let physical = Some(CompactionOptions::new().with_physical());
    say("compact physically", c.compact(now + 1, physical).await.map(|r| format!("rev={}", rev(r.header()))));
    say("compacted", c.get("r", Some(all().with_revision(now))).await.map(got));
}

async fn txns(c: &mut Client) {
    c.put("t1", "m", None).await.unwrap();
    for op in [CompareOp::Equal, CompareOp::Greater, CompareOp::Less, CompareOp::NotEqual] {
        for (name, compare) in [
            ("version", Compare::version("t1", op, 1)),
            ("create", Compare::create_revision("t1", op, 5)),
            ("mod", Compare::mod_revision("t1", op, 5)),
            ("value", Compare::value("t1", op, "m")),
            ("lease", Compare::lease("t1", op, 0)),
        ] {
            say(&format!("if {name} {op:?}"), c.txn(Txn::new().when([compare])).await.map(done));
        }
    }
    let get = || TxnOp::get("t", Some(GetOptions::new().with_prefix()));
    let then = [TxnOp::put("t2", "x", None), get(), TxnOp::delete("t1", None), get()];
    say("then", c.txn(Txn::new().and_then(then)).await.map(done));
    let missing = Compare::version("t1", CompareOp::Greater, 0);
    say("else", c.txn(Txn::new().when([missing]).or_else([TxnOp::put("t1", "new", None), get()])).await.map(done));
    let twice = [TxnOp::put("t3", "1", None), TxnOp::put("t3", "2", None)];
    say("the same key twice", c.txn(Txn::new().and_then(twice)).await.map(done));
    let inner = Txn::new().and_then([TxnOp::put("t4", "in", None), get()]);
    say("nested", c.txn(Txn::new().and_then([TxnOp::txn(inner), get()])).await.map(done));
    let many: Vec<TxnOp> = (0..129).map(|i| TxnOp::put(format!("many{i}"), "v", None)).collect();
    say("129 operations", c.txn(Txn::new().and_then(many)).await.map(done));
}

async fn grant(c: &mut Client, id: i64, ttl: i64) {
    let saw = c.lease_grant(ttl, Some(LeaseGrantOptions::new().with_id(id))).await;
    say(&format!("grant {id} for {ttl} s"), saw.map(|r| format!("id={} ttl={} rev={}", r.id(), r.ttl(), rev(r.header()))));
}

async fn leases(c: &mut Client) {
    grant(c, 41, 100).await;
    grant(c, 41, 100).await;
    grant(c, 42, 9000000001).await;
    grant(c, 43, 1).await;
    say("put with a lease", c.put("l/a", "1", Some(PutOptions::new().with_lease(41))).await.map(put));
    say("get with a lease", c.get("l/a", None).await.map(got));
    let info = c.lease_time_to_live(41, Some(LeaseTimeToLiveOptions::new().with_keys())).await;
    say("time to live", info.map(|r| format!("{} {} {:?}", r.granted_ttl(), r.ttl() > 90, r.keys().iter().map(|k| text(k)).collect::<Vec<_>>())));
    say("time to live of none", c.lease_time_to_live(99, None).await.map(|r| format!("{} {}", r.granted_ttl(), r.ttl())));
    let (mut keeper, mut answers) = c.lease_keep_alive(41).await.unwrap();
    for i in 0..3 {
        keeper.keep_alive().await.unwrap();
        say(&format!("keep alive {i}"), within(answers.message()).await.map(|r| format!("{:?}", r.map(|r| r.ttl()))));
    }
    say("keep alive of none", c.lease_keep_alive(99).await.map(|_| "ok".into()));
    c.put("l/b", "2", Some(PutOptions::new().with_lease(43))).await.unwrap();
    until(c, "l/b", 0).await;
    say("a lease has ended", c.lease_time_to_live(43, None).await.map(|r| format!("{}", r.ttl())));
    say("leases", c.leases().await.map(|r| format!("{:?}", r.leases().iter().map(|l| l.id()).collect::<Vec<_>>())));
    say("revoke", c.lease_revoke(41).await.map(|r| format!("rev={}", rev(r.header()))));
    say("revoke again", c.lease_revoke(41).await.map(|_| "ok".into()));
    say("after it", c.get("l/a", None).await.map(got));
}

/// The events of so many; how many come at once is the server's affair.
async fn events(stream: &mut WatchStream, count: usize) -> Saw {
    let mut all = Vec::new();
    while all.len() < count {
        let Some(r) = within(stream.message()).await? else {
            return Ok(format!("{all:?} end"));
        };
        if r.canceled() {
            return Ok(format!("{all:?} canceled compacted={} {:?}", r.compact_revision(), r.cancel_reason()));
        }
        for e in r.events() {
            let was = e.prev_kv().map_or(String::new(), |k| format!(" was {}", text(k.value())));
            all.push(format!("{:?} {}{was}", e.event_type(), e.kv().map_or("-".into(), kv)));
        }
    }
    Ok(all.join(" "))
}

async fn write(c: &mut Client) {
    for (k, v) in [("w/1", "a"), ("w/2", "b"), ("w/1", "c"), ("x", "d")] {
        c.put(k, v, None).await.unwrap();
    }
    c.delete("w/2", None).await.unwrap();
}

async fn watches(c: &mut Client) {
    let all = || WatchOptions::new().with_prefix();
    let now = rev(c.get("w", None).await.unwrap().header());
    for (name, key, options, count) in [
        ("watch a key", "w/1", WatchOptions::new(), 2),
        ("watch a prefix", "w/", all(), 4),
        ("watch with prev", "w/", all().with_prev_key(), 4),
        ("watch without puts", "w/", all().with_filters([WatchFilterType::NoPut]), 1),
        ("watch without deletes", "w/", all().with_filters([WatchFilterType::NoDelete]), 3),
        ("watch a range", "w/1", WatchOptions::new().with_range("w/2"), 2),
        ("watch from a revision", "w/", all().with_start_revision(now + 1), 28),
        ("watch in fragments", "w/", all().with_start_revision(now + 1).with_fragment(), 32),
    ] {
        let (mut watcher, mut stream) = c.watch(key, Some(options)).await.unwrap();
        write(c).await;
        say(name, events(&mut stream, count).await);
        watcher.cancel().await.unwrap();
        say("cancelled", within(async {
            loop {
                match stream.message().await? {
                    Some(r) if r.canceled() => return Ok(format!("{:?}", r.cancel_reason())),
                    Some(_) => (),
                    None => return Ok("end".into()),
                }
            }
        }).await);
    }
    let (mut watcher, mut stream) = c.watch("nothing", None).await.unwrap();
    watcher.request_progress().await.unwrap();
    let progress = within(stream.message()).await;
    say("progress", progress.map(|r| r.map_or("end".into(), |r| format!("{} {}", r.events().len(), rev(r.header())))));
    let last = rev(c.get("w", None).await.unwrap().header());
    c.compact(last, None).await.unwrap();
    let (_watcher, mut stream) = c.watch("w/", Some(all().with_start_revision(2))).await.unwrap();
    say("watch what is compacted", events(&mut stream, 1).await);
}

async fn locks(c: &mut Client) {
    for id in 61..65 {
        grant(c, id, 1000).await;
    }
    let lease = |id| Some(LockOptions::new().with_lease(id));
    let locked = |r: LockResponse| format!("{} rev={}", text(r.key()), rev(r.header()));
    say("lock", c.lock("n", lease(61)).await.map(locked));
    say("lock again", c.lock("n", lease(61)).await.map(locked));
    say("lock without its lease", c.lock("n", lease(99)).await.map(locked));
    let mut waiting = Vec::new();
    for id in [62, 63] {
        let mut other = c.clone();
        waiting.push(tokio::spawn(async move { other.lock("n", lease(id)).await }));
        until(c, "n/", id - 60).await;
    }
    let mut gone = c.clone();
    let task = tokio::spawn(async move { gone.lock("n", lease(64)).await });
    until(c, "n/", 4).await;
    task.abort();
    until(c, "n/", 3).await;
    say("unlock", c.unlock("n/3d").await.map(|r| format!("rev={}", rev(r.header()))));
    let second = within(waiting.remove(0)).await.unwrap();
    say("the next", second.map(locked));
    say("revoke its lease", c.lease_revoke(62).await.map(|r| format!("rev={}", rev(r.header()))));
    let third = within(waiting.remove(0)).await.unwrap();
    say("the one behind", third.map(locked));
    say("unlock nothing", c.unlock("").await.map(|_| "ok".into()));
}

async fn elections(c: &mut Client) {
    fn elected(r: CampaignResponse) -> String {
        let l = r.leader().unwrap();
        format!("{} {} rev={} lease={} at {}", text(l.name()), text(l.key()), l.rev(), l.lease(), rev(r.header()))
    }
    fn leads(r: LeaderResponse) -> String {
        format!("{} at {}", r.kv().map_or("-".into(), kv), rev(r.header()))
    }
    say("leader of none", c.leader("e").await.map(leads));
    let first = c.campaign("e", "one", 61).await.unwrap();
    let key = first.leader().unwrap().clone();
    say("campaign", Ok(elected(first)));
    let mut seen = c.observe("e").await.unwrap();
    let next = |r: std::result::Result<Option<LeaderResponse>, Error>| r.map(|r| r.map_or("end".into(), leads));
    say("observe", next(within(seen.message()).await));
    let proclaim = || Some(ProclaimOptions::new().with_leader(key.clone()));
    say("proclaim", c.proclaim("uno", proclaim()).await.map(|r| format!("rev={}", rev(r.header()))));
    say("observe what is proclaimed", next(within(seen.message()).await));
    say("leader", c.leader("e").await.map(leads));
    let mut other = c.clone();
    let second = tokio::spawn(async move { other.campaign("e", "two", 63).await });
    until(c, "e/", 2).await;
    let resign = || Some(ResignOptions::new().with_leader(key.clone()));
    say("resign", c.resign(resign()).await.map(|r| format!("rev={}", rev(r.header()))));
    say("the next", within(second).await.unwrap().map(elected));
    say("observe the next", next(within(seen.message()).await));
    say("proclaim, not leader", c.proclaim("x", proclaim()).await.map(|_| "ok".into()));
    say("resign, not leader", c.resign(resign()).await.map(|r| format!("rev={}", rev(r.header()))));
    say("proclaim without a leader", c.proclaim("x", None).await.map(|_| "ok".into()));
    say("resign without a leader", c.resign(None).await.map(|_| "ok".into()));
}

async fn others(c: &mut Client) {
    say("status", c.status().await.map(|r| format!("{} {} {}", &r.version()[..3], r.raft_term(), r.is_learner())));
    say("members", c.member_list().await.map(|r| format!("{:?}", r.members().iter().map(|m| m.name().to_string()).collect::<Vec<_>>())));
    say("hash", c.hash_kv(0).await.map(|r| format!("{} {}", r.hash(), r.compact_version())));
    say("alarms", c.alarm(AlarmAction::Get, AlarmType::None, None).await.map(|r| format!("{}", r.alarms().len())));
    say("defragment", c.defragment().await.map(|_| "ok".into()));
    let mut stream = c.snapshot().await.unwrap();
    let mut size = 0;
    while let Some(r) = within(stream.message()).await.unwrap() {
        size += r.blob().len();
    }
    say("snapshot", Ok(format!("{}", (size - 32) % 4096)));
    say("move leader", c.move_leader(1).await.map(|_| "ok".into()));
}

/// Last: the order of these is not ours, nor are the keys.
async fn concurrent(c: &mut Client) {
    say("lock with the server's lease", c.lock("own", None).await.map(|r| format!("{}", r.key().starts_with(b"own/"))));
    let mut all = Vec::new();
    for i in 0..20 {
        let mut other = c.clone();
        all.push(tokio::spawn(async move {
            for n in 0..5 {
                let lock = other.lock("many", None).await?;
                let value = other.get("count", None).await?.kvs().first().map_or(0, |k| k.value_str().unwrap().parse().unwrap());
                other.put("count", format!("{}", value + 1), None).await?;
                other.put(format!("c/{i}/{n}"), "v", None).await?;
                other.unlock(lock.key()).await?;
            }
            Ok::<(), Error>(())
        }));
    }
    for task in all {
        if let Err(e) = within(task).await.unwrap() {
            say("a lock", Err(e));
        }
    }
    say("100 locks", c.get("count", None).await.map(|r| text(r.kvs()[0].value())));
    say("keys", c.get("c/", Some(GetOptions::new().with_prefix().with_count_only())).await.map(|r| format!("{}", r.count())));
}

#[tokio::main]
async fn main() {
    let endpoint = std::env::args().nth(1).expect("checks ENDPOINT");
    let mut c = Client::connect([endpoint], None).await.unwrap();
    puts(&mut c).await;
    ranges(&mut c).await;
    txns(&mut c).await;
    leases(&mut c).await;
    watches(&mut c).await;
    locks(&mut c).await;
    elections(&mut c).await;
    others(&mut c).await;
    concurrent(&mut c).await;
}
