// Sequences, as Python calls them: functions for each precision and layout, which take a pointer to a `SequenceRun`.

#include "sequence.hpp"

#include "export.hpp"

#define FUNCTIONS(NAME, T, LAYOUT)                                                      \
  FWSIM_EXPORT int64_t fwsim_workspace_##NAME(const SequenceRun<T> *run, int backward) {       \
    return Workspace<LAYOUT<T>>(*run, backward).bytes();                               \
  }                                                                                    \
  FWSIM_EXPORT void fwsim_forward_##NAME(const SequenceRun<T> *run) { forward<LAYOUT<T>>(*run); } \
  FWSIM_EXPORT void fwsim_backward_##NAME(const SequenceRun<T> *run) { backward<LAYOUT<T>>(*run); }

FWSIM_EXPORT int64_t fwsim_sequence_bytes() { return sizeof(SequenceRun<float>); }

FUNCTIONS(float32_units, float, UnitLayout)
FUNCTIONS(float64_units, double, UnitLayout)
FUNCTIONS(float32_batch, float, BatchLayout)
FUNCTIONS(float64_batch, double, BatchLayout)
