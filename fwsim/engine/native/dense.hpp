// A whole sequence with a memory kept as a matrix, forward and backward, one batch element after the other.
//
// The backward pass brings the matrices of a segment back by writing again what was written, from a checkpoint on.
// Gradients of parameters are summed up within bundles of elements, whose sums are added in the order of the bundles, so
// that what is computed does not depend on the number of threads.
#pragma once

#include "dense_memory.hpp"
#include "threads.hpp"

// C, W and b side by side, and the weights of the gates, with their rows in registers: shared by all threads.
template <class T>
struct DenseWeights {
  using Row = UnitLayout<T>;
  using V = typename Row::V;
  int64_t units, given, n, width;  // channels of input, state and a 1; registers of units, and of these channels
  V *rows, *columns, *gates;
  T *gain, *bias;

  DenseWeights(Arena &arena, const DenseRun<T> &run)
      : units(run.units), given(run.inputs + run.units + 1), n(Row::registers(units)), width(Row::registers(given)) {
    rows = arena.take<V>(units * width);
    columns = arena.take<V>(given * n);
    gates = arena.take<V>(run.gates * width);
    gain = (T *)arena.take<V>(n);
    bias = (T *)arena.take<V>(n);
  }
  void fill(const DenseRun<T> &run) {
    for (int64_t i = 0; i < units; i++) Row::load(run.weights + i * given, 0, 1, int(given), rows + i * width);
    for (int64_t g = 0; g < run.gates; g++)
      Row::load(run.gate_weights + g * given, 0, 1, int(given), gates + g * width);
    for (int64_t j = 0; j < given; j++) {
      columns[j * n + n - 1] = V{};
      for (int64_t i = 0; i < units; i++) ((T *)(columns + j * n))[i] = run.weights[i * given + j];
    }
    Row::load(run.gain, 0, 1, int(units), (V *)gain);
    Row::load(run.bias, 0, 1, int(units), (V *)bias);
  }
};

// Gradients of parameters, in registers: a piece of memory for each bundle.
template <class V>
struct DenseSums {
  V *weights, *gates, *gain, *bias, *decay, *strength;
  int64_t registers;

  template <class T>
  DenseSums(V *at, const DenseRun<T> &run, int64_t n, int64_t width) {
    const V *start = at;
    const auto take = [&](int64_t count) { return (at += count) - count; };
    weights = take((run.inputs + run.units + 1) * n);  // columns
    gates = take(run.gates * width);
    gain = take(n);
    bias = take(n);
    decay = take(run.timescales * run.decay_rows * n);
    strength = take(run.timescales * run.strength_rows * n);
    registers = at - start;
  }
};

template <class T>
struct DenseSequence {
  using Layout = UnitLayout<T>;
  using V = typename Layout::V;
  static constexpr int L = Layout::L;
  static constexpr int COLLECTED = 16;  // steps whose gradients of weights are added up at once

  const DenseRun<T> &run;
  const DenseWeights<T> &weights;
  const int units, n;
  const int64_t inputs, width;
  const Cell<Layout> cell;
  Path<Layout> path;
  DenseMemory<T> memory;
  Active<T> active;
  V *matrix;         // of the forward pass, or those of a segment: as many as it has steps, and one more
  V *given, *post;   // input, state before the step and a 1; what is written
  // Of the backward pass alone.
  V *d_given, *d_state, *d_post, *d_z, *outside, *left, *right;
  int64_t collected = 0, element;

  DenseSequence(Arena &arena, const DenseRun<T> &run, const DenseWeights<T> &weights, bool backward)
      : run(run), weights(weights), units(int(run.units)), n(int(weights.n)), inputs(run.inputs), width(weights.width),
        cell{units, n, int(run.inner_steps), int(run.activation), int(run.normalise), weights.gain, weights.bias},
        path(arena, n, int(run.inner_steps), 0), memory(arena, run, n, backward) {
    active.place = arena.take<int32_t>(weights.given + 2 * L);
    active.value = arena.take<T>(weights.given + 2 * L);
    matrix = arena.take<V>((backward ? run.group + 1 : 1) * memory.size);
    given = arena.take<V>(width);
    post = arena.take<V>(n);
    if (!backward) return;
    d_given = arena.take<V>(width);
    for (V **each : {&d_state, &d_post, &d_z, &outside}) *each = arena.take<V>(n);
    left = arena.take<V>(COLLECTED * n);
    right = arena.take<V>(COLLECTED * width);
  }

