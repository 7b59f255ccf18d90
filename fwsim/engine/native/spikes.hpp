// A network of integrate-and-fire neurons: independent trials with the same synapses, one after the other or on several
// threads.
//
// A step does what a step of `fwsim.spiking.assembly` does in Brian2, in the same order: potentials move, neurons above
// their threshold spike, their rules release, and the releases are added to the input of the step at which they arrive.
// Deterministic rules release the same at every synapse of a neuron, whatever its delay; so a rule has one state for each
// neuron, which is computed when it spikes. Random release is drawn at every synapse, from chances that follow from this
// state: the chance that a full site releases, and that an empty one has refilled since the last spike. Associative rules
// have a state for each synapse (`associations.hpp`); so a spike is remembered until it has arrived at all of them.
#pragma once

#include <cmath>

#include "associations.hpp"
#include "random.hpp"
#include "threads.hpp"

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

// Synapses of one rule (−1: static, or associative) and one kind of input. Those of a neuron are consecutive, in segments
// of equal delay.
struct SpikeSynapses {
  int64_t rule, input, count;
  const int64_t *segments;  // [neuron + 1]: the first segment of each neuron
  const int64_t *begins;    // [segment + 1]: the first synapse of each segment
  const int32_t *delay;     // [segment], steps
  const int32_t *target;    // [synapse]
  const float *jump;        // [synapse], V; with levels [level]
  const uint8_t *level;     // [synapse]: which of the jumps it has; null where each has its own
  int32_t *full;            // [trial, synapse]: sites that are full; null where sites do not deplete
  const Association *association;  // null if not associative

  double jump_of(int64_t synapse) const { return double(jump[level ? level[synapse] : synapse]); }
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
  int64_t inputs, slots;  // jumps, then currents and conductances; steps that the delayed inputs cover
  int64_t rules, kinds, capacity, most_recent;
  int64_t drive_units, drive_times, drive_start, hold;
  const int64_t *first;                                      // [population + 1]: the first neuron
  const double *leak, *kick, *threshold, *reset, *background;  // [neuron]
  const double *rate;                                        // [neuron]: dt/τ
  const int64_t *pause;                                      // [neuron], steps
  const int64_t *conducting, *varied;                        // [population]: whether inputs are conductances; whether
                                                             // neurons differ
  const double *spread, *decay;                              // [input, neuron], [input]; not of jumps
  const double *reversal;                                    // [input] of conductances; NaN of others
  const double *drive;                                       // [trial, time, unit]
  const SpikeSource *source;                                 // [population]
  const SpikeRule *rule;
  const SpikeSynapses *synapses;
  double *potential;   // [trial, neuron]
  double *waiting;     // [trial, neuron]: steps until the end of the refractory period
  double *current;     // [trial, input − 1, neuron]
  double *delayed;     // [trial, slot, input, neuron]
  int64_t *recent;     // [trial, most_recent, 2]: step and neuron of spikes that may be on their way
  int64_t *recents;    // [trial]: how many
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
  Pairing *const *pairings;  // [kind]; null if not associative
  int64_t place = 0;         // of this step among the slots

  // Input that arrives so many steps from now.
  double *slot(int64_t ahead, int64_t input) const {
    const int64_t at = place + ahead;
    return delayed + ((at < run.slots ? at : at - run.slots) * run.inputs + input) * run.neurons;
  }

  // Drive of all units in a step; null after its end.
  const double *driven(int64_t step) const {
    const int64_t time = (step - run.drive_start) / run.hold;
    return time < run.drive_times ? run.drive + (trial * run.drive_times + time) * run.drive_units : nullptr;
  }

