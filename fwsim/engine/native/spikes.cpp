// Runs of spiking networks, as Python calls them.

#include "spikes.hpp"

#include "export.hpp"

FWSIM_EXPORT int64_t fwsim_spikes_workspace(const SpikesRun *run) {
  return run->threads * trial_bytes(*run);
}
FWSIM_EXPORT int64_t fwsim_spikes_bytes() { return sizeof(SpikesRun); }
FWSIM_EXPORT int64_t fwsim_spike_source_bytes() { return sizeof(SpikeSource); }
FWSIM_EXPORT int64_t fwsim_spike_rule_bytes() { return sizeof(SpikeRule); }
FWSIM_EXPORT int64_t fwsim_spike_synapses_bytes() { return sizeof(SpikeSynapses); }
FWSIM_EXPORT int64_t fwsim_association_bytes() { return sizeof(Association); }
FWSIM_EXPORT int fwsim_most_variables() { return MOST_VARIABLES; }
FWSIM_EXPORT void fwsim_spikes(const SpikesRun *run, char *workspace) { run_spikes(*run, workspace); }

// Standard normal numbers alone, to be tested.
FWSIM_EXPORT void fwsim_normal(int64_t seed, int64_t step, int64_t trial, int64_t count, float *target) {
  counter::normal(uint64_t(seed), uint64_t(step), uint32_t(trial), 0, count, target);
}
