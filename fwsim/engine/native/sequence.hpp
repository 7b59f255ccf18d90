// A whole sequence, forward and backward, in either layout.
//
// Batch elements are independent, and run in groups: one element, or as many as a register has places. Gradients of
// parameters are summed up within bundles of groups, whose sums are added in the order of the bundles. What is computed
// thus never depends on which thread runs a group.
#pragma once

#include "memory.hpp"
#include "threads.hpp"

// Slow weights with their rows padded to whole registers of units: shared by all threads.
template <class T>
struct Weights {
  using Row = UnitLayout<T>;
  using V = typename Row::V;
  int64_t units, inputs, n, width;  // registers of a vector of units, and of one of units, inputs and a 1
  bool rows, columns;                                    // which of these a pass reads
  V *W = nullptr, *C = nullptr;                          // rows
  V *W_transposed = nullptr, *C_transposed = nullptr;    // columns
  T *gain, *bias;
  V *b;

  Weights(Arena &arena, const SequenceRun<T> &run, bool rows, bool columns)
      : units(run.units), inputs(run.inputs), n(Row::registers(units)), width(Row::registers(units + inputs + 1)),
        rows(rows), columns(columns) {
    if (rows) {
      W = arena.take<V>(run.sets * units * n);
      C = arena.take<V>(run.sets * units * Row::registers(inputs));
    }
    if (columns) {
      W_transposed = arena.take<V>(run.sets * units * n);
      C_transposed = arena.take<V>(run.sets * inputs * n);
    }
    gain = arena.take<T>(run.sets * n * Row::L);
    bias = arena.take<T>(run.sets * n * Row::L);
    b = arena.take<V>(run.sets * n);
  }
  void fill(const SequenceRun<T> &run) {
    pad(run.gain, run.sets, units, (V *)gain);
    pad(run.bias, run.sets, units, (V *)bias);
    pad(run.b, run.sets, units, b);
    if (rows) {
      pad(run.W, run.sets * units, units, W);
      pad(run.C, run.sets * units, inputs, C);
    }
    if (columns)
      for (int64_t set = 0; set < run.sets; set++) {
        transpose(run.W + set * units * units, units, W_transposed + set * units * n);
        transpose(run.C + set * units * inputs, inputs, C_transposed + set * inputs * n);
      }
  }
  static void pad(const T *source, int64_t rows, int64_t numbers, V *target) {
    for (int64_t row = 0; row < rows; row++)
      Row::load(source + row * numbers, 0, 1, int(numbers), target + row * Row::registers(numbers));
  }
  void transpose(const T *source, int64_t columns, V *target) const {
    for (int64_t j = 0; j < columns; j++) target[j * n + n - 1] = V{};
    for (int64_t i = 0; i < units; i++)
      for (int64_t j = 0; j < columns; j++) ((T *)(target + j * n))[i] = source[i * columns + j];
  }
};

template <class Layout>
struct Sequence {
  using T = typename Layout::Number;
  using V = typename Layout::V;
  using Scalar = typename Layout::Scalar;
  using Row = UnitLayout<T>;
  static constexpr int TOGETHER = Layout::TOGETHER;
  static constexpr bool MATRICES = TOGETHER == 1;
  static constexpr int SPAN = 16;                               // steps whose C x is computed at once, in the layout of units
  static constexpr int COLLECTED = MATRICES ? 16 : 3 * TOGETHER;    // rows of gradients that are added up at once

  const SequenceRun<T> &run;
  const Weights<T> &weights;
  const int units, n;
  const int64_t reach;
  Path<Layout> path;
  Memory<Layout> memory;
  Active<T> active;
  V *drive = nullptr;    // of the forward pass: C x + b of a span of steps, or the input of a step
  Scalar *rates, *kappa; // κ of all ages, and of the states that a step reads
  int32_t *written_at;   // the step whose state is in a slot
  // Of the backward pass alone.
  V *d_state, *d_z, *outside, *d_gain, *d_bias, *left, *right, *d_x, *chunks;
  Scalar *d_rates, *d_kappa;
  int64_t collected = 0;