  // Moves all potentials, and returns how many neurons are above their threshold, or spike as sources do.
  int64_t integrate(int64_t step) {
    place = step % run.slots;
    int64_t count = 0, drawn = 0;  // noise of so many neurons is there
    const double *const drive = driven(step);
    const bool each = drive && run.drive_units == run.neurons && run.neurons != run.populations;
    for (int64_t p = 0; p < run.populations; p++) {
      const int64_t first = run.first[p], size = run.first[p + 1] - first;
      const SpikeSource &source = run.source[p];
      if (source.chance || source.begins) {
        count += source.chance ? draw(source, step, first, size, count) : list(source, step, count);
        continue;
      }
      const double aim = drive && !each ? drive[p] : 0.0;
      const double *const own = each ? drive + first : nullptr;
      const float *kicks = nullptr;
      if (run.varied[p] || run.kick[first] != 0) {
        const int64_t begin = std::max(drawn, counter::block(first));  // populations may share a block
        drawn = counter::block(first + size - 1) + counter::BLOCK;
        counter::normal(uint64_t(run.seed), uint64_t(step), uint32_t(trial), begin, drawn - begin, noise + begin);
        kicks = noise + first;
      }
      count = run.varied[p] ? advance<true>(p, aim, own, kicks, count)
                            : advance<false>(p, aim, own, kicks, count);
    }
    return count;
  }

  // Moves the potentials of a population, and adds those above their threshold to the `count` neurons that fired before.
  template <bool EACH>
  int64_t advance(int64_t p, double aim, const double *own, const float *kicks, int64_t count) {
    const int64_t first = run.first[p], size = run.first[p + 1] - first;
    if (run.conducting[p]) {
      conduct<EACH>(p, aim, own, kicks);
    } else {
      add_currents<EACH>(first, size);
      if (kicks)
        own ? move<true, true, EACH>(p, aim, own, kicks) : move<true, false, EACH>(p, aim, own, kicks);
      else
        own ? move<false, true, EACH>(p, aim, own, kicks) : move<false, false, EACH>(p, aim, own, kicks);
    }
    const double *const __restrict threshold = run.threshold + first;
    constexpr int64_t BLOCK = 64;  // most of which have no spike
    for (int64_t start = 0; start < size; start += BLOCK) {
      const int64_t stop = std::min(start + BLOCK, size);
      int64_t above = 0;
      for (int64_t i = start; i < stop; i++) above += potential[first + i] > threshold[EACH ? i : 0];
      for (int64_t i = start; above && i < stop; i++)
        if (potential[first + i] > threshold[EACH ? i : 0]) fired[count++] = int32_t(first + i);
    }
    return count;
  }