  void choose(int64_t of) {
    element = of;
    memory.choose(element);
    memory.given = (const T *)given;
    memory.fixed = weights.columns;
  }
  int64_t row(int64_t step) const { return element * run.time + step; }
  void load(const T *source, V *target) const { Layout::load(source, 0, 1, units, target); }
  void store(const V *source, T *target) const { Layout::store(source, target, 0, 1, units); }

  // What is given to a step: its input, the state before it, and a 1.
  void load_given(int64_t step) {
    clear(given, width);
    T *numbers = (T *)given;
    std::memcpy(numbers, run.x + row(step) * inputs, inputs * sizeof(T));
    std::memcpy(numbers + inputs, step ? run.states + row(step - 1) * units : run.hidden + element * units,
                units * sizeof(T));
    numbers[inputs + units] = 1;
  }
  T gate(int64_t number) const {
    if (number < 0) return 1;
    return T(1) / (T(1) + std::exp(-Layout::across(Cell<Layout>::dot(weights.gates + number * width, given, int(width)))));
  }
  Gates<T> gates() const { return {gate(run.keep), gate(run.store)}; }

  // What step `step` writes, in `post`, and its presynaptic side; after `load_given`.
  void load_pair(int64_t step) {
    load(run.before ? (const T *)given + inputs : run.states + row(step) * units, post);
    memory.present(post);
  }

  // ---- Forward ----

  void forward(int64_t of) {
    choose(of);
    memory.load(run.matrix ? run.matrix + element * matrix_size() : nullptr, matrix);
    for (int64_t step = 0; step < run.time; step++) {
      if (run.checkpoint && step && step % run.group == 0) copy(matrix, checkpoint(step), memory.size);
      load_given(step);
      if (run.before) write(step, matrix, matrix);
      advance();
      save_step(step);
      if (!run.before) write(step, matrix, matrix);
    }
    memory.store(matrix, run.final + element * matrix_size());
  }
  int64_t matrix_size() const { return run.timescales * run.sources * units; }
  V *checkpoint(int64_t step) const {
    return (V *)run.checkpoint + (element * run.checkpoints + step / run.group - 1) * memory.size;
  }
  void write(int64_t step, const V *from, V *to) {
    load_pair(step);
    memory.write(post, from, to, gates());
  }

  void advance() {
    clear(path.z, n);
    list_active(given, int(weights.given), active);
    multiply_active(path.z, (const V *)weights.columns, n, active, n);
    begin(cell, path);
    memory.prepare(matrix);
    settle(cell, memory, path);
  }
  void save_step(int64_t step) {
    store(path.last(), run.states + row(step) * units);
    if (run.inner)
      for (int s = 0; s <= cell.inner; s++)
        store(path.state(s), run.inner + (row(step) * (cell.inner + 1) + s) * units);
    if (run.sustained) store(path.z, run.sustained + row(step) * units);
  }

  // ---- Backward ----

  // Goes back through an element, and adds the gradients of parameters to `sums`.
  void backward(int64_t of, DenseSums<V> sums) {
    choose(of);
    clear(d_state, n);
    memory.load(run.d_final ? run.d_final + element * matrix_size() : nullptr, memory.gradient);
    memory.d_fixed = sums.weights;
    memory.d_decay = sums.decay;
    memory.d_strength = sums.strength;
    memory.d_given = (T *)d_given;
    for (int64_t segment = (run.time - 1) / run.group; segment >= 0; segment--) {
      const int64_t start = segment * run.group, end = start + run.group < run.time ? start + run.group : run.time;
      recompute(start, end);
      for (int64_t step = end - 1; step >= start; step--)
        step_backward(step, matrix + (step - start) * memory.size, sums);
    }
    store(d_state, run.d_hidden + element * units);
    if (run.d_matrix) memory.store(memory.gradient, run.d_matrix + element * matrix_size());
  }