  static int64_t reach_of(const SequenceRun<T> &run) {
    const int64_t most = run.before + run.writes < run.chunk ? run.before + run.writes : run.chunk;
    return MATRICES ? Memory<Layout>::padded(most) : most;
  }

  Sequence(Arena &arena, const SequenceRun<T> &run, const Weights<T> &weights, bool backward)
      : run(run), weights(weights), units(int(run.units)), n(Layout::registers(run.units)), reach(reach_of(run)),
        path(arena, n, int(run.inner_steps), reach), memory(arena, run, n, reach, backward) {
    active.place = arena.take<int32_t>(run.units + 2 * Layout::L);
    active.value = arena.take<T>(run.units + 2 * Layout::L);
    rates = arena.take<Scalar>(MATRICES ? 0 : run.ages);
    kappa = arena.take<Scalar>(run.slot ? reach : 0);
    written_at = arena.take<int32_t>(run.slot ? reach : 0);
    if (!backward) {
      drive = arena.take<V>(MATRICES ? SPAN * weights.n : run.inputs);
      return;
    }
    d_state = arena.take<V>(n);
    d_z = arena.take<V>(n);
    outside = arena.take<V>(n);
    d_gain = arena.take<V>(run.sets * n);
    d_bias = arena.take<V>(run.sets * n);
    left = arena.take<V>(COLLECTED * weights.n);
    right = arena.take<V>(COLLECTED * weights.width);
    d_x = arena.take<V>(COLLECTED * Row::registers(run.inputs));
    chunks = arena.take<V>(run.group * run.matrices * units * n);
    d_rates = arena.take<Scalar>(MATRICES ? 0 : run.ages);
    d_kappa = arena.take<Scalar>(run.slot ? reach : 0);
  }

  // The batch elements of a group, and rows of `[batch, …]` arrays.
  int64_t first, count;
  void choose(int64_t group) {
    first = group * TOGETHER;
    count = run.batch - first < TOGETHER ? run.batch - first : TOGETHER;
    const int64_t table = run.rates == 1 ? 0 : first;
    if constexpr (MATRICES) {
      memory.write_weight = run.write_weight + table * run.ages * run.matrices;
      memory.decayed = run.decayed + table * run.decays * run.matrices;
    } else
      for (int64_t age = 0; age < run.ages; age++)
        for (int l = 0; l < TOGETHER; l++)
          rates[age][l] = run.age_weight[(run.rates == 1 ? 0 : first + (l < count ? l : count - 1)) * run.ages + age];
  }
  Cell<Layout> cell(int64_t set) const {
    return {units, n, int(run.inner_steps), int(run.activation), int(run.normalise),
            weights.gain + set * weights.n * Row::L, weights.bias + set * weights.n * Row::L};
  }
  void load(const T *source, int64_t rows, int64_t row, V *target) const {
    Layout::load(source + (first * rows + row) * units, rows * units, int(count), units, target);
  }
  void store(const V *source, T *target, int64_t rows, int64_t row) const {
    Layout::store(source, target + (first * rows + row) * units, rows * units, int(count), units);
  }
  // Numbers saved for the backward pass lie as they are: rows of all places of a group.
  T *saved(T *array, int64_t per_step, int64_t step, int64_t numbers) const {
    return array + (first * run.time + step * TOGETHER) * per_step * numbers;
  }
  void save(const V *source, T *target, int64_t rows) const {
    for (int64_t row = 0; row < rows; row++)
      if constexpr (MATRICES)
        Layout::store(source + row * n, target + row * units, 0, 1, units);
      else
        copy(source + row * n, (V *)target + row * n, n);
  }
  void restore(const T *source, V *target, int64_t rows) const {
    for (int64_t row = 0; row < rows; row++)
      if constexpr (MATRICES)
        Layout::load(source + row * units, 0, 1, units, target + row * n);
      else
        copy((const V *)source + row * n, target + row * n, n);
  }