  // Neurons of a source that spike at random, and how many.
  int64_t draw(const SpikeSource &source, int64_t step, int64_t first, int64_t size, int64_t count) {
    const int64_t time = std::min((step - source.begin) / source.hold, source.times - 1);
    const double *const chance = source.chance + ((source.each ? trial : 0) * source.times + time) * source.units;
    const int64_t begin = counter::block(first);
    uint32_t *const whole = (uint32_t *)noise, *const drawn = whole + first;  // neurons up to these need no more noise
    counter::bits(uint64_t(run.source_seed), uint64_t(step), uint32_t(trial), begin, first + size - begin,
                  whole + begin);
    int64_t found = 0;
    for (int64_t i = 0; i < size; i++) {
      const double most = chance[source.units == 1 ? 0 : i] * 0x1p32;
      if (drawn[i] < most) fired[count + found++] = int32_t(first + i);
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
  template <bool EACH>
  void add_currents(int64_t first, int64_t size) {
    double *const __restrict extra = rows;
    for (int64_t k = 1; k < run.inputs; k++) {
      const double *const __restrict spread = run.spread + k * run.neurons + first;
      const double decay = run.decay[k];
      double *const __restrict now = current + (k - 1) * run.neurons + first;
      double *const __restrict in = slot(0, k) + first;
      for (int64_t i = 0; i < size; i++) {
        const double total = now[i] + in[i];
        extra[i] = (k > 1 ? extra[i] : 0.0) + spread[EACH ? i : 0] * total;
        now[i] = total * decay;
        in[i] = 0;
      }
    }
  }

  template <bool NOISY, bool OWN, bool EACH>
  void move(int64_t p, double common, const double *own, const float *kicks) {
    const int64_t first = run.first[p], size = run.first[p + 1] - first;
    const double *const extra = run.inputs > 1 ? rows : nullptr;
    move_each<NOISY, OWN, EACH>(size, run.leak + first, run.kick + first, run.background + first, common, own, kicks,
                                extra, potential + first, slot(0, 0) + first, waiting + first);
  }

  template <bool NOISY, bool OWN, bool EACH>
  static void move_each(int64_t size, const double *__restrict leak, const double *__restrict kick,
                        const double *__restrict background, double common, const double *__restrict own,
                        const float *__restrict kicks, const double *__restrict extra, double *__restrict v,
                        double *__restrict arriving, double *__restrict wait) {
    const double all_leak = leak[0], all_kick = kick[0], all_background = background[0];  // else it is no vector loop
    for (int64_t i = 0; i < size; i++) {
      const double aim = (EACH ? background[i] : all_background) + (OWN ? own[i] : common);
      double change = aim + (v[i] + arriving[i] - aim) * (EACH ? leak[i] : all_leak) - v[i];
      if (NOISY) change += (EACH ? kick[i] : all_kick) * double(kicks[i]);
      if (extra) change += extra[i];
      const double waits = wait[i];
      v[i] += waits > 0 ? 0.0 : change;
      wait[i] = waits > 0 ? waits - 1 : 0.0;
      arriving[i] = 0;
    }
  }

  // Moves the potentials of a population that has conductances. Inputs count with their mean over the step; with them the
  // solution is exact (exponential Euler, of second order in dt).
  template <bool EACH>
  void conduct(int64_t p, double common, const double *own, const float *kicks) {
    using V = Register<double>::V;
    constexpr int64_t L = Register<double>::L;
    const int64_t first = run.first[p], size = run.first[p + 1] - first, stride = (size + L - 1) / L * L;
    double *const __restrict total = rows, *const __restrict aim = rows + stride;  // conductance over that of the leak
    double *const __restrict left = rows + 2 * stride, *const __restrict spread = rows + 3 * stride;
    for (int64_t i = 0; i < stride; i++) total[i] = 1;
    for (int64_t i = 0; i < size; i++) aim[i] = run.background[first + (EACH ? i : 0)] + (own ? own[i] : common);
    for (int64_t k = 1; k < run.inputs; k++) {
      const double mean = run.spread[k * run.neurons + first], decay = run.decay[k], reversal = run.reversal[k];
      const bool opens = reversal == reversal;
      double *const __restrict now = current + (k - 1) * run.neurons + first;
      double *const __restrict in = slot(0, k) + first;
      for (int64_t i = 0; i < size; i++) {
        const double input = now[i] + in[i];
        total[i] += opens ? mean * input : 0.0;
        aim[i] += mean * input * (opens ? reversal : 1.0);
        now[i] = input * decay;
        in[i] = 0;
      }
    }
    for (int64_t i = 0; i < size; i++) left[i] = -run.rate[first + (EACH ? i : 0)] * total[i];
    for (int64_t i = size; i < stride; i++) left[i] = 0;
    for (int64_t i = 0; i < stride; i += L) {
      V all, rest;
      std::memcpy(&all, total + i, sizeof all);
      std::memcpy(&rest, left + i, sizeof rest);
      rest = math::exp(rest);
      std::memcpy(left + i, &rest, sizeof rest);
      rest = math::square_root((1.0 - rest * rest) / all);
      std::memcpy(spread + i, &rest, sizeof rest);
    }
    double *const __restrict v = potential + first, *const __restrict wait = waiting + first;
    double *const __restrict arriving = slot(0, 0) + first;
    for (int64_t i = 0; i < size; i++) {
      const double goal = aim[i] / total[i];
      const double change = goal + (v[i] + arriving[i] - goal) * left[i] - v[i] +
                            (kicks ? run.kick[first + (EACH ? i : 0)] * spread[i] * double(kicks[i]) : 0.0);
      const double waits = wait[i];
      v[i] += waits > 0 ? 0.0 : change;
      wait[i] = waits > 0 ? waits - 1 : 0.0;
      arriving[i] = 0;
    }
  }

  // Releases of the neurons that fired, by each rule; resets them.
  void fire(int64_t step, int64_t count) {
    for (int64_t k = 0; k < run.rules; k++)
      apply(run.rule[k], step, count, release + k * run.neurons, refill + k * run.neurons);
    for (int64_t s = 0; s < count; s++) {
      potential[fired[s]] = run.reset[fired[s]];
      waiting[fired[s]] = double(run.pause[fired[s]]);
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
    const int64_t n = rule.variables, entry = rule.resource * (n + 1);
    double found = 1;
    for (int64_t bit = 0; bit < rule.bits; bit++)
      if (elapsed >> bit & 1) found *= rule.powers[(variant * rule.bits + bit) * n * n + entry];
    return found;
  }

  // Adds what the spikes of this step will cause to the input of later steps.
  void deliver(int64_t step, int64_t count) {
    for (int64_t k = 0; k < run.kinds; k++) {
      const SpikeSynapses &kind = run.synapses[k];
      if (kind.association) continue;
      for (int64_t s = 0; s < count; s++) {
        const double released = kind.rule < 0 ? 1.0 : release[kind.rule * run.neurons + s];
        const bool random = kind.rule >= 0 && run.rule[kind.rule].sites > 0;
        for (int64_t segment = kind.segments[fired[s]]; segment < kind.segments[fired[s] + 1]; segment++) {
          double *const into = slot(kind.delay[segment] + 1, kind.input);
          const int64_t first = kind.begins[segment], last = kind.begins[segment + 1];
          if (random)
            release_sites(kind, k, step, first, last, released, refill[kind.rule * run.neurons + s], into);
          else
            add(kind, first, last, released, into);
        }
      }
    }
  }

  // Adds what one release causes at several synapses. Inlined, its loops would lack registers.
  static __attribute__((noinline)) void add(const SpikeSynapses &kind, int64_t first, int64_t last, double released,
                                            double *into) {
    const int32_t *const target = kind.target;
    const uint8_t *const level = kind.level;
    const float *const jump = kind.jump;
    if (level)
      for (int64_t i = first; i < last; i++) into[target[i]] += double(jump[level[i]]) * released;
    else
      for (int64_t i = first; i < last; i++) into[target[i]] += double(jump[i]) * released;
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
        into[kind.target[start + i]] += kind.jump_of(start + i) * quanta / sites;
      }
    }
  }

  // What spikes do at synapses of associative rules: first those that arrive in this step, then those of the targets.
  void associate(int64_t step, int64_t count) {
    int64_t *const recent = run.recent + trial * run.most_recent * 2, &recents = run.recents[trial];
    for (int64_t s = 0; s < count; s++, recents++) {
      recent[2 * recents] = step;
      recent[2 * recents + 1] = fired[s];
    }
    for (int64_t k = 0; k < run.kinds && recents; k++)
      if (pairings[k]) arrive(run.synapses[k], *pairings[k], step, recent, recents);
    for (int64_t k = 0; k < run.kinds; k++)
      for (int64_t s = 0; s < count && pairings[k] && run.synapses[k].association->post_count; s++)
        pairings[k]->answer(fired[s], step);
    int64_t kept = 0;
    for (int64_t s = 0; s < recents; s++)
      if (recent[2 * s] + run.slots - 1 > step) {
        recent[2 * kept] = recent[2 * s];
        recent[2 * kept++ + 1] = recent[2 * s + 1];
      }
    recents = kept;
  }

  void arrive(const SpikeSynapses &kind, Pairing &pairing, int64_t step, const int64_t *recent, int64_t recents) {
    double *const into = slot(1, kind.input);
    const auto add = [&](int64_t i, double weight) { into[kind.target[i]] += kind.jump_of(i) * weight; };
    for (int64_t s = 0; s < recents; s++) {
      const int64_t age = step - recent[2 * s], unit = recent[2 * s + 1];
      for (int64_t segment = kind.segments[unit]; segment < kind.segments[unit + 1]; segment++)
        if (kind.delay[segment] == age)
          for (int64_t i = kind.begins[segment]; i < kind.begins[segment + 1]; i++) pairing.arrive(i, step, add);
    }
    pairing.settle(step, add);
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

// What a trial needs besides what Python gives: noise, lists of spikes, and rows of programs. `take(bytes)` gives it.
struct Workspace {
  float *noise;
  int32_t *fired;
  double *release, *refill, *rows;
  double **addresses;
  char *pairings;            // [kind]
  Pairing **made;            // [kind]
  double **pairing_rows;     // [kind]
  double ***pairing_places;  // [kind]

  template <class Take>
  Workspace(const SpikesRun &run, Take &&take) {
    constexpr int64_t L = Register<double>::L, block = BLOCK<Register<double>::V> * L;
    int64_t numbers = 4 * (run.neurons + L), places = 1;
    for (int64_t k = 0; k < run.rules; k++) {
      const SpikeRule &rule = run.rule[k];
      const int64_t row_count = rule.variables + rule.parameters + 1, constants = rule.numbers + rule.temporaries;
      numbers = std::max(numbers, row_count * (run.neurons + L) + constants * block);
      places = std::max(places, row_count + constants);
    }
    noise = (float *)take((run.neurons + counter::BLOCK) * sizeof(float));
    fired = (int32_t *)take(run.neurons * sizeof(int32_t));
    release = (double *)take(run.rules * run.neurons * sizeof(double));
    refill = (double *)take(run.rules * run.neurons * sizeof(double));
    rows = (double *)take(numbers * sizeof(double));
    addresses = (double **)take(places * sizeof(double *));
    pairings = take(run.kinds * sizeof(Pairing));
    made = (Pairing **)take(run.kinds * sizeof(Pairing *));
    pairing_rows = (double **)take(run.kinds * sizeof(double *));
    pairing_places = (double ***)take(run.kinds * sizeof(double **));
    for (int64_t k = 0; k < run.kinds; k++) {
      const Association *const rule = run.synapses[k].association;
      double *const own = (double *)take(rule ? Pairing::numbers(*rule) * sizeof(double) : 0);
      double **const at = (double **)take(rule ? Pairing::addresses(*rule) * sizeof(double *) : 0);
      if (!pairings) continue;  // only counted
      pairing_rows[k] = own;
      pairing_places[k] = at;
    }
  }

  // Begins with the associative synapses of a trial.
  Pairing *const *pairs(const SpikesRun &run, int64_t trial) const {
    for (int64_t k = 0; k < run.kinds; k++) {
      const SpikeSynapses &kind = run.synapses[k];
      const Association *const rule = kind.association;
      made[k] = !rule ? nullptr
                      : new (pairings + k * sizeof(Pairing))
                            Pairing(*rule, rule->state + trial * kind.count * rule->variables,
                                    rule->last + trial * kind.count, pairing_rows[k], pairing_places[k]);
    }
    return made;
  }
};

constexpr int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

inline int64_t trial_bytes(const SpikesRun &run) {
  int64_t bytes = 0;
  Workspace(run, [&](int64_t size) {
    bytes += aligned(size);
    return (char *)nullptr;
  });
  return bytes;
}

inline void run_spikes(const SpikesRun &run, char *workspace) {
  const int64_t each = trial_bytes(run);
  bool associative = false;
  for (int64_t k = 0; k < run.kinds; k++) associative |= run.synapses[k].association != nullptr;
  share_out((Team)run.team, run.threads, run.trials, [&](int64_t part, int64_t first, int64_t last) {
    char *at = workspace + part * each;
    const Workspace own(run, [&](int64_t bytes) {
      char *found = at;
      at += aligned(bytes);
      return found;
    });
    for (int64_t trial = first; trial < last; trial++) {
      Trial now{run, trial, run.potential + trial * run.neurons,
                run.current + trial * (run.inputs - 1) * run.neurons,
                run.delayed + trial * run.slots * run.inputs * run.neurons, run.waiting + trial * run.neurons,
                own.noise, own.fired, own.release, own.refill, own.rows, own.addresses, own.pairs(run, trial)};
      run.spikes[trial] = 0;
      for (int64_t step = run.start; step < run.stop; step++) {
        const int64_t count = now.integrate(step);
        if (count > 0) {
          now.fire(step, count);
          now.deliver(step, count);
          now.report(step, count);
        }
        if (associative) now.associate(step, count);
      }
    }
  });
}
