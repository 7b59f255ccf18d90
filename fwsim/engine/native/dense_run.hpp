// What Python hands over for a sequence with a memory kept as a matrix; the class `DenseRun` of `dense.py` has the same
// fields in the same order.
#pragma once

#include "sequence_run.hpp"

// What a write adds: post preᵀ; that less post² A; or the error of the answer to the normalised presynaptic side.
enum Rule { HEBBIAN, OJA, DELTA };

// Activities that the presynaptic side consists of: the input, the state before the step, the state of the inner loop.
enum Activity { INPUTS, PREVIOUS, UNITS };

template <class T>
struct DenseRun {
  int64_t batch, time, inputs, units, inner_steps;
  int64_t activation, normalise, self_connections;
  int64_t timescales;                  // K
  int64_t sources;                     // presynaptic channels
  int64_t parts, activity[3];          // what they are, in this order
  int64_t rule, multiplicative;        // whether the memory scales the static weights of its connections
  int64_t before;                      // whether a step writes the state before it, and then reads
  int64_t gates, keep, store;          // number of gates; rows of `gate_weights`, or −1
  int64_t rates;                       // sets of constants: 1, or one for each batch element
  int64_t decay_rows, strength_rows;   // presynaptic channels that constants are given for: 1 or all
  int64_t group, checkpoints;          // steps between two checkpoints, and how many
  int64_t threads;

  const T *x, *hidden;                 // [batch, time, input], [batch, unit]
  const T *weights;                    // C, W and b side by side, [unit, input + unit + 1]
  const T *gate_weights;               // [gate, input + unit + 1]
  const T *gain, *bias;                // [unit]
  const T *matrix;                     // [batch, K, post, pre], or null for zero
  const T *decay, *strength;           // [rates, K, 1 or pre, post]

  T *states, *inner, *final;           // [batch, time, unit], [batch, time, S + 1, unit] or null, [batch, K, post, pre]
  T *sustained, *checkpoint;           // z, and matrices in registers, saved for the backward pass; or null

  const T *d_states, *d_inner, *d_final;  // the last two may be null
  T *d_x, *d_hidden, *d_weights, *d_gate_weights, *d_gain, *d_bias, *d_matrix;
  T *d_decay, *d_strength;             // as the constants are
  char *workspace;
  void *team;
};