  // The schedule.
  int64_t set_of(int64_t step) const { return run.set ? run.set[step] : 0; }
  bool continues(int64_t step) const { return !run.continues || run.continues[step]; }
  int64_t row_of(int64_t step) const { return run.slot ? run.slot[step] : step < run.writes ? run.before + step : -1; }
  int64_t readable(int64_t step) const {
    return run.readable ? run.readable[step]
                        : (run.before + (step < run.writes ? step : run.writes)) % run.chunk;
  }
  const Scalar *all_rates() const {
    if constexpr (MATRICES)
      return run.age_weight + (run.rates == 1 ? 0 : first) * run.ages;
    else
      return rates;
  }
  const Scalar *weights_of(int64_t step, int64_t pending) {
    if (!run.slot) return all_rates() + run.ages - pending;
    for (int64_t t = 0; t < pending; t++) kappa[t] = all_rates()[run.ages - (step - written_at[t])];
    return kappa;
  }

  // ---- Forward ----

  void forward(int64_t group) {
    choose(group);
    if constexpr (MATRICES)
      if (run.matrices) memory.load(run.matrix ? matrix_of(run.matrix) : nullptr, memory.matrices);
    for (int64_t row = 0; row < run.before; row++) {
      load(run.written, run.before, row, path.z);
      memory.write(path.z, row);
    }
    load(run.hidden, 1, 0, path.last());
    bool carried = run.matrix;
    for (int64_t step = 0; step < run.time; step++) {
      if (MATRICES && step % SPAN == 0) project(step);
      advance(step, carried);
      save_step(step);
      const int64_t row = row_of(step);
      if (row < 0) continue;
      memory.write(path.last(), row % run.chunk);
      if (run.slot) written_at[row] = int32_t(step);
      if constexpr (MATRICES)
        if (run.matrices && (row + 1) % run.chunk == 0) {
          memory.merge(memory.matrices, run.chunk);
          carried = true;
          checkpoint((row + 1) / run.chunk);
        }
    }
    if constexpr (MATRICES)
      if (run.final) memory.store(memory.matrices, run.final + first * matrix_size());
  }
  int64_t matrix_size() const { return run.matrices * units * units; }
  const T *matrix_of(const T *matrices) const { return matrices + first * matrix_size(); }

  // C x + b of a span of steps; steps with the same weights at once.
  void project(int64_t step) {
    const int64_t steps = run.time - step < SPAN ? run.time - step : SPAN, wide = weights.n;
    for (int64_t from = 0, to; from < steps; from = to) {
      const int64_t set = set_of(step + from);
      for (to = from + 1; to < steps && set_of(step + to) == set; to++) {
      }
      V *target = drive + from * wide;
      for (int64_t row = 0; row < to - from; row++) copy(weights.b + set * wide, target + row * wide, wide);
      multiply(target, wide, run.x + (first * run.time + step + from) * run.inputs, run.inputs, 1,
               (const V *)weights.C_transposed + set * run.inputs * wide, wide, to - from, wide, run.inputs);
    }
  }

  void advance(int64_t step, bool carried) {
    const int64_t set = set_of(step), pending = readable(step), inputs = run.inputs;
    if constexpr (MATRICES) {
      copy(drive + step % SPAN * n, path.z, n);
      if (continues(step)) {
        list_active(path.last(), units, active);
        multiply_active(path.z, weights.W_transposed + set * units * n, n, active, n);
      }
    } else {
      const T *b = (const T *)(weights.b + set * weights.n);
      for (int i = 0; i < units; i++) path.z[i] = wide<V>(b[i]);
      Layout::load(run.x + (first * run.time + step) * inputs, run.time * inputs, int(count), int(inputs), drive);
      multiply(path.z, 1, run.C + set * units * inputs, inputs, 1, drive, 1, units, 1, inputs);
      if (continues(step)) multiply(path.z, 1, run.W + set * units * units, units, 1, path.last(), 1, units, 1, units);
    }
    const Cell<Layout> here = cell(set);
    begin(here, path);
    memory.prepare(pending, weights_of(step, pending), carried);
    settle(here, memory, path);
  }

