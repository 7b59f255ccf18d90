// A network of integrate-and-fire neurons: independent trials with the same synapses, one after the other or on several
// threads.
//
// A step does what a step of `fwsim.spiking.assembly` does in Brian2, in the same order: potentials move, neurons above
// their threshold spike, their rules release, and the releases are added to the input of the step at which they arrive.
// Deterministic rules release the same at every synapse of a neuron, whatever its delay; so a rule has one state for each
// neuron, which is computed when it spikes. Random release is drawn at every synapse, from chances that follow from this
// state: the chance that a full site releases, and that an empty one has refilled since the last spike.
#pragma once

#include <cmath>

#include "program.hpp"
#include "random.hpp"
#include "threads.hpp"

constexpr int MOST_VARIABLES = 16;  // of a rule

// A presynaptic rule. Variants are its parameters, `[trial, population]`; with `each`, `[trial, neuron]`.
struct SpikeRule {
  int64_t variables, parameters, bits, count, numbers, temporaries, each;
  int64_t sites, resource;  // 0: not random; the variable that empty sites refill as, −1 if all are always full
  double variation;         // coefficient of variation of one quantum
  const Instruction *instructions;  // from state and parameters to the state after a spike and the release
  const double *literals;
  const double *rest;    // [variant, variable]
  const double *values;  // [variant, parameter]
  const double *powers;  // [variant, bit, to, from]: exp(J 2^bit dt)
  double *state;         // [trial, neuron, variable] after the last spike
  int64_t *last;         // [trial, neuron]: the step of this spike
};

// Synapses of one rule (−1: static) and one kind of input. Those of a neuron are consecutive, in segments of equal delay.
struct SpikeSynapses {
  int64_t rule, input, count;
  const int64_t *segments;  // [neuron + 1]: the first segment of each neuron
  const int64_t *begins;    // [segment + 1]: the first synapse of each segment
  const int32_t *delay;     // [segment], steps
  const int32_t *target;    // [synapse]
  const float *jump;        // [synapse], V
  int32_t *full;            // [trial, synapse]: sites that are full; null where sites do not deplete
};

// What makes a population spike: its potential, if both pointers are null; else chance, or a list.
struct SpikeSource {
  int64_t each, times, units, begin, hold;  // whether trials have their own chances; their samples, from a step on
  const double *chance;   // [trial, time, unit]: of a spike in a step
  const int64_t *begins;  // [trial, step + 1], from `start` on: the first spike of each step
  const int32_t *due;     // [spike]: neurons, ascending in each step
};

struct SpikesRun {
  int64_t trials, neurons, populations, start, stop, seed, source_seed, release_seed, threads;
  int64_t inputs, slots;  // jumps and then currents; steps that the delayed inputs cover
  int64_t rules, kinds, capacity;
  int64_t drive_units, drive_times, drive_start, hold;
  const int64_t *first;                                      // [population + 1]: the first neuron
  const double *leak, *kick, *threshold, *reset, *background;  // [population]
  const int64_t *pause;                                      // [population], steps
  const double *spread, *decay;                              // [input, population], [input]; not of jumps
  const double *drive;                                       // [trial, time, unit]
  const SpikeSource *source;                                 // [population]
  const SpikeRule *rule;
  const SpikeSynapses *synapses;
  double *potential;   // [trial, neuron]
  double *waiting;     // [trial, neuron]: steps until the end of the refractory period
  double *current;     // [trial, input − 1, neuron]
  double *delayed;     // [trial, slot, input, neuron]
  int32_t *spike_step, *spike_unit;  // [trial, capacity]
  int64_t *spikes;                   // [trial]: how many; above the capacity, the rest is lost
  void *team;
};

// One trial of a run.
struct Trial {
  const SpikesRun &run;
  const int64_t trial;
  double *potential, *current, *delayed;
  double *waiting;
  float *noise;
  int32_t *fired;       // neurons that spike in this step
  double *release;      // [rule, spike]
  double *refill;       // [rule, spike]
  double *rows;         // workspace of programs
  double **addresses;

  double *slot(int64_t step, int64_t input) const {
    return delayed + ((step % run.slots) * run.inputs + input) * run.neurons;
  }

  // Drive of all units in a step; null after its end.
  const double *driven(int64_t step) const {
    const int64_t time = (step - run.drive_start) / run.hold;
    return time < run.drive_times ? run.drive + (trial * run.drive_times + time) * run.drive_units : nullptr;
  }

