"""What is done to a cluster while clients write: each fault by itself, and a stream of them out of a seed."""
import signal
import time


def stop(m):
    m.process.send_signal(signal.SIGSTOP)


def go_on(m):
    m.process.send_signal(signal.SIGCONT)


class Nemesis:
    """One fault at a time, most of them of one member, the leader more often than not."""

    FAULTS = ['kill', 'kill', 'stop', 'stop', 'move leader', 'kill all']
    CUTS = ['cut', 'cut from peers', 'cut from peers', 'cut from clients', 'cut from one peer']
    SIDES = {'cut': 'pc', 'cut from peers': 'p', 'cut from clients': 'c'}

    def __init__(self, cluster, network, rng):
        self.cluster, self.network, self.rng = cluster, network, rng
        self.told = []

    def victim(self):
        if self.rng.random() < 0.6:
            return self.cluster.leader()
        return self.rng.choice(self.cluster.members)

    def kill(self, members, hold_s):
        for m in members:
            m.kill()
        time.sleep(hold_s)
        for m in members:
            m.start()

    def move(self, m):
        status = self.cluster.status([m]).get(m.url)
        if status is not None:
            ident = status['header']['member_id']
            self.cluster.ctl('move-leader', f'{ident:x}', members=[self.cluster.leader()], ok=False)

    def round(self, hold_s):
        m, fault = self.victim(), self.rng.choice(self.FAULTS + (self.CUTS if self.network else []))
        self.told.append((round(time.monotonic(), 3), fault, m.name))
        if fault in ('kill', 'kill all'):
            self.kill([m] if fault == 'kill' else self.cluster.members, hold_s)
        elif fault == 'stop':
            stop(m)
            time.sleep(hold_s)
            go_on(m)
        elif fault == 'move leader':
            self.move(self.rng.choice(self.cluster.members))
        elif fault == 'cut from one peer':
            other = self.rng.choice([o for o in self.cluster.members if o is not m])
            self.network.part(m, other)
            time.sleep(hold_s)
            self.network.unite(m, other)
        else:
            self.network.cut(m, self.SIDES[fault])
            time.sleep(hold_s)
            self.network.mend(m, self.SIDES[fault])

    def run(self, seconds, hold_s=(0.2, 2.5), rest_s=(0.2, 1.5)):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(self.rng.uniform(*rest_s))
            self.round(self.rng.uniform(*hold_s))