  void save_step(int64_t step) {
    const int64_t inner = run.inner_steps;
    store(path.last(), run.states, run.time, step);
    if (run.inner)
      for (int64_t s = 0; s <= inner; s++)
        store(path.state(s), run.inner, run.time * (inner + 1), step * (inner + 1) + s);
    if (!run.sustained) return;
    store(path.z, run.sustained, run.time, step);
    if (!run.saved_fields) return;
    save(path.normal, saved(run.normal, inner, step, units), inner);
    copy(path.scale, (Scalar *)saved(run.scale, inner, step, 1), inner);
  }

  void checkpoint(int64_t number) {
    if (!run.checkpoint || number % run.group || number / run.group > run.checkpoints) return;
    const int64_t size = matrix_size(), place = first * run.checkpoints + number / run.group - 1;
    save(memory.matrices, run.checkpoint + place * size, run.matrices * units);
  }

  // ---- Backward ----

  // Goes back through a group, and adds the gradients of parameters to `sums`.
  void backward(int64_t group, T *sums) {
    choose(group);
    start_backward();
    const int64_t newest = (run.before + run.time - 1) / run.chunk, all = run.before + run.writes;
    for (int64_t number = run.matrices ? newest : 0; number >= 0; number--) {
      const int64_t begins = number * run.chunk;
      const bool carried = run.matrices && (number > 0 || run.matrix);
      if constexpr (MATRICES)
        if (run.matrices) {
          if (number == newest || number % run.group == run.group - 1) recompute_matrices(number);
          copy(chunks + number % run.group * run.matrices * units * n, memory.matrices, run.matrices * units * n);
        }
      load_chunk(number);
      clear(memory.d_rows, reach * n);
      if constexpr (MATRICES)
        if (run.matrices && begins + run.chunk <= all) memory.merge_backward(run.chunk);
      const int64_t oldest = begins > run.before ? begins - run.before : 0;
      int64_t step = run.matrices && begins + run.chunk - run.before < run.time ? begins + run.chunk - run.before : run.time;
      while (--step >= oldest) {
        if constexpr (MATRICES)
          if (memory.pairs + run.inner_steps > memory.capacity) memory.add_pairs();
        step_backward(step, carried, sums);
      }
      if constexpr (MATRICES)
        if (run.matrices) memory.add_pairs();
    }
    store_gradients(sums);
  }

  void start_backward() {
    clear(d_state, n);
    clear(d_gain, run.sets * n);
    clear(d_bias, run.sets * n);
    if constexpr (MATRICES) {
      const int64_t K = run.matrices;
      if (K) memory.load(run.d_final ? matrix_of(run.d_final) : nullptr, memory.d_matrices);
      memory.d_write_weight = run.d_write_weight ? run.d_write_weight + first * run.ages * K : nullptr;
      memory.d_decayed = run.d_decayed ? run.d_decayed + first * run.decays * K : nullptr;
    } else
      clear(d_rates, run.ages);
  }
  Scalar *all_d_rates() {
    if constexpr (MATRICES)
      return run.d_age_weight + first * run.ages;
    else
      return d_rates;
  }

