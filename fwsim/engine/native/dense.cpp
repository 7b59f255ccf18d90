// Sequences with a memory kept as a matrix, as Python calls them: functions for each precision, which take a pointer to a
// `DenseRun`.

#include "dense.hpp"

#include "export.hpp"

#define FUNCTIONS(NAME, T)                                                                        \
  FWSIM_EXPORT int64_t fwsim_dense_workspace_##NAME(const DenseRun<T> *run, int backward) {       \
    return DenseWorkspace<T>(*run, backward).bytes();                                             \
  }                                                                                               \
  FWSIM_EXPORT void fwsim_dense_forward_##NAME(const DenseRun<T> *run) { dense_forward(*run); }   \
  FWSIM_EXPORT void fwsim_dense_backward_##NAME(const DenseRun<T> *run) { dense_backward(*run); }

FWSIM_EXPORT int64_t fwsim_dense_bytes() { return sizeof(DenseRun<float>); }

FUNCTIONS(float32, float)
FUNCTIONS(float64, double)
