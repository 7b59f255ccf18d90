// Puts synapses in the order in which `spikes.hpp` reads them: by presynaptic neuron, then by delay, then as they were
// drawn. A counting sort, so that parts of a network may be drawn and placed one after the other.

#include <cstdint>

#include "export.hpp"

// Counts synapses by neuron and delay, `[neuron, slot]`.
FWSIM_EXPORT void fwsim_count_synapses(int64_t count, int64_t slots, const int32_t *pre, const int32_t *delay,
                                       int64_t *counted) {
  for (int64_t i = 0; i < count; i++) counted[pre[i] * slots + delay[i]]++;
}

// Places them; `next [neuron, slot]` says where the next synapse of each kind goes. Each has its own `jump`; where this is
// null, all have the same `level`.
FWSIM_EXPORT void fwsim_place_synapses(int64_t count, int64_t slots, const int32_t *pre, const int32_t *post,
                                       const int32_t *delay, const float *jump, int64_t level, int64_t *next,
                                       int32_t *target, float *jumps, uint8_t *levels) {
  for (int64_t i = 0; i < count; i++) {
    const int64_t place = next[pre[i] * slots + delay[i]]++;
    target[place] = post[i];
    if (jump)
      jumps[place] = jump[i];
    else
      levels[place] = uint8_t(level);
  }
}