  // Brings back the states that were written in a chunk.
  void load_chunk(int64_t number) {
    const int64_t begins = number * run.chunk;
    for (int64_t row = begins; row < run.before && row < begins + run.chunk; row++) {
      load(run.written, run.before, row, path.z);
      memory.write(path.z, row - begins);
    }
    for (int64_t step = begins > run.before ? begins - run.before : 0; step < run.time; step++) {
      const int64_t row = row_of(step);
      if (row >= begins + run.chunk) break;
      if (row < 0) continue;
      load(run.states, run.time, step, path.z);
      memory.write(path.z, row - begins);
      if (run.slot) written_at[row] = int32_t(step);
    }
  }

  // Computes the matrices at the start of the chunks of a group up to chunk `number`, from the last checkpoint on.
  void recompute_matrices(int64_t number) {
    const int64_t start = number / run.group * run.group, size = run.matrices * units * n;
    if (start == 0)
      memory.load(run.matrix ? matrix_of(run.matrix) : nullptr, chunks);
    else
      restore(run.checkpoint + (first * run.checkpoints + start / run.group - 1) * matrix_size(), chunks,
             run.matrices * units);
    for (int64_t place = 1; place <= number - start; place++) {
      load_chunk(start + place - 1);
      copy(chunks + (place - 1) * size, chunks + place * size, size);
      memory.merge(chunks + place * size, run.chunk);
    }
  }

  // From dh(t+1) to dh(t).
  void step_backward(int64_t step, bool carried, T *sums) {
    const int64_t set = set_of(step), row = row_of(step), pending = readable(step), inner = run.inner_steps;
    load(run.d_states, run.time, step, outside);
    add(outside, d_state, n);
    if (row >= 0) add(memory.d_rows + row % run.chunk * n, d_state, n);
    const Cell<Layout> here = cell(set);
    load(run.sustained, run.time, step, path.z);
    begin(here, path);
    memory.prepare(pending, weights_of(step, pending), carried);
    memory.d_kappa = !run.d_age_weight ? nullptr : run.slot ? d_kappa : all_d_rates() + run.ages - pending;
    if (run.slot && run.d_age_weight) clear(d_kappa, pending);
    memory.prepare_backward();
    if (run.saved_fields)
      restore_step(here, step);
    else
      settle(here, memory, path);
    const auto d_inner = [&](int64_t s, V *target) {
      if (!run.d_inner) return;
      load(run.d_inner, run.time * (inner + 1), step * (inner + 1) + s, outside);
      add(outside, target, n);
    };
    d_inner(inner, d_state);
    settle_backward(here, memory, path, d_state, d_z, d_gain + set * n, d_bias + set * n, d_inner);
    if (run.slot && run.d_age_weight)
      for (int64_t t = 0; t < pending; t++) all_d_rates()[run.ages - (step - written_at[t])] += d_kappa[t];
    note(step, set, sums);
    if (!continues(step)) return;
    if constexpr (MATRICES)
      multiply(d_state, 0, (const T *)d_z, 0, 1, (const V *)weights.W + set * units * n, n, 1, n, units);
    else
      multiply(d_state, 1, run.W + set * units * units, 1, units, d_z, 1, units, 1, units);
  }

  // Takes the inner loop's fields from the forward pass in place of running it again.
  void restore_step(const Cell<Layout> &here, int64_t step) {
    const int64_t inner = run.inner_steps;
    restore(saved(run.normal, inner, step, units), path.normal, inner);
    copy((const Scalar *)saved(run.scale, inner, step, 1), path.scale, inner);
    for (int s = 0; s < inner; s++) {
      here.activate(path.normal + int64_t(s) * n, here.normalise != NONE, path.state(s + 1));
      memory.read_again(path.state(s), path.scores + s * reach);
    }
  }