  // Moves all potentials, and returns how many neurons are above their threshold, or spike as sources do.
  int64_t integrate(int64_t step) {
    int64_t count = 0;
    const double *const drive = driven(step);
    const bool each = drive && run.drive_units == run.neurons && run.neurons != run.populations;
    for (int64_t p = 0; p < run.populations; p++) {
      const int64_t first = run.first[p], size = run.first[p + 1] - first;
      const SpikeSource &source = run.source[p];
      if (source.chance || source.begins) {
        count += source.chance ? draw(source, step, first, size, count) : list(source, step, count);
        continue;
      }
      const double aim = run.background[p] + (drive && !each ? drive[p] : 0.0);
      const double *const own = each ? drive + first : nullptr;
      add_currents(step, p, first, size);
      if (run.kick[p] != 0) {
        const int64_t aligned = first / (4 * counter::AT_ONCE) * (4 * counter::AT_ONCE);
        counter::normal(uint64_t(run.seed), uint64_t(step), uint32_t(trial), aligned, first + size - aligned, noise);
        const float *const kicks = noise + (first - aligned);
        own ? move<true, true>(step, p, aim, own, kicks) : move<true, false>(step, p, aim, own, kicks);
      } else {
        own ? move<false, true>(step, p, aim, own, nullptr) : move<false, false>(step, p, aim, own, nullptr);
      }
      const double threshold = run.threshold[p];
      constexpr int64_t BLOCK = 64;  // most of which have no spike
      for (int64_t start = first; start < first + size; start += BLOCK) {
        const int64_t stop = std::min(start + BLOCK, first + size);
        int64_t above = 0;
        for (int64_t i = start; i < stop; i++) above += potential[i] > threshold;
        for (int64_t i = start; above && i < stop; i++)
          if (potential[i] > threshold) fired[count++] = int32_t(i);
      }
    }
    return count;
  }

  // Neurons of a source that spike at random, and how many.
  int64_t draw(const SpikeSource &source, int64_t step, int64_t first, int64_t size, int64_t count) {
    const int64_t time = std::min((step - source.begin) / source.hold, source.times - 1);
    const double *const chance = source.chance + ((source.each ? trial : 0) * source.times + time) * source.units;
    const int64_t aligned = first / (4 * counter::AT_ONCE) * (4 * counter::AT_ONCE);
    uint32_t *const drawn = (uint32_t *)noise;
    counter::bits(uint64_t(run.source_seed), uint64_t(step), uint32_t(trial), aligned, first + size - aligned, drawn);
    int64_t found = 0;
    for (int64_t i = 0; i < size; i++) {
      const double most = chance[source.units == 1 ? 0 : i] * 0x1p32;
      if (drawn[first - aligned + i] < most) fired[count + found++] = int32_t(first + i);
    }
    return found;
  }

  // Neurons of a source that are due to spike, and how many.
  int64_t list(const SpikeSource &source, int64_t step, int64_t count) {
    const int64_t *const begin = source.begins + trial * (run.stop - run.start + 1) + (step - run.start);
    std::copy(source.due + begin[0], source.due + begin[1], fired + count);
    return begin[1] - begin[0];
  }

  // Brings the currents of a population up to date, and sums what they add to its potentials.
  void add_currents(int64_t step, int64_t p, int64_t first, int64_t size) {
    double *const __restrict extra = rows;
    for (int64_t k = 1; k < run.inputs; k++) {
      const double spread = run.spread[k * run.populations + p], decay = run.decay[k];
      double *const __restrict now = current + (k - 1) * run.neurons + first;
      double *const __restrict in = slot(step, k) + first;
      for (int64_t i = 0; i < size; i++) {
        const double total = now[i] + in[i];
        extra[i] = (k > 1 ? extra[i] : 0.0) + spread * total;
        now[i] = total * decay;
        in[i] = 0;
      }
    }
  }

  template <bool NOISY, bool OWN>
  void move(int64_t step, int64_t p, double common, const double *__restrict own, const float *__restrict kicks) {
    const double leak = run.leak[p], kick = run.kick[p];
    const int64_t first = run.first[p], size = run.first[p + 1] - first;
    const bool currents = run.inputs > 1;
    double *const __restrict v = potential + first;
    double *const __restrict arriving = slot(step, 0) + first;
    const double *const __restrict extra = rows;
    double *const __restrict wait = waiting + first;
    for (int64_t i = 0; i < size; i++) {
      const double aim = OWN ? common + own[i] : common;
      double change = aim + (v[i] + arriving[i] - aim) * leak - v[i];
      if (NOISY) change += kick * double(kicks[i]);
      if (currents) change += extra[i];
      const double waits = wait[i];
      v[i] += waits > 0 ? 0.0 : change;
      wait[i] = waits > 0 ? waits - 1 : 0.0;
      arriving[i] = 0;
    }
  }

  // Releases of the neurons that fired, by each rule; resets them.
  void fire(int64_t step, int64_t count) {
    for (int64_t k = 0; k < run.rules; k++) apply(run.rule[k], step, count, release + k * run.neurons, refill + k * run.neurons);
    for (int64_t s = 0, p = 0; s < count; s++) {
      while (fired[s] >= run.first[p + 1]) p++;
      potential[fired[s]] = run.reset[p];
      waiting[fired[s]] = double(run.pause[p]);
    }
  }

