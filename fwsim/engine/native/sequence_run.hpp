// What Python hands over for a sequence; the class `SequenceRun` of `sequence.py` has the same fields in the same order.
#pragma once

#include <cstdint>

enum Activation { RELU, TANH, SIGN };
enum Normalisation { NONE, INNER, ALL };

template <class T>
struct SequenceRun {
  int64_t batch, time, inputs, units, inner_steps;
  int64_t activation, normalise, self_connections;
  int64_t sets;          // of slow weights
  int64_t before;        // states in `written`
  int64_t writes;        // states that the run writes: those of its first steps, or as `slot` says
  int64_t ages;          // of `age_weight`
  int64_t chunk;         // writes after which all written states are added to the matrices
  int64_t matrices;      // K, or 0 where a run needs none
  int64_t decays;        // writes that `decayed` knows
  int64_t rates;         // sets of tables: 1, or one for each batch element
  int64_t symmetric;     // whether the matrices are
  int64_t group;         // chunks between two checkpoints
  int64_t checkpoints;   // how many
  int64_t saved_fields;  // S, or 0: the inner loop is run again in the backward pass
  int64_t threads;
  void *team;
  char *workspace;

  const T *x, *C, *b;               // [batch, time, input], [set, unit, input], [set, unit]
  const T *hidden, *W;              // [batch, unit], [set, unit, unit]
  const T *gain, *bias;             // [set, unit]
  const T *written, *matrix;        // [batch, before, unit], [batch, K, post, pre] or null for zero
  const T *age_weight;              // [rates, age]: κ from the oldest age to age 0
  const T *write_weight, *decayed;  // [rates, age, K], [rates, write, K]: see memory.hpp
  // A schedule, or null: the slot that each step's state is written to, or −1; slots that the step reads; whether it
  // starts from the state before; its set of slow weights.
  const int32_t *slot, *readable, *continues, *set;

  T *states, *inner, *final;       // [batch, time, unit], [batch, time, S + 1, unit] or null, [batch, K, post, pre]
  T *sustained, *normal, *scale;   // z and the inner loop's fields, saved for the backward pass; or null
  T *checkpoint;                   // [batch, checkpoints, K · pre, post]: matrices, saved for the backward pass

  const T *d_states, *d_inner, *d_final;  // the last two may be null
  T *d_x, *d_C, *d_b, *d_hidden, *d_W, *d_gain, *d_bias, *d_written, *d_matrix;
  T *d_age_weight, *d_write_weight, *d_decayed;  // [batch, …], zero before, summed in the first row if rates = 1; or null
};
