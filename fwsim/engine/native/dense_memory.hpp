// A memory kept as a matrix, of which every element may have its own decay and strength:
//
//   A_k ← α λ_k ⊙ A_k + β η_k ⊙ change      with the gates α and β of the step
//
// `change` is post preᵀ (Hebbian), post preᵀ − post² A_k (Oja), or (post − α λ_k ⊙ A_k key) keyᵀ with key = pre/‖pre‖
// (delta). Matrices lie by their presynaptic channel, `[K · pre, post]`, each row in registers.
#pragma once

#include "dense_run.hpp"
#include "step.hpp"

// Place l of the result is the sum over the places of register l.
template <class V>
INLINE V across_each(V *sums) {
  transpose(sums);
  for (int step = places<V> / 2; step > 0; step /= 2)
    for (int l = 0; l < step; l++) sums[l] += sums[l + step];
  return sums[0];
}

// `out[row] = Σ_i rows[row, i] v[i]`; `out` has space for whole registers.
template <class V, class T>
void multiply_rows(const V *rows, int64_t count, int n, const V *v, T *out) {
  constexpr int L = places<V>;
  for (int64_t first = 0; first < count; first += L) {
    V sums[L];
    for (int l = 0; l < L; l++) {
      sums[l] = V{};
      const V *row = rows + (first + l) * n;
      if (first + l < count)
        for (int i = 0; i < n; i++) sums[l] += row[i] * v[i];
    }
    *(V *)(out + first) = across_each(sums);
  }
}

// Gates of a step, or their gradients.
template <class T>
struct Gates {
  T keep, store;
};

template <class T>
struct DenseMemory {
  using Layout = UnitLayout<T>;
  using V = typename Layout::V;
  static constexpr int L = Layout::L;

  const DenseRun<T> &run;
  const int units, n, K, sources, wide;  // `wide`: registers of a vector of presynaptic channels
  const int64_t size;                    // registers of the matrices
  V *decay, *strength;
  T *pre;               // presynaptic side; the key of a delta rule
  T norm;               // that it was divided by
  V *error;             // what a delta rule writes
  V *combined;          // what is read, if that is not the matrix itself: Σ_k A_k, scaled by the static weights
  const V *matrix_read, *read_from;  // the matrices of the step, and what is read of them
  const T *given;       // input and state before the step, `[input + unit]`
  const V *fixed;       // static weights by presynaptic channel, `[input + unit + 1, unit]`
  Active<T> active;
  // Of the backward pass alone.
  V *gradient, *pairs, *outer, *d_error;
  T *d_pre;
  V *d_decay, *d_strength, *d_fixed;
  T *d_given;           // gradient of `given`

  DenseMemory(Arena &arena, const DenseRun<T> &run, int n, bool backward)
      : run(run), units(int(run.units)), n(n), K(int(run.timescales)), sources(int(run.sources)),
        wide(Layout::registers(run.sources)), size(run.timescales * run.sources * n) {
    decay = arena.take<V>(K * run.decay_rows * n);
    strength = arena.take<V>(K * run.strength_rows * n);
    pre = (T *)arena.take<V>(wide);
    error = arena.take<V>(n);
    combined = arena.take<V>(K > 1 || run.multiplicative ? int64_t(sources) * n : 0);
    active.place = arena.take<int32_t>(sources + 2 * L);
    active.value = arena.take<T>(sources + 2 * L);
    if (!backward) return;
    gradient = arena.take<V>(size);
    pairs = arena.take<V>(run.inner_steps * wide);
    outer = arena.take<V>(run.multiplicative ? int64_t(sources) * n : 0);
    d_error = arena.take<V>(n);
    d_pre = (T *)arena.take<V>(wide);
  }