  // Brings the states of a rule up to date, and lets its program do what a spike does.
  void apply(const SpikeRule &rule, int64_t step, int64_t count, double *released, double *refilled) {
    using V = Register<double>::V;
    constexpr int64_t L = Register<double>::L;
    const int64_t n = rule.variables, row_count = n + rule.parameters + 1;
    const int64_t stride = (count + L - 1) / L * L, constants = rule.numbers + rule.temporaries;
    for (int64_t i = 0; i < row_count * stride; i++) rows[i] = 1;  // places without a spike
    double here[MOST_VARIABLES], moved[MOST_VARIABLES];
    for (int64_t s = 0, p = 0; s < count; s++) {
      while (fired[s] >= run.first[p + 1]) p++;
      const int64_t at = trial * run.neurons + fired[s], variant = rule.each ? at : trial * run.populations + p;
      const double *rest = rule.rest + variant * n;
      for (int64_t i = 0; i < n; i++) here[i] = rule.state[at * n + i] - rest[i];
      const uint64_t elapsed = uint64_t(step - rule.last[at]);
      for (int64_t bit = 0; bit < rule.bits; bit++) {
        if (!(elapsed >> bit & 1)) continue;
        const double *power = rule.powers + (variant * rule.bits + bit) * n * n;
        for (int64_t i = 0; i < n; i++) {
          moved[i] = 0;
          for (int64_t j = 0; j < n; j++) moved[i] += power[i * n + j] * here[j];
        }
        for (int64_t i = 0; i < n; i++) here[i] = moved[i];
      }
      if (rule.resource >= 0) refilled[s] = 1 - kept(rule, variant, elapsed);
      for (int64_t i = 0; i < n; i++) rows[i * stride + s] = rest[i] + here[i];
      for (int64_t i = 0; i < rule.parameters; i++)
        rows[(n + i) * stride + s] = rule.values[variant * rule.parameters + i];
    }
    double *const blocks = rows + row_count * stride;
    const Places<V> places{(V *)rows, row_count, stride / L, stride / L, (V *)blocks, constants, (V **)addresses};
    fill_blocks(places, rule.literals, rule.numbers);
    ::run<V>({rule.instructions, rule.count}, places);
    for (int64_t s = 0; s < count; s++) {
      const int64_t at = trial * run.neurons + fired[s];
      for (int64_t i = 0; i < n; i++) rule.state[at * n + i] = rows[i * stride + s];
      rule.last[at] = step;
      released[s] = rows[(row_count - 1) * stride + s];
    }
  }

  // How likely a site that was empty is still empty: the resource depends on nothing but itself.
  double kept(const SpikeRule &rule, int64_t variant, uint64_t elapsed) const {
    const int64_t n = rule.variables;
    double found = 1;
    for (int64_t bit = 0; bit < rule.bits; bit++)
      if (elapsed >> bit & 1) found *= rule.powers[((variant * rule.bits + bit) * n + rule.resource) * n + rule.resource];
    return found;
  }

  // Adds what the spikes of this step will cause to the input of later steps.
  void deliver(int64_t step, int64_t count) {
    for (int64_t k = 0; k < run.kinds; k++) {
      const SpikeSynapses &kind = run.synapses[k];
      for (int64_t s = 0; s < count; s++) {
        const double released = kind.rule < 0 ? 1.0 : release[kind.rule * run.neurons + s];
        const bool random = kind.rule >= 0 && run.rule[kind.rule].sites > 0;
        for (int64_t segment = kind.segments[fired[s]]; segment < kind.segments[fired[s] + 1]; segment++) {
          double *const into = slot(step + kind.delay[segment] + 1, kind.input);
          const int64_t first = kind.begins[segment], last = kind.begins[segment + 1];
          if (random)
            release_sites(kind, k, step, first, last, released, refill[kind.rule * run.neurons + s], into);
          else
            for (int64_t i = first; i < last; i++) into[kind.target[i]] += double(kind.jump[i]) * released;
        }
      }
    }
  }

