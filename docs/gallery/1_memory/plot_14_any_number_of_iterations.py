"""
A loop that may go on for ever
==============================

Two networks learn to look up one of two letter–digit pairs. One is always trained with one iteration of the inner loop
at the query. The other is trained with one at first, and later with a number that is drawn anew for every batch.
"""

import matplotlib.pyplot as plt
import torch

import fwsim as fw
from fwsim.training import InnerSteps, Training, cross_entropy, error_rate, shuffled, train, varied

task = fw.tasks.AssociativeRetrieval(pairs=2)
examples, test = (task.sample(n, torch.Generator().manual_seed(k)) for k, n in enumerate((25_600, 1_000)))
epochs, steps = 8, 200


def stream(epoch):
    """Random numbers of an epoch."""
    return torch.Generator().manual_seed(epoch)


def trained(schedule):
    """A network trained with this schedule of iterations."""
    torch.manual_seed(0)
    net = fw.FastWeightNetwork(32, 32, fw.Hebbian(tau=50.0, eta=0.2))
    model = fw.models.SequenceClassifier(net, task.tokens, task.classes, 32)
    batches = varied(shuffled(examples, 128, stream), schedule, epochs, steps, stream)
    train(model, cross_entropy, batches, steps, None, Training(epochs, 1e-2, clip=1.0))
    return model


schedules = {"always 1": InnerSteps(after=1.0), "first 1, then 1 … 8": InnerSteps(most=8, after=0.3)}
counts = (1, 2, 3, 4, 8, 16, 32, 64)
fig, axes = plt.subplots(figsize=(3.5, 2.6))
for name, schedule in schedules.items():
    model = trained(schedule)
    errors = [100 * error_rate(model, test, inner_steps=(1, count)) for count in counts]
    axes.plot(counts, errors, "o-", label=name)
axes.set(xscale="log", xlabel="inner iterations at the query", ylabel="wrong answers (%)", ylim=(0, None))
axes.legend(title="iterations in training")
plt.show()

# %%
# The first network has to be stopped at the right moment. The loop of the second converges to the answer, and stays.
