// Checks ENDPOINT: what Java's jetcd sees of a server, one line a check, without anything that may differ between two
// servers on copies of one directory.  Two outputs are compared line by line.

import io.etcd.jetcd.*;
import io.etcd.jetcd.kv.*;
import io.etcd.jetcd.lease.*;
import io.etcd.jetcd.op.*;
import io.etcd.jetcd.options.*;
import io.etcd.jetcd.watch.*;
import io.etcd.jetcd.election.*;
import io.etcd.jetcd.common.exception.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

public class Checks {
    static final long HANG_S = 60;
    static Client client;
    static KV kv;

    interface Action {
        Object run() throws Exception;
    }

    static ByteSequence b(String s) {
        return ByteSequence.from(s, StandardCharsets.ISO_8859_1);
    }

    static String text(ByteSequence s) {
        String t = s.toString(StandardCharsets.ISO_8859_1);
        return t.length() > 40 ? t.length() + " bytes " + t.hashCode() : t;
    }

    static <T> T wait(CompletableFuture<T> f) throws Exception {
        try {
            return f.get(HANG_S, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            throw e.getCause() instanceof Exception ? (Exception) e.getCause() : e;
        }
    }

    static void check(String name, Action action) {
        String saw;
        try {
            saw = String.valueOf(action.run());
        } catch (EtcdException e) {
            saw = e.getErrorCode() + " " + e.getMessage();
        } catch (Exception e) {
            saw = e.getClass().getSimpleName() + " " + e.getMessage();
        }
        System.out.println(name + ": " + saw);
    }

    static String show(KeyValue k) {
        return "[" + text(k.getKey()) + "=" + text(k.getValue()) + " c" + k.getCreateRevision() + " m"
            + k.getModRevision() + " v" + k.getVersion() + " l" + k.getLease() + "]";
    }

    static String show(List<KeyValue> all) {
        return all.stream().map(Checks::show).collect(Collectors.joining(" "));
    }

    static String got(GetResponse r) {
        return "rev=" + r.getHeader().getRevision() + " count=" + r.getCount() + " more=" + r.isMore() + " "
            + show(r.getKvs());
    }

    static String get(String key, GetOption o) throws Exception {
        return got(wait(kv.get(b(key), o)));
    }

    static String put(String key, String value, PutOption o) throws Exception {
        PutResponse r = wait(kv.put(b(key), b(value), o));
        return "rev=" + r.getHeader().getRevision() + (r.hasPrevKv() ? " prev=" + show(r.getPrevKv()) : "");
    }

    static String delete(String key, DeleteOption o) throws Exception {
        DeleteResponse r = wait(kv.delete(b(key), o));
        return "rev=" + r.getHeader().getRevision() + " deleted=" + r.getDeleted() + " " + show(r.getPrevKvs());
    }

    static String done(TxnResponse r) {
        return "succeeded=" + r.isSucceeded() + " rev=" + r.getHeader().getRevision() + " puts="
            + r.getPutResponses().size() + " gets="
            + r.getGetResponses().stream().map(g -> show(g.getKvs())).collect(Collectors.toList()) + " deletes="
            + r.getDeleteResponses().stream().map(d -> d.getDeleted()).collect(Collectors.toList());
    }

    static long rev() throws Exception {
        return wait(kv.get(b("x"))).getHeader().getRevision();
    }

    static void until(String prefix, long count) throws Exception {
        GetOption o = GetOption.builder().isPrefix(true).withCountOnly(true).build();
        for (int i = 0; i < 1200; i++) {
            if (wait(kv.get(b(prefix), o)).getCount() == count) {
                return;
            }
            Thread.sleep(50);
        }
        throw new IllegalStateException(prefix + ": not " + count + " keys");
    }

    // ---- KV ----

    static void puts() {
        check("put", () -> put("p1", "a", PutOption.DEFAULT));
        check("put with prev", () -> put("p1", "b", PutOption.builder().withPrevKV().build()));
        check("put empty", () -> put("p2", "", PutOption.DEFAULT));
        check("put empty key", () -> put("", "x", PutOption.DEFAULT));
        check("put without its lease", () -> put("p1", "c", PutOption.builder().withLeaseId(77).build()));
        check("put 1 MiB", () -> put("big", "x".repeat(1 << 20), PutOption.DEFAULT));
        check("get 1 MiB", () -> get("big", GetOption.DEFAULT));
        check("put more than 1.5 MiB", () -> put("big", "x".repeat(1572865), PutOption.DEFAULT));
    }

    static GetOption.Builder all() {
        return GetOption.builder().isPrefix(true);
    }

    static void ranges() throws Exception {
        String[] values = {"e", "d", "c", "b", "a"};
        for (int i = 0; i < values.length; i++) {
            put("r" + i, values[i], PutOption.DEFAULT);
        }
        check("get", () -> get("r1", GetOption.DEFAULT));
        check("get none", () -> get("none", GetOption.DEFAULT));
        check("prefix", () -> get("r", all().build()));
        check("limit", () -> get("r", all().withLimit(2).build()));
        check("keys", () -> get("r", all().withKeysOnly(true).build()));
        check("count", () -> get("r", all().withCountOnly(true).build()));
        check("range", () -> get("r1", GetOption.builder().withRange(b("r3")).build()));
        check("serializable", () -> get("r1", GetOption.builder().withSerializable(true).build()));
        for (GetOption.SortTarget t : GetOption.SortTarget.values()) {
            for (GetOption.SortOrder o : GetOption.SortOrder.values()) {
                check("sorted by " + t + ", " + o,
                    () -> get("r", all().withSortField(t).withSortOrder(o).withLimit(3).build()));
            }
        }
        long now = rev();
        check("older", () -> get("r", all().withRevision(now - 2).build()));
        check("future", () -> get("r", all().withRevision(now + 100).build()));
        check("delete", () -> delete("r1", DeleteOption.builder().withPrevKV(true).build()));
        check("delete again", () -> delete("r1", DeleteOption.DEFAULT));
        check("delete prefix", () -> delete("r", DeleteOption.builder().isPrefix(true).build()));
        check("compact", () -> wait(kv.compact(now)).getHeader().getRevision());
        check("compact again", () -> wait(kv.compact(now)).getHeader().getRevision());
        check("compact the future", () -> wait(kv.compact(now + 100)).getHeader().getRevision());
        check("compacted", () -> get("r", all().withRevision(now - 1).build()));
    }

    static void txns() throws Exception {
        put("t1", "m", PutOption.DEFAULT);
        Op.GetOp get = Op.get(b("t"), all().build());
        for (Cmp.Op op : Cmp.Op.values()) {
            check("if version " + op, () -> done(wait(kv.txn().If(new Cmp(b("t1"), op, CmpTarget.version(1)))
                .Then(get).commit())));
            check("if value " + op, () -> done(wait(kv.txn().If(new Cmp(b("t1"), op, CmpTarget.value(b("m"))))
                .Then(get).commit())));
            check("if mod " + op, () -> done(wait(kv.txn().If(new Cmp(b("t1"), op, CmpTarget.modRevision(5)))
                .Then(get).commit())));
        }
        check("then", () -> done(wait(kv.txn().Then(Op.put(b("t2"), b("x"), PutOption.DEFAULT), get,
            Op.delete(b("t1"), DeleteOption.DEFAULT), get).commit())));
        check("else", () -> done(wait(kv.txn().If(new Cmp(b("t1"), Cmp.Op.GREATER, CmpTarget.version(0)))
            .Else(Op.put(b("t1"), b("new"), PutOption.DEFAULT), get).commit())));
        check("the same key twice", () -> done(wait(kv.txn().Then(Op.put(b("t3"), b("1"), PutOption.DEFAULT),
            Op.put(b("t3"), b("2"), PutOption.DEFAULT)).commit())));
    }

    // ---- leases and watches ----

    static String ttl(Lease lease, long id) throws Exception {
        LeaseTimeToLiveResponse r = wait(lease.timeToLive(id, LeaseOption.builder().withAttachedKeys().build()));
        return r.getGrantedTTL() + " " + r.getKeys().stream().map(Checks::text).collect(Collectors.toList());
    }

    static void leases() throws Exception {
        Lease lease = client.getLeaseClient();
        long id = wait(lease.grant(100)).getID();
        PutOption leased = PutOption.builder().withLeaseId(id).build();
        check("put with a lease", () -> put("l/a", "1", leased));
        check("put another", () -> put("l/b", "2", leased));
        check("time to live", () -> ttl(lease, id));
        check("time to live of none", () -> ttl(lease, 99));
        check("keep alive", () -> wait(lease.keepAliveOnce(id)).getTTL());
        check("keep alive of none", () -> wait(lease.keepAliveOnce(99)).getTTL());
        check("lease too large", () -> wait(lease.grant(9000000001L)).getTTL());
        check("lease of a second", () -> wait(lease.grant(1)).getTTL());
        check("revoke", () -> wait(lease.revoke(id)).getHeader().getRevision());
        check("revoke again", () -> wait(lease.revoke(id)).getHeader().getRevision());
        check("after it", () -> get("l/", all().build()));
        long shorter = wait(lease.grant(2)).getID();
        put("l/c", "3", PutOption.builder().withLeaseId(shorter).build());
        check("a lease ends", () -> {
            until("l/c", 0);
            return ttl(lease, shorter);
        });
    }

    static void write() throws Exception {
        put("w/1", "a", PutOption.DEFAULT);
        put("w/2", "b", PutOption.DEFAULT);
        put("w/1", "c", PutOption.DEFAULT);
        put("x", "d", PutOption.DEFAULT);
        delete("w/2", DeleteOption.DEFAULT);
    }

    static void watch(String name, String key, WatchOption.Builder option, int count, boolean writes) throws Exception {
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        long from = rev() + 1;
        if (writes) {
            option.withRevision(from);
        }
        Watch.Watcher w = client.getWatchClient().watch(b(key), option.build(), r -> {
            for (WatchEvent e : r.getEvents()) {
                seen.add(e.getEventType() + " " + show(e.getKeyValue())
                    + (e.getPrevKV().getKey().isEmpty() ? "" : " was " + text(e.getPrevKV().getValue())));
            }
        }, e -> seen.add(e.toString()));
        if (writes) {
            write();
        }
        check(name, () -> {
            List<String> out = new ArrayList<>();
            while (out.size() < count) {
                out.add(String.valueOf(seen.poll(HANG_S, TimeUnit.SECONDS)));
            }
            return out;
        });
        w.close();
    }

    static void watches() throws Exception {
        long first = rev();
        watch("watch a key", "w/1", WatchOption.builder(), 2, true);
        watch("watch a prefix", "w/", WatchOption.builder().isPrefix(true), 4, true);
        watch("watch with prev", "w/", WatchOption.builder().isPrefix(true).withPrevKV(true), 4, true);
        watch("watch without puts", "w/", WatchOption.builder().isPrefix(true).withNoPut(true), 1, true);
        watch("watch without deletes", "w/", WatchOption.builder().isPrefix(true).withNoDelete(true), 3, true);
        watch("watch a range", "w/1", WatchOption.builder().withRange(b("w/2")), 2, true);
        watch("watch from a revision", "w/", WatchOption.builder().isPrefix(true).withRevision(first + 1), 24, false);
        long last = rev();
        check("compact under watches", () -> wait(kv.compact(last)).getHeader().getRevision());
        watch("watch what is compacted", "w/1", WatchOption.builder().withRevision(first + 1), 1, false);
    }

    // ---- locks and elections: the keys end in the lease's id, which is the server's ----

    static String masked(ByteSequence key) {
        return text(key).replaceAll("/[0-9a-f]+$", "/ID");
    }

    static void locks() throws Exception {
        Lock lock = client.getLockClient();
        long one = wait(client.getLeaseClient().grant(1000)).getID();
        long two = wait(client.getLeaseClient().grant(1000)).getID();
        ByteSequence[] key = new ByteSequence[1];
        check("lock", () -> masked(key[0] = wait(lock.lock(b("n"), one)).getKey()));
        check("lock again", () -> wait(lock.lock(b("n"), one)).getHeader().getRevision());
        check("lock without its lease", () -> masked(wait(lock.lock(b("n"), 99)).getKey()));
        CompletableFuture<io.etcd.jetcd.lock.LockResponse> second = lock.lock(b("n"), two);
        until("n/", 2);
        check("lock waits", second::isDone);
        check("unlock", () -> wait(lock.unlock(key[0])).getHeader().getRevision());
        check("lock has waited", () -> masked(wait(second).getKey()));
        check("unlock again", () -> wait(lock.unlock(key[0])).getHeader().getRevision());
        check("revoke", () -> wait(client.getLeaseClient().revoke(two)).getHeader().getRevision());
        check("lock after it", () -> masked(wait(lock.lock(b("n"), one)).getKey()));
    }

    static void elections() throws Exception {
        Election election = client.getElectionClient();
        long one = wait(client.getLeaseClient().grant(1000)).getID();
        long two = wait(client.getLeaseClient().grant(1000)).getID();
        check("leader of none", () -> show(wait(election.leader(b("e"))).getKv()));
        LeaderKey[] key = new LeaderKey[1];
        check("campaign", () -> {
            key[0] = wait(election.campaign(b("e"), one, b("one"))).getLeader();
            return masked(key[0].getKey()) + " " + key[0].getRevision();
        });
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        election.observe(b("e"), new Election.Listener() {
            public void onNext(LeaderResponse r) {
                seen.add(text(r.getKv().getValue()) + " " + r.getKv().getModRevision());
            }

            public void onError(Throwable e) {
                seen.add(e.toString());
            }

            public void onCompleted() {
                seen.add("end");
            }
        });
        check("observe", () -> seen.poll(HANG_S, TimeUnit.SECONDS));
        check("proclaim", () -> wait(election.proclaim(key[0], b("uno"))).getHeader().getRevision());
        check("observe what is proclaimed", () -> seen.poll(HANG_S, TimeUnit.SECONDS));
        check("leader", () -> text(wait(election.leader(b("e"))).getKv().getValue()));
        CompletableFuture<CampaignResponse> second = election.campaign(b("e"), two, b("two"));
        until("e/", 2);
        check("campaign waits", second::isDone);
        check("resign", () -> wait(election.resign(key[0])).getHeader().getRevision());
        check("campaign has waited", () -> masked(wait(second).getLeader().getKey()));
        check("observe the next", () -> seen.poll(HANG_S, TimeUnit.SECONDS));
        check("proclaim, not leader", () -> wait(election.proclaim(key[0], b("x"))).getHeader().getRevision());
        check("resign, not leader", () -> wait(election.resign(key[0])).getHeader().getRevision());
    }

    static void others(String endpoint) {
        check("members", () -> wait(client.getClusterClient().listMember()).getMembers().size());
        check("alarms", () -> wait(client.getMaintenanceClient().listAlarms()).getAlarms().size());
        check("status", () -> wait(client.getMaintenanceClient().statusMember(b(endpoint).toString())).getVersion()
            .substring(0, 3));
        check("defragment", () -> wait(client.getMaintenanceClient().defragmentMember(b(endpoint).toString())) != null);
    }

    // Last: the order of these writes is not ours.
    static void concurrent() {
        check("500 puts", () -> {
            List<CompletableFuture<PutResponse>> all = new ArrayList<>();
            for (int i = 0; i < 500; i++) {
                all.add(kv.put(b("c/" + i), b("v")));
            }
            for (CompletableFuture<PutResponse> f : all) {
                wait(f);
            }
            return get("c/", all().withCountOnly(true).build());
        });
    }

    public static void main(String[] args) throws Exception {
        String endpoint = "http://" + args[0];
        client = Client.builder().endpoints(endpoint).build();
        kv = client.getKVClient();
        puts();
        ranges();
        txns();
        leases();
        watches();
        locks();
        elections();
        others(endpoint);
        concurrent();
        client.close();
        System.exit(0);
    }
}
