"""What synapses of an extension module of NEST transmit: python nest_responses.py MODULE TO.npz MODELS STEPS."""

import sys

import nest
import numpy as np

module, to, models, steps = sys.argv[1:]
nest.ResetKernel()
nest.Install(module)
nest.resolution = 0.1
times = [round(0.1 * int(step), 1) for step in steps.split(",")]
source = nest.Create("spike_generator", params={"spike_times": times})
pre, post = nest.Create("parrot_neuron", 2)
nest.Connect(source, pre)
recorders = {}
for model in models.split(","):
    recorders[model] = nest.Create("weight_recorder")
    nest.CopyModel(model, f"recorded_{model}", {"weight_recorder": recorders[model]})
    nest.Connect(pre, post, syn_spec={"synapse_model": f"recorded_{model}"})
nest.Simulate(times[-1] + 10)
found = {}
for model, recorder in recorders.items():
    events = recorder.events
    found[model] = events["weights"][np.argsort(events["times"], kind="stable")]
np.savez(to, **found)