  // Brings back the matrices before each step of a segment and after it.
  void recompute(int64_t start, int64_t end) {
    if (start)
      copy((const V *)checkpoint(start), matrix, memory.size);
    else
      memory.load(run.matrix ? run.matrix + element * matrix_size() : nullptr, matrix);
    for (int64_t step = start; step < end - !run.before; step++) {
      load_given(step);
      write(step, matrix + (step - start) * memory.size, matrix + (step - start + 1) * memory.size);
    }
  }

  // From dh(t+1) to dh(t), both in `d_state`.
  void step_backward(int64_t step, const V *from, DenseSums<V> sums) {
    load_given(step);
    clear(d_given, width);
    load(run.d_states + row(step) * units, outside);
    add(outside, d_state, n);
    if (!run.before) write_backward(step, from, sums, d_state);
    loop_backward(step, run.before ? from + memory.size : from, sums);
    if (run.before) {
      clear(d_post, n);
      write_backward(step, from, sums, d_post);
      for (int i = 0; i < units; i++) ((T *)d_given)[inputs + i] += ((const T *)d_post)[i];
    }
    multiply(d_given, 0, (const T *)d_z, 0, 1, (const V *)weights.rows, width, 1, width, units);
    if (run.d_x) std::memcpy(run.d_x + row(step) * inputs, d_given, inputs * sizeof(T));
    load((const T *)d_given + inputs, d_state);
    note(step, sums);
  }

  // Backward pass of a write; adds to the gradient of the state that was written.
  void write_backward(int64_t step, const V *from, DenseSums<V> sums, V *d_written) {
    load_pair(step);
    const Gates<T> now = gates();
    const Gates<T> slope = memory.write_backward(post, from, now, d_written, run.gates > 0 || run.d_decay);
    memory.give_back(d_written);
    gate_backward(run.keep, slope.keep * now.keep * (1 - now.keep), sums);
    gate_backward(run.store, slope.store * now.store * (1 - now.store), sums);
  }
  void gate_backward(int64_t number, T d_field, DenseSums<V> sums) {
    if (number < 0) return;
    for (int64_t i = 0; i < width; i++) {
      sums.gates[number * width + i] += d_field * given[i];
      d_given[i] += d_field * weights.gates[number * width + i];
    }
  }

  // Runs the inner loop again, and goes back through it, from dh_S to dz.
  void loop_backward(int64_t step, const V *read, DenseSums<V> sums) {
    load(run.sustained + row(step) * units, path.z);
    begin(cell, path);
    memory.prepare(read);
    settle(cell, memory, path);
    const auto d_inner = [&](int s, V *target) {
      if (!run.d_inner) return;
      load(run.d_inner + (row(step) * (cell.inner + 1) + s) * units, outside);
      add(outside, target, n);
    };
    d_inner(cell.inner, d_state);
    settle_backward(cell, memory, path, d_state, d_z, sums.gain, sums.bias, d_inner);
  }

  // Gradient of the weights: notes dz, and what it belongs to.
  void note(int64_t step, DenseSums<V> sums) {
    copy(d_z, left + collected * n, n);
    copy(given, right + collected * width, width);
    if (++collected < COLLECTED && step) return;
    multiply(sums.weights, n, (const T *)right, 1, width * L, (const V *)left, n, weights.given, n, collected);
    collected = 0;
  }
};

// Memory of a run: weights, the sums of each bundle of elements in the backward pass, and what each thread needs.
template <class T>
struct DenseWorkspace {
  using V = typename UnitLayout<T>::V;
  static constexpr int64_t BUNDLES = 32;
  const DenseRun<T> &run;
  int64_t bundles, parts, part_size = 0;
  Arena arena;
  DenseWeights<T> weights;
  V *sums = nullptr;