  // Constants of a batch element, in registers.
  void choose(int64_t element) {
    const int64_t set = run.rates == 1 ? 0 : element;
    pad(run.decay + set * K * run.decay_rows * units, K * run.decay_rows, decay);
    pad(run.strength + set * K * run.strength_rows * units, K * run.strength_rows, strength);
  }
  void pad(const T *source, int64_t rows, V *target) const {
    for (int64_t row = 0; row < rows; row++) Layout::load(source + row * units, 0, 1, units, target + row * n);
  }
  int64_t decay_place(int k, int j) const { return (run.decay_rows == 1 ? k : k * sources + j) * int64_t(n); }
  int64_t strength_place(int k, int j) const { return (run.strength_rows == 1 ? k : k * sources + j) * int64_t(n); }

  // Static weights that a channel of an activity scales.
  int64_t fixed_row(int64_t activity) const { return activity == INPUTS ? 0 : run.inputs; }

  // Calls `work(activity, channels before it, its channels)` for each part of the presynaptic side.
  template <class Work>
  void each_part(const Work &work) const {
    int64_t start = 0;
    for (int64_t part = 0; part < run.parts; part++) {
      const int64_t channels = run.activity[part] == INPUTS ? run.inputs : run.units;
      work(run.activity[part], start, channels);
      start += channels;
    }
  }

  // The presynaptic side, from what is given and a state.
  void present(const V *state) {
    each_part([&](int64_t activity, int64_t start, int64_t channels) {
      const T *source = activity == UNITS ? (const T *)state : given + (activity == PREVIOUS ? run.inputs : 0);
      std::memcpy(pre + start, source, channels * sizeof(T));
    });
    for (int64_t j = sources; j < int64_t(wide) * L; j++) pre[j] = 0;
  }

  // The key of a delta rule in place of the presynaptic side.
  void normalise() {
    const V *vector = (const V *)pre;
    norm = std::sqrt(Layout::across(Cell<Layout>::dot(vector, vector, wide)));
    for (int j = 0; norm > 0 && j < sources; j++) pre[j] /= norm;
  }

  // Adds the gradient of the presynaptic side to those of its parts.
  void give_back(V *d_state) {
    each_part([&](int64_t activity, int64_t start, int64_t channels) {
      T *target = activity == UNITS ? (T *)d_state : d_given + (activity == PREVIOUS ? run.inputs : 0);
      for (int64_t j = 0; j < channels; j++) target[j] += d_pre[start + j];
    });
  }

  // ---- Reads ----

  // Prepares for the reads of a step.
  void prepare(const V *matrix) {
    matrix_read = read_from = matrix;
    if (K == 1 && !run.multiplicative) return;
    for (int j = 0; j < sources; j++) sum_of(matrix, j, combined + int64_t(j) * n);
    if (run.multiplicative)
      each_row([&](int64_t j, int64_t weights) {
        for (int i = 0; i < n; i++) combined[j * n + i] *= fixed[weights * n + i];
      });
    read_from = combined;
  }
  void sum_of(const V *matrix, int j, V *row) const {
    copy(matrix + int64_t(j) * n, row, n);
    for (int k = 1; k < K; k++) add(matrix + (int64_t(k) * sources + j) * n, row, n);
  }
  // Calls `work(channel, row of its static weights)`.
  template <class Work>
  void each_row(const Work &work) const {
    each_part([&](int64_t activity, int64_t start, int64_t channels) {
      for (int64_t j = 0; j < channels; j++) work(start + j, fixed_row(activity) + j);
    });
  }

  void read(const V *state, V *field, T *, T *) {
    present(state);
    list_active((const V *)pre, sources, active);
    multiply_active(field, read_from, n, active, n);
  }

  // Gradient of the presynaptic side from that of iteration s's field; keeps the pair for `rows_backward`.
  void read_backward(int s, Path<Layout> &path, V *d_state) {
    present(path.state(s));
    copy((const V *)pre, pairs + int64_t(s) * wide, wide);
    multiply_rows(read_from, sources, n, (const V *)path.field(s), d_pre);
    give_back(d_state);
  }

