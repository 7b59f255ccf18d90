"""Rate networks and inputs that several tests share."""

import torch

import fwsim as fw
from fwsim import ms

DOUBLE = torch.float64
TM = {"U": 0.3, "tau_rec": 0.3, "tau_facil": 1.5}
PRESYNAPTIC = {
    "maass2002": fw.TsodyksMarkram(**TM),
    "mongillo2008": fw.TsodyksMarkram(**TM, convention="mongillo2008"),
    "tm1998": fw.TsodyksMarkram(**TM, convention="tm1998", tau_inact=0.003),
    "depressing": fw.TsodyksMarkram(U=0.5, tau_rec=0.8, tau_facil=0.0),
    "instant": fw.TsodyksMarkram(**TM, convention="tm1998"),
    "varela": fw.Varela(),
    "enhancement": fw.Enhancement(potentiation=(0.01,), tau_potentiation=(7.0,)),
}
ASSOCIATIVE = {
    "traces": fw.HebbianTraces(tau=0.5, eta=0.02),
    "benna_fusi": fw.BennaFusi(length=3, tau=0.2, eta=0.05, leak=1.0),
    "bcpnn": fw.BCPNN(tau_p=0.5),
    "product": fw.Product(fw.HebbianTraces(tau=0.5, eta=0.02), fw.TsodyksMarkram(**TM)),
}


def identity(h):
    return h


def tensor(*values):
    return torch.tensor(values, dtype=DOUBLE)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def constant(value, time, batch=1):
    return torch.as_tensor(value, dtype=DOUBLE).expand(batch, time, -1)


def last(net, drive, state=None):
    rate, state = net(drive, state)
    return rate[:, -1], state


def rich(dt, **options):
    """Make a network with every nonlinearity: three rules of both kinds, a memory, inhibition."""
    mixed = [
        fw.Projection(0.4 * random(4, 4), synapse=fw.TsodyksMarkram(**TM)),
        fw.Projection(0.3 * random(4, 4, seed=1), synapse=fw.Varela()),
        fw.Projection(0.3 * random(4, 4, seed=2), synapse=fw.HebbianTraces(tau=0.5, eta=0.02)),
        fw.Projection(0.2 * random(4, 4, seed=3)),
    ]
    memory = fw.Hebbian(tau=[0.1, 1.0], eta_rate=[0.2, 0.05])
    return fw.RateNetwork(
        mixed, tau=10 * ms, gain=fw.softplus(2.0), memory=memory, normalise="divisive", dt=dt, **options
    )