  // Gradients of W, C, b and x: notes dz and what it belongs to, a row for each batch element: (h, x, 1).
  void note(int64_t step, int64_t set, T *sums) {
    const int64_t width = weights.width * Row::L, high = weights.n * Row::L, inputs = run.inputs;
    T *rows = (T *)right + collected * width;
    for (int64_t e = 0; e < count; e++) clear((V *)left + (collected + e) * weights.n + weights.n - 1, 1);
    Layout::store(d_z, (T *)left + collected * high, high, int(count), units);
    for (int64_t e = 0; e < count; e++, rows += width) {
      const int64_t place = (first + e) * run.time + step;
      if (!continues(step))
        std::memset(rows, 0, units * sizeof(T));
      else
        std::memcpy(rows, step ? run.states + (place - 1) * units : run.hidden + (first + e) * units,
                    units * sizeof(T));
      std::memcpy(rows + units, run.x + place * inputs, inputs * sizeof(T));
      rows[units + inputs] = 1;
      for (int64_t i = units + inputs + 1; i < width; i++) rows[i] = 0;
    }
    collected += count;
    if (step == 0 || collected + count > COLLECTED || set_of(step - 1) != set) add_collected(step, set, sums);
  }
  void add_collected(int64_t step, int64_t set, T *sums) {
    const int64_t wide = weights.width, high = weights.n * Row::L, inputs = run.inputs, places = Row::registers(inputs);
    multiply((V *)sums + set * units * wide, wide, (const T *)left, 1, high, (const V *)right, wide, units, wide, collected);
    if (run.d_x) {
      clear(d_x, collected * places);
      multiply(d_x, places, (const T *)left, high, 1, (const V *)weights.C + set * units * places, places, collected, places,
               units);
      for (int64_t row = 0; row < collected; row++) {
        const int64_t earlier = (collected - 1 - row) / count, element = first + row % count;
        std::memcpy(run.d_x + (element * run.time + step + earlier) * inputs, d_x + row * places, inputs * sizeof(T));
      }
    }
    collected = 0;
  }

  // Gives out the gradients of what the group started from, and of gain, bias and κ.
  void store_gradients(T *sums) {
    store(d_state, run.d_hidden, 1, 0);
    for (int64_t row = 0; row < run.before; row++)
      store(memory.d_rows + row * n, run.d_written, run.before, row);
    T *vectors = sums + run.sets * units * weights.width * Row::L;
    for (int64_t set = 0; set < run.sets; set++)
      for (int i = 0; i < units; i++) {
        T *of_set = vectors + set * 2 * units;
        if constexpr (MATRICES) {
          of_set[i] += ((const T *)(d_gain + set * n))[i];
          of_set[units + i] += ((const T *)(d_bias + set * n))[i];
        } else {
          of_set[i] += Layout::sum(d_gain[set * n + i], int(count));
          of_set[units + i] += Layout::sum(d_bias[set * n + i], int(count));
        }
      }
    if constexpr (MATRICES) {
      if (run.d_matrix) memory.store(memory.d_matrices, run.d_matrix + first * matrix_size());
    } else if (run.d_age_weight)
      for (int64_t e = 0; e < count; e++)
        for (int64_t age = 0; age < run.ages; age++) run.d_age_weight[(first + e) * run.ages + age] = d_rates[age][e];
  }
};

// Numbers in the sums of a bundle: gradients of W, C and b side by side, then those of gain and bias.
template <class T>
int64_t sums_of(const SequenceRun<T> &run) {
  const int64_t matrix = run.units * UnitLayout<T>::registers(run.units + run.inputs + 1) * UnitLayout<T>::L;
  const int64_t whole = run.sets * (matrix + 2 * run.units);
  return (whole + UnitLayout<T>::L - 1) / UnitLayout<T>::L * UnitLayout<T>::L;
}

template <class T>
void add_to(T *sum, const T *part, int64_t count) {
  for (int64_t i = 0; i < count; i++) sum[i] += part[i];
}