  // Adds Σ_s dy_s pre_sᵀ to the gradient of the matrices; what scales it, and its gradient, if reads are multiplicative.
  void rows_backward(Path<Layout> &path) {
    if (run.inner_steps == 0) return;
    const auto add_outer = [&](V *target) {
      multiply(target, n, (const T *)pairs, 1, int64_t(wide) * L, (const V *)path.vectors, n, sources, n, run.inner_steps);
    };
    if (!run.multiplicative) {
      for (int k = 0; k < K; k++) add_outer(gradient + int64_t(k) * sources * n);
      return;
    }
    clear(outer, int64_t(sources) * n);
    add_outer(outer);
    each_row([&](int64_t j, int64_t weights) {
      sum_of(matrix_read, int(j), combined);
      for (int i = 0; i < n; i++) {
        d_fixed[weights * n + i] += combined[i] * outer[j * n + i];
        outer[j * n + i] *= fixed[weights * n + i];
      }
      for (int k = 0; k < K; k++) add(outer + j * n, gradient + (int64_t(k) * sources + j) * n, n);
    });
  }

  // ---- Writes ----

  // Matrices after a write, from those before it, which may lie in the same place; `pre` is the presynaptic side.
  void write(const V *post, const V *from, V *to, Gates<T> gates) {
    if (run.rule == DELTA) normalise();
    for (int k = 0; k < K; k++) {
      if (run.rule == DELTA) find_error(k, post, from, gates);
      const V *what = run.rule == DELTA ? error : post;
      for (int j = 0; j < sources; j++) write_row(k, j, what, from, to, gates);
    }
  }
  void write_row(int k, int j, const V *post, const V *from, V *to, Gates<T> gates) const {
    const V *left = decay + decay_place(k, j), *gain = strength + strength_place(k, j);
    const V *before = from + (int64_t(k) * sources + j) * n;
    V *after = to + (int64_t(k) * sources + j) * n;
    const T active = gates.store * pre[j];
    if (run.rule == OJA)
      for (int i = 0; i < n; i++) {
        const V change = active * post[i] - gates.store * post[i] * post[i] * before[i];
        after[i] = gates.keep * left[i] * before[i] + gain[i] * change;
      }
    else
      for (int i = 0; i < n; i++) after[i] = gates.keep * left[i] * before[i] + gain[i] * (active * post[i]);
    if (!run.self_connections) ((T *)after)[j] = 0;
  }
  // post − α λ ⊙ A key; nothing where the presynaptic side is silent.
  void find_error(int k, const V *post, const V *from, Gates<T> gates) {
    clear(error, n);
    if (!(norm > 0)) return;
    for (int j = 0; j < sources; j++) {
      const V *left = decay + decay_place(k, j), *before = from + (int64_t(k) * sources + j) * n;
      const T active = gates.keep * pre[j];
      if (active != 0)
        for (int i = 0; i < n; i++) error[i] -= active * left[i] * before[i];
    }
    for (int i = 0; i < n; i++) error[i] += post[i];
  }

  // Backward pass of `write`: `gradient` goes from that of the matrices after it to that of those before it.
  Gates<T> write_backward(const V *post, const V *from, Gates<T> gates, V *d_post, bool slopes) {
    if (run.rule == DELTA) normalise();
    clear((V *)d_pre, wide);
    V d_keep = V{}, d_store = V{};
    for (int k = 0; k < K; k++) {
      if (!run.self_connections)
        for (int j = 0; j < sources; j++) ((T *)(gradient + (int64_t(k) * sources + j) * n))[j] = 0;
      if (run.rule == DELTA) find_d_error(k, post, from, gates, d_post);
      for (int first = 0; first < sources; first += L) {
        alignas(sizeof(V)) V sums[L];
        for (int l = 0; l < L; l++) {
          sums[l] = V{};
          const int j = first + l;
          if (j >= sources) continue;
          if (slopes) slopes_of_row(k, j, post, from, gates, d_keep, d_store);
          sums[l] = row_backward(k, j, post, from, gates, d_post);
        }
        *(V *)(d_pre + first) += across_each(sums);
      }
    }
    if (run.rule == DELTA) normalise_backward();
    return {Layout::across(d_keep), Layout::across(d_store)};
  }