  // Draws what synapses of one neuron release: of n sites, k, each of which causes 1/n on average.
  void release_sites(const SpikeSynapses &kind, int64_t index, int64_t step, int64_t first, int64_t last, double chance,
                     double refilled, double *into) {
    constexpr int W = counter::AT_ONCE;
    const SpikeRule &rule = run.rule[kind.rule];
    const int32_t sites = int32_t(rule.sites);
    const uint64_t seed = uint64_t(run.release_seed) + uint64_t(index);
    for (int64_t start = first; start < last; start += W) {
      const int size = int(std::min<int64_t>(W, last - start));
      int32_t full[W], released[W];
      uint64_t draws = 0;  // so many groups of four numbers were drawn at this synapse in this step
      auto draw = [&](const int32_t *of, double likely, int32_t *found) {
        uint32_t x[4][W];
        const double most = likely * 0x1p32;
        for (int i = 0; i < W; i++) found[i] = 0;
        for (int32_t site = 0; site < sites; site++) {
          if (site % 4 == 0)
            counter::philox(uint32_t(start), uint32_t(trial), uint64_t(step) + (draws++ << 40), seed, x);
          for (int i = 0; i < W; i++) found[i] += site < of[i] && x[site % 4][i] < most;
        }
      };
      for (int i = 0; i < W; i++) full[i] = sites;
      int32_t *const kept = kind.full ? kind.full + trial * kind.count + start : nullptr;
      if (kept) {
        int32_t empty[W], again[W];
        for (int i = 0; i < W; i++) empty[i] = i < size ? sites - kept[i] : 0;
        draw(empty, refilled, again);
        for (int i = 0; i < W; i++) full[i] = sites - empty[i] + again[i];
      }
      draw(full, chance, released);
      float noise[W], other[W];
      if (rule.variation > 0) {
        uint32_t x[4][W];
        counter::philox(uint32_t(start), uint32_t(trial), uint64_t(step) + (draws << 40), seed, x);
        counter::box_muller(x[0], x[1], noise, other);
      }
      for (int i = 0; i < size; i++) {
        if (kept) kept[i] = full[i] - released[i];
        double quanta = released[i];
        if (rule.variation > 0) quanta += rule.variation * std::sqrt(quanta) * double(noise[i]);
        into[kind.target[start + i]] += double(kind.jump[start + i]) * quanta / sites;
      }
    }
  }

  void report(int64_t step, int64_t count) {
    int64_t &found = run.spikes[trial];
    for (int64_t s = 0; s < count; s++, found++)
      if (found < run.capacity) {
        run.spike_step[trial * run.capacity + found] = int32_t(step - run.start);
        run.spike_unit[trial * run.capacity + found] = fired[s];
      }
  }
};

// Numbers that a trial needs besides what Python gives: noise, lists of spikes, and rows of a program.
inline int64_t trial_bytes(const SpikesRun &run) {
  int64_t rows = run.neurons, places = 0;
  for (int64_t k = 0; k < run.rules; k++) {
    const SpikeRule &rule = run.rule[k];
    const int64_t row_count = rule.variables + rule.parameters + 1, constants = rule.numbers + rule.temporaries;
    const int64_t block = BLOCK<Register<double>::V> * Register<double>::L;
    rows = std::max(rows, row_count * (run.neurons + Register<double>::L) + constants * block);
    places = std::max(places, row_count + constants);
  }
  const int64_t padded = run.neurons + 8 * counter::AT_ONCE;
  return padded * (sizeof(float) + sizeof(int32_t)) + 2 * run.rules * run.neurons * sizeof(double) +
         rows * sizeof(double) + places * sizeof(void *) + 1024;
}

inline void run_spikes(const SpikesRun &run, char *workspace) {
  const int64_t each = (trial_bytes(run) + 63) / 64 * 64;
  share_out((Team)run.team, run.threads, run.trials, [&](int64_t part, int64_t first, int64_t last) {
    char *at = workspace + part * each;
    auto take = [&](int64_t bytes) {
      char *found = at;
      at += (bytes + 63) / 64 * 64;
      return found;
    };
    float *const noise = (float *)take((run.neurons + 8 * counter::AT_ONCE) * sizeof(float));
    int32_t *const fired = (int32_t *)take(run.neurons * sizeof(int32_t));
    double *const release = (double *)take(run.rules * run.neurons * sizeof(double));
    double *const refill = (double *)take(run.rules * run.neurons * sizeof(double));
    int64_t places = 1;
    for (int64_t k = 0; k < run.rules; k++)
      places = std::max(places, run.rule[k].variables + run.rule[k].parameters + 1 + run.rule[k].numbers +
                                    run.rule[k].temporaries);
    double **const addresses = (double **)take(places * sizeof(void *));
    double *const rows = (double *)at;
    for (int64_t trial = first; trial < last; trial++) {
      Trial now{run, trial, run.potential + trial * run.neurons,
                run.current + trial * (run.inputs - 1) * run.neurons,
                run.delayed + trial * run.slots * run.inputs * run.neurons, run.waiting + trial * run.neurons,
                noise, fired, release, refill, rows, addresses};
      run.spikes[trial] = 0;
      for (int64_t step = run.start; step < run.stop; step++) {
        const int64_t count = now.integrate(step);
        if (count == 0) continue;
        now.fire(step, count);
        now.deliver(step, count);
        now.report(step, count);
      }
    }
  });
}