// Gives out the sums over all batch elements, of rows of `width` numbers.
template <class T>
void store_sums(const SequenceRun<T> &run, const T *sums, int64_t width) {
  const int64_t units = run.units, inputs = run.inputs, K = run.matrices;
  for (int64_t i = 0; i < run.sets * units; i++) {
    const T *row = sums + i * width;
    std::memcpy(run.d_W + i * units, row, units * sizeof(T));
    std::memcpy(run.d_C + i * inputs, row + units, inputs * sizeof(T));
    run.d_b[i] = row[units + inputs];
  }
  for (int64_t set = 0; set < run.sets; set++) {
    const T *vectors = sums + run.sets * units * width + set * 2 * units;
    std::memcpy(run.d_gain + set * units, vectors, units * sizeof(T));
    std::memcpy(run.d_bias + set * units, vectors + units, units * sizeof(T));
  }
  if (run.rates > 1) return;
  for (int64_t element = 1; element < run.batch; element++) {
    if (run.d_age_weight) add_to(run.d_age_weight, run.d_age_weight + element * run.ages, run.ages);
    if (run.d_write_weight) add_to(run.d_write_weight, run.d_write_weight + element * run.ages * K, run.ages * K);
    if (run.d_decayed) add_to(run.d_decayed, run.d_decayed + element * run.decays * K, run.decays * K);
  }
}

// Memory of a run: weights, the sums of each bundle of groups in the backward pass, and what each thread needs.
template <class Layout>
struct Workspace {
  using T = typename Layout::Number;
  int64_t groups, together, bundles, length, parts, part_size = 0;
  Arena arena;
  Weights<T> weights;
  T *sums = nullptr;

  Workspace(const SequenceRun<T> &run, bool backward) : arena{run.workspace},
        weights(arena, run, backward, !backward && Sequence<Layout>::MATRICES) {
    groups = (run.batch + Layout::TOGETHER - 1) / Layout::TOGETHER;
    // so many groups have one sum that all sums take at most half as much as the states
    const int64_t steps = Layout::TOGETHER * run.time, width = 2 * run.sets * weights.width * Layout::L;
    together = backward ? (width + steps - 1) / steps : 1;
    bundles = (groups + together - 1) / together;
    length = sums_of(run);
    parts = run.threads < bundles ? run.threads : bundles;
    if (backward) sums = arena.template take<T>(bundles * length);
    Arena part{nullptr};
    const Sequence<Layout> sequence(part, run, weights, backward);
    part_size = part.used;
  }
  int64_t bytes() const { return arena.used + parts * part_size; }
  Arena part(int64_t number) const { return Arena{arena.at + arena.used + number * part_size}; }
};

template <class Layout>
void forward(const SequenceRun<typename Layout::Number> &run) {
  Workspace<Layout> workspace(run, false);
  workspace.weights.fill(run);
  share_out(Team(run.team), workspace.parts, workspace.groups, [&](int64_t part, int64_t first, int64_t last) {
    Arena own = workspace.part(part);
    Sequence<Layout> sequence(own, run, workspace.weights, false);
    for (int64_t group = first; group < last; group++) sequence.forward(group);
  });
}

template <class Layout>
void backward(const SequenceRun<typename Layout::Number> &run) {
  using T = typename Layout::Number;
  Workspace<Layout> workspace(run, true);
  workspace.weights.fill(run);
  share_out(Team(run.team), workspace.parts, workspace.bundles, [&](int64_t part, int64_t first, int64_t last) {
    Arena own = workspace.part(part);
    Sequence<Layout> sequence(own, run, workspace.weights, true);
    const int64_t together = workspace.together, end = last * together;
    for (int64_t group = first * together; group < end && group < workspace.groups; group++) {
      T *sums = workspace.sums + group / together * workspace.length;
      if (group % together == 0) std::memset(sums, 0, workspace.length * sizeof(T));
      sequence.backward(group, sums);
    }
  });
  const NoSubnormals guard;
  for (int64_t bundle = 1; bundle < workspace.bundles; bundle++)
    add_to(workspace.sums, workspace.sums + bundle * workspace.length, workspace.length);
  store_sums(run, workspace.sums, workspace.weights.width * Layout::L);
}