  DenseWorkspace(const DenseRun<T> &run, bool backward) : run(run), arena{run.workspace}, weights(arena, run) {
    // gradients of constants that differ between batch elements are not to be added up
    const bool apart = run.rates > 1 && run.d_decay;
    bundles = run.batch < BUNDLES || apart || !backward ? run.batch : BUNDLES;
    parts = run.threads < bundles ? run.threads : bundles;
    if (backward) sums = arena.take<V>(bundles * length());
    Arena part{nullptr};
    const DenseSequence<T> sequence(part, run, weights, backward);
    part_size = part.used;
  }
  int64_t length() const { return DenseSums<V>(nullptr, run, weights.n, weights.width).registers; }
  DenseSums<V> sums_of(int64_t bundle) const { return {sums + bundle * length(), run, weights.n, weights.width}; }
  int64_t bytes() const { return arena.used + parts * part_size; }
  Arena part(int64_t number) const { return Arena{arena.at + arena.used + number * part_size}; }
};

template <class T>
void dense_forward(const DenseRun<T> &run) {
  DenseWorkspace<T> workspace(run, false);
  workspace.weights.fill(run);
  share_out(Team(run.team), workspace.parts, run.batch, [&](int64_t part, int64_t first, int64_t last) {
    Arena own = workspace.part(part);
    DenseSequence<T> sequence(own, run, workspace.weights, false);
    for (int64_t element = first; element < last; element++) sequence.forward(element);
  });
}

// Gives out gradients of constants, from registers.
template <class T>
void store_constants(const DenseWorkspace<T> &workspace, int64_t bundle) {
  using Layout = UnitLayout<T>;
  const DenseRun<T> &run = workspace.run;
  const auto sums = workspace.sums_of(bundle);
  const auto store = [&](const auto *source, int64_t rows, T *target) {
    for (int64_t row = 0; row < rows; row++)
      Layout::store(source + row * workspace.weights.n, target + (bundle * rows + row) * run.units, 0, 1, int(run.units));
  };
  store(sums.decay, run.timescales * run.decay_rows, run.d_decay);
  store(sums.strength, run.timescales * run.strength_rows, run.d_strength);
}

// Gives out the gradients of parameters that all batch elements share.
template <class T>
void store_shared(const DenseWorkspace<T> &workspace) {
  using Layout = UnitLayout<T>;
  const DenseRun<T> &run = workspace.run;
  const auto &weights = workspace.weights;
  const auto sums = workspace.sums_of(0);
  for (int64_t j = 0; j < weights.given; j++)
    for (int64_t i = 0; i < run.units; i++)
      run.d_weights[i * weights.given + j] = ((const T *)(sums.weights + j * weights.n))[i];
  for (int64_t g = 0; g < run.gates; g++)
    Layout::store(sums.gates + g * weights.width, run.d_gate_weights + g * weights.given, 0, 1, int(weights.given));
  Layout::store(sums.gain, run.d_gain, 0, 1, int(run.units));
  Layout::store(sums.bias, run.d_bias, 0, 1, int(run.units));
}

template <class T>
void dense_backward(const DenseRun<T> &run) {
  DenseWorkspace<T> workspace(run, true);
  workspace.weights.fill(run);
  const int64_t bundles = workspace.bundles;
  share_out(Team(run.team), workspace.parts, bundles, [&](int64_t part, int64_t first, int64_t last) {
    Arena own = workspace.part(part);
    DenseSequence<T> sequence(own, run, workspace.weights, true);
    for (int64_t bundle = first; bundle < last; bundle++) {
      clear(workspace.sums + bundle * workspace.length(), workspace.length());
      for (int64_t element = run.batch * bundle / bundles; element < run.batch * (bundle + 1) / bundles; element++)
        sequence.backward(element, workspace.sums_of(bundle));
    }
  });
  const NoSubnormals guard;
  if (run.d_decay && run.rates > 1)
    for (int64_t bundle = 0; bundle < bundles; bundle++) store_constants(workspace, bundle);
  for (int64_t bundle = 1; bundle < bundles; bundle++)
    add(workspace.sums + bundle * workspace.length(), workspace.sums, workspace.length());
  if (run.d_decay && run.rates == 1) store_constants(workspace, 0);
  store_shared(workspace);
}