  // Gradients of λ and η, and of the gates, from a row.
  void slopes_of_row(int k, int j, const V *post, const V *from, Gates<T> gates, V &d_keep, V &d_store) {
    const int64_t place = (int64_t(k) * sources + j) * n, at_decay = decay_place(k, j), at_gain = strength_place(k, j);
    const V *g = gradient + place, *before = from + place;
    const T active = pre[j];
    for (int i = 0; i < n; i++) {
      V change = run.rule == DELTA ? active * error[i] : active * post[i];
      if (run.rule == OJA) change -= post[i] * post[i] * before[i];
      const V left = (run.rule == DELTA ? g[i] - active * d_error[i] : g[i]) * before[i], written = g[i] * change;
      d_decay[at_decay + i] += gates.keep * left;
      d_strength[at_gain + i] += gates.store * written;
      d_keep += decay[at_decay + i] * left;
      d_store += strength[at_gain + i] * written;
    }
  }

  // Gradients of the matrices before, of `post`, and of a presynaptic channel, which is the sum over the result.
  V row_backward(int k, int j, const V *post, const V *from, Gates<T> gates, V *d_post) {
    const int64_t place = (int64_t(k) * sources + j) * n;
    const V *left = decay + decay_place(k, j), *gain = strength + strength_place(k, j), *before = from + place;
    V *g = gradient + place, sum = V{};
    const T active = pre[j];
    if (run.rule == DELTA)
      for (int i = 0; i < n; i++) {
        const V kept = gates.keep * left[i];
        sum += gates.store * gain[i] * g[i] * error[i] - d_error[i] * kept * before[i];
        g[i] = kept * (g[i] - active * d_error[i]);
      }
    else if (run.rule == OJA)
      for (int i = 0; i < n; i++) {
        const V written = gates.store * gain[i] * g[i];
        sum += written * post[i];
        d_post[i] += written * (active - T(2) * post[i] * before[i]);
        g[i] = gates.keep * left[i] * g[i] - written * post[i] * post[i];
      }
    else
      for (int i = 0; i < n; i++) {
        const V written = gates.store * gain[i] * g[i];
        sum += written * post[i];
        d_post[i] += written * active;
        g[i] *= gates.keep * left[i];
      }
    return sum;
  }

  // The error that a delta rule wrote, and its gradient, which is that of `post` too.
  void find_d_error(int k, const V *post, const V *from, Gates<T> gates, V *d_post) {
    find_error(k, post, from, gates);
    clear(d_error, n);
    if (!(norm > 0)) return;
    for (int j = 0; j < sources; j++) {
      const V *gain = strength + strength_place(k, j), *g = gradient + (int64_t(k) * sources + j) * n;
      const T active = gates.store * pre[j];
      for (int i = 0; i < n; i++) d_error[i] += active * gain[i] * g[i];
    }
    add(d_error, d_post, n);
  }
  // From the gradient of the key to that of the presynaptic side.
  void normalise_backward() {
    const T along = Layout::across(Cell<Layout>::dot((const V *)pre, (const V *)d_pre, wide));
    for (int j = 0; j < sources; j++) d_pre[j] = norm > 0 ? (d_pre[j] - pre[j] * along) / norm : T(0);
  }

  // ---- Numbers from outside ----

  // target[K · pre, post] from source[K, post, pre], or zero where there is none.
  void load(const T *source, V *target) const {
    clear(target, size);
    if (source) each_element([&](int64_t outside, int64_t here) { ((T *)target)[here] = source[outside]; });
  }
  void store(const V *source, T *target) const {
    each_element([&](int64_t outside, int64_t here) { target[outside] = ((const T *)source)[here]; });
  }
  template <class Work>
  void each_element(const Work &work) const {
    for (int64_t k = 0; k < K; k++)
      for (int64_t j = 0; j < sources; j++)
        for (int64_t i = 0; i < units; i++)
          work((k * units + i) * sources + j, (k * sources + j) * n * L + i);
  }
};
