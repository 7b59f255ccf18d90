// Runs of rate networks, as Python calls them.

#include "rates_backward.hpp"

#include "export.hpp"

FWSIM_EXPORT void fwsim_rates_float32(const RatesRun<float> *run) { run_rates(*run); }
FWSIM_EXPORT void fwsim_rates_float64(const RatesRun<double> *run) { run_rates(*run); }
FWSIM_EXPORT void fwsim_rates_backward_float32(const RatesRun<float> *run) { run_rates_backward(*run); }
FWSIM_EXPORT void fwsim_rates_backward_float64(const RatesRun<double> *run) { run_rates_backward(*run); }

// Name of an operation of programs, or null beyond the last.
FWSIM_EXPORT const char *fwsim_operation(int64_t number) {
  static const char *const names[] = {
#define FWSIM_NAME(name, value) #name,
      FWSIM_OPERATIONS(FWSIM_NAME)
#undef FWSIM_NAME
  };
  return number < int64_t(sizeof(names) / sizeof(names[0])) ? names[number] : nullptr;
}

// Registers of a block of `program.hpp`.
FWSIM_EXPORT int64_t fwsim_block_bytes() { return BLOCK<Register<float>::V> * FWSIM_VECTOR_BYTES; }

// Steps whose pairs Python makes space for.
FWSIM_EXPORT int fwsim_pair_steps() { return PAIR_STEPS; }

FWSIM_EXPORT int64_t fwsim_rates_bytes() { return sizeof(RatesRun<float>); }

// Runs a program over rows `[row, stride]` alone, without a network.
template <class T>
static void run_program(const Instruction *instructions, int64_t count, T *rows, int64_t row_count, int64_t stride,
                        T *blocks, int64_t block_count, const T *numbers, int64_t number_count, void **addresses) {
  using V = typename Register<T>::V;
  const int64_t length = stride / Register<T>::L;
  const Places<V> places{(V *)rows, row_count, length, length, (V *)blocks, block_count, (V **)addresses};
  NoSubnormals guard;
  fill_blocks(places, numbers, number_count);
  run<V>({instructions, count}, places);
}
FWSIM_EXPORT void fwsim_program_float32(const Instruction *instructions, int64_t count, float *rows, int64_t row_count,
                                        int64_t stride, float *blocks, int64_t block_count, const float *numbers,
                                        int64_t number_count, void **addresses) {
  run_program(instructions, count, rows, row_count, stride, blocks, block_count, numbers, number_count, addresses);
}
FWSIM_EXPORT void fwsim_program_float64(const Instruction *instructions, int64_t count, double *rows,
                                        int64_t row_count, int64_t stride, double *blocks, int64_t block_count,
                                        const double *numbers, int64_t number_count, void **addresses) {
  run_program(instructions, count, rows, row_count, stride, blocks, block_count, numbers, number_count, addresses);
}
