// Synapses that spikes of both sides change. Each has a state of its own, which is brought up to date when a spike
// reaches it: a spike of the presynaptic neuron after the delay, one of the postsynaptic neuron at once.
#pragma once

#include "program.hpp"

constexpr int MOST_VARIABLES = 16;  // of a rule

// A rule and the states of its synapses.
struct Association {
  int64_t variables, entries, bits, numbers, temporaries, pre_count, post_count;
  const Instruction *pre, *post;  // from the state to the state after a spike; for pre also to the weight it reads
  const double *literals;
  const double *rest;        // [variable]
  const int32_t *to, *from;  // [entry]: which variables the entries of a transition connect
  const double *powers;      // [bit, entry]: exp(J 2^bit dt)
  const int64_t *begins;     // [neuron + 1]: the first of the synapses onto each neuron
  const int32_t *incoming;   // synapses in the order of their targets
  double *state;             // [trial, synapse, variable] after the last spike of either side
  int64_t *last;             // [trial, synapse]: the step of this spike
};

// Applies spikes to the synapses of one trial, some at once.
class Pairing {
 public:
  static constexpr int AT_ONCE = BLOCK<Register<double>::V> * Register<double>::L;

  // Numbers of workspace that a rule needs, and addresses.
  static int64_t numbers(const Association &rule) {
    return (rule.variables + 1 + rule.numbers + rule.temporaries) * AT_ONCE;
  }
  static int64_t addresses(const Association &rule) {
    return rule.variables + 1 + rule.numbers + rule.temporaries;
  }

  Pairing(const Association &rule, double *state, int64_t *last, double *rows, double **at)
      : rule(rule), state(state), last(last), rows(rows), at(at) {
    const int64_t row_count = rule.variables + 1;
    for (int64_t i = 0; i < row_count * AT_ONCE; i++) rows[i] = 1;  // places without a synapse
    fill_blocks(places(AT_ONCE), rule.literals, rule.numbers);
  }

  // A spike reaches a synapse from the presynaptic side; `add(synapse, weight)` gets what it reads.
  template <class Add>
  void arrive(int64_t synapse, int64_t step, Add &&add) {
    due[waiting++] = synapse;
    if (waiting == AT_ONCE) settle(step, add);
  }

  // Applies all presynaptic spikes that have arrived.
  template <class Add>
  void settle(int64_t step, Add &&add) {
    apply(step, {rule.pre, rule.pre_count});
    const double *const weight = rows + rule.variables * AT_ONCE;
    for (int s = 0; s < waiting; s++) add(due[s], weight[s]);
    waiting = 0;
  }

  // A neuron spikes: its synapses notice.
  void answer(int64_t neuron, int64_t step) {
    for (int64_t i = rule.begins[neuron]; i < rule.begins[neuron + 1]; i++) {
      due[waiting++] = rule.incoming[i];
      if (waiting == AT_ONCE || i + 1 == rule.begins[neuron + 1]) {
        apply(step, {rule.post, rule.post_count});
        waiting = 0;
      }
    }
  }

 private:
  const Association &rule;
  double *const state;
  int64_t *const last;
  double *const rows;
  double **const at;
  int64_t due[AT_ONCE];
  int waiting = 0;

  Places<Register<double>::V> places(int64_t count) const {
    using V = Register<double>::V;
    constexpr int64_t L = Register<double>::L;
    const int64_t row_count = rule.variables + 1;
    return {(V *)rows, row_count, AT_ONCE / L, (count + L - 1) / L,
            (V *)(rows + row_count * AT_ONCE), rule.numbers + rule.temporaries, (V **)at};
  }

  void apply(int64_t step, const Program &program) {
    const int64_t n = rule.variables;
    for (int s = 0; s < waiting; s++) {
      double here[MOST_VARIABLES];
      relax(state + due[s] * n, uint64_t(step - last[due[s]]), here);
      for (int64_t i = 0; i < n; i++) rows[i * AT_ONCE + s] = here[i];
      last[due[s]] = step;
    }
    ::run<Register<double>::V>(program, places(waiting));
    for (int s = 0; s < waiting; s++)
      for (int64_t i = 0; i < n; i++) state[due[s] * n + i] = rows[i * AT_ONCE + s];
  }

  // The state some steps later.
  void relax(const double *before, uint64_t elapsed, double *after) const {
    const int64_t n = rule.variables;
    for (int64_t i = 0; i < n; i++) after[i] = before[i] - rule.rest[i];
    for (; elapsed; elapsed &= elapsed - 1) {
      const double *const power = rule.powers + __builtin_ctzll(elapsed) * rule.entries;
      double moved[MOST_VARIABLES] = {};
      for (int64_t e = 0; e < rule.entries; e++) moved[rule.to[e]] += power[e] * after[rule.from[e]];
      for (int64_t i = 0; i < n; i++) after[i] = moved[i];
    }
    for (int64_t i = 0; i < n; i++) after[i] += rule.rest[i];
  }
};
