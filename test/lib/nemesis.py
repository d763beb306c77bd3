"""What is done to a cluster while clients write: each fault by itself, and a stream of them out of a seed."""
import signal
import time


def stop(m):
    m.process.send_signal(signal.SIGSTOP)


def go_on(m):
    m.process.send_signal(signal.SIGCONT)


def revive(m):
    """After a kill; the member is there again when it answers."""
    m.start()


class Nemesis:
    """One fault at a time, of one member, the leader more often than not."""

    FAULTS = ['kill', 'stop', 'cut', 'cut from peers']

    def __init__(self, cluster, network, rng):
        self.cluster, self.network, self.rng = cluster, network, rng
        self.told = []

    def victim(self):
        if self.rng.random() < 0.6:
            return self.cluster.leader()
        return self.rng.choice(self.cluster.members)

    def round(self, hold_s):
        faults = self.FAULTS if self.network else self.FAULTS[:2]
        m, fault = self.victim(), self.rng.choice(faults)
        self.told.append((round(time.monotonic(), 3), fault, m.name))
        if fault == 'kill':
            m.kill()
            time.sleep(hold_s)
            revive(m)
        elif fault == 'stop':
            stop(m)
            time.sleep(hold_s)
            go_on(m)
        else:
            sides = 'pc' if fault == 'cut' else 'p'
            self.network.cut(m, sides)
            time.sleep(hold_s)
            self.network.mend(m, sides)

    def run(self, seconds, hold_s=(0.2, 2.5), rest_s=(0.2, 1.5)):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(self.rng.uniform(*rest_s))
            self.round(self.rng.uniform(*hold_s))
