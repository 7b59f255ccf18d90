// The memory: states written since the matrices were last brought up to date, and these matrices.
//
// Written states are rows `[past, unit]`. In the layout of units they are columns `[unit, past]` besides, so that scores
// h(τ)·h are sums of columns over active units. Matrices are for that layout alone, one batch element after the other: a
// matrix for each place of a register would not fit the cache. They lie by their presynaptic unit, `[K · pre, post]`.
//
// Tables say what decay does, so that nothing here divides by λ: `decayed[n]` is λ^n, what n writes leave of a matrix,
// and `write_weight[a]` is η λ^a, what a state of age a counts in it.
#pragma once

#include <algorithm>

#include "step.hpp"

// A vector's stride in registers, such that rows of which only the beginning is read do not share sets of the cache.
template <class V>
int64_t odd(int64_t registers) {
  constexpr int64_t line = sizeof(V) >= 64 ? 1 : 64 / sizeof(V);
  const int64_t lines = (registers + line - 1) / line;
  return (lines + (lines % 2 == 0)) * line;
}

// Pairs (dy, h) whose outer products are the gradient of the matrices; as many as are collected before they are added up.
constexpr int PAIRS = 48;

template <class Layout>
struct Memory {
  using T = typename Layout::Number;
  using V = typename Layout::V;
  using Scalar = typename Layout::Scalar;
  static constexpr bool MATRICES = Layout::TOGETHER == 1;
  int units, n, K;
  bool self, symmetric;
  int64_t reach, stride, inner;

  // Written states: the first `pending` are read, with weights `kappa`.
  V *rows, *columns, *own;
  const Scalar *kappa = nullptr;
  int64_t pending = 0;
  Active<T> active, scaled;
  V *d_rows, *d_own;
  Scalar *d_kappa = nullptr;  // null if not wanted

  // Matrices: what is read of them is `factor · total`; 0 if there is nothing.
  T factor = 0;
  V *matrices, *sum, *total;
  const T *write_weight = nullptr, *decayed = nullptr;
  V *d_matrices, *transposed, *pair_fields, *field;
  T *pair_columns, *d_write_weight = nullptr, *d_decayed = nullptr;
  int32_t *pair_ages;
  int pairs = 0, capacity;

  Memory(Arena &arena, const SequenceRun<T> &run, int n, int64_t reach, bool backward)
      : units(int(run.units)), n(n), K(int(run.matrices)), self(run.self_connections), symmetric(run.symmetric),
        reach(reach), stride(odd<V>(Layout::registers(reach))), inner(run.inner_steps) {
    rows = arena.take<V>(reach * n);
    own = arena.take<V>(n);
    const int64_t matrix = int64_t(K) * units * n, square = K > 0 ? int64_t(units) * n : 0;
    capacity = int(inner > PAIRS ? inner : PAIRS);
    const int64_t listed = (reach > units ? reach : units) + capacity + 2 * Layout::L;
    if (MATRICES) {
      columns = arena.take<V>(units * stride);
      for (Active<T> *each : {&active, &scaled}) {
        each->place = arena.take<int32_t>(listed);
        each->value = arena.take<T>(listed);
      }
      matrices = arena.take<V>(matrix);
      sum = K > 1 ? arena.take<V>(square) : matrices;
    }
    if (!backward) return;
    d_rows = arena.take<V>(reach * n);
    d_own = arena.take<V>(n);
    if (MATRICES && K > 0) {
      d_matrices = arena.take<V>(matrix);
      transposed = arena.take<V>(square);
      pair_fields = arena.take<V>(int64_t(capacity) * n);
      pair_columns = arena.take<T>(int64_t(units) * padded(capacity));
      pair_ages = arena.take<int32_t>(capacity);
      field = arena.take<V>(reach * n);
    }
  }
  static int64_t padded(int64_t numbers) { return (numbers + Layout::L - 1) / Layout::L * Layout::L; }

  // Stores a state, whose place among the written ones is `row`.
  void write(const V *state, int64_t row) {
    copy(state, rows + row * n, n);
    if constexpr (MATRICES)
      for (int i = 0; i < units; i++) ((T *)(columns + i * stride))[row] = ((const T *)state)[i];
  }

  // Prepares for a step that reads `count` states with the weights `weights`, and the matrices if there are any.
  void prepare(int64_t count, const Scalar *weights, bool carried) {
    pending = count;
    kappa = weights;
    if (!self) {
      clear(own, n);
      for (int64_t t = 0; t < pending; t++)
        for (int i = 0; i < n; i++) own[i] += wide<V>(kappa[t]) * rows[t * n + i] * rows[t * n + i];
    }
    if constexpr (MATRICES) {
      factor = 0;
      if (carried) add_up();
    }
  }
  void add_up() {
    const T *left = decayed + pending * K;
    total = sum;
    factor = K > 1 ? T(1) : left[0];
    if (K > 1)
      for (int64_t j = 0; j < int64_t(units) * n; j++) {
        V value = V{};
        for (int k = 0; k < K; k++) value += left[k] * matrices[k * int64_t(units) * n + j];
        sum[j] = value;
      }
  }

  // Calls `work(first, count)` for written states of which so many fit the first-level cache, where each is read twice.
  template <class Work>
  void each_tile(const Work &work) const {
    constexpr int64_t BYTES = 28 << 10;
    const int64_t most = std::max<int64_t>(1, BYTES / (n * int64_t(sizeof(V))));
    for (int64_t t = 0; t < pending; t += most) work(t, std::min(most, pending - t));
  }
  // Scores h(τ)·h of a state for `count` written states from `first` on.
  void score(const V *h, Scalar *scores, int64_t first, int64_t count) {
    clear(scores + first, count);
    multiply(scores + first, 1, rows + first * n, n, 1, h, 1, count, 1, units);
  }
  // All scores.
  void score(const V *h, Scalar *scores) {
    if constexpr (MATRICES) {
      clear((V *)scores, Layout::registers(pending));
      multiply_active((V *)scores, columns, stride, active, Layout::registers(pending));
    } else
      score(h, scores, 0, pending);
  }

  // field += A h; keeps the scores.
  void read(const V *h, V *field, Scalar *scores, Scalar *weighted) {
    if constexpr (MATRICES) {
      list_active(h, units, active);
      if (factor != 0) {
        for (int c = 0; c < active.count; c += Layout::L)
          *(V *)(scaled.value + c) = factor * *(const V *)(active.value + c);
        multiply_active(field, total, n, Active<T>{active.count, active.place, scaled.value}, n);
      }
    }
    if (pending == 0) return;
    const auto answer = [&](int64_t first, int64_t count) {
      if constexpr (!MATRICES) score(h, scores, first, count);
      for (int64_t t = first; t < first + count; t++) weighted[t] = kappa[t] * scores[t];
      multiply(field, 0, weighted + first, 0, 1, rows + first * n, n, 1, n, count);
    };
    if constexpr (MATRICES) {
      score(h, scores);
      answer(0, pending);
    } else
      each_tile(answer);
    if (!self)
      for (int i = 0; i < n; i++) field[i] -= own[i] * h[i];
  }

  // The scores of a state, where its field is known.
  void read_again(const V *h, Scalar *scores) {
    if (pending == 0) return;
    if constexpr (MATRICES) list_active(h, units, active);
    score(h, scores);
  }

  // Prepares for `read_backward`, after `prepare`.
  void prepare_backward() {
    clear(d_own, n);
    if constexpr (MATRICES)
      if (factor != 0 && !symmetric) transpose_into(total, transposed);
  }

  // d_state += Aᵀ dy for the gradient dy of iteration s's field; leaves in `path` what `rows_backward` needs.
  void read_backward(int s, Path<Layout> &path, V *d_state) {
    const V *dy = path.field(s), *h = path.state(s);
    if constexpr (MATRICES)
      if (factor != 0) matrices_backward(dy, h, d_state);
    if (pending == 0) return;
    const Scalar *scores = path.scores + s * reach;
    Scalar *reads = path.weighted + s * reach, *pulls = path.weighted + (inner + s) * reach;
    const auto pull = [&](int64_t first, int64_t count) {
      if constexpr (!MATRICES) score(dy, pulls, first, count);
      for (int64_t t = first; t < first + count; t++) {
        if (d_kappa) d_kappa[t] += scores[t] * pulls[t];
        reads[t] = kappa[t] * scores[t];
        pulls[t] *= kappa[t];
      }
      multiply(d_state, 0, (const Scalar *)pulls + first, 0, 1, rows + first * n, n, 1, n, count);
    };
    if constexpr (MATRICES) {
      clear((V *)pulls, Layout::registers(pending));
      multiply((V *)pulls, 0, (const T *)dy, 0, 1, columns, stride, 1, Layout::registers(pending), units);
      pull(0, pending);
    } else
      each_tile(pull);
    if (!self)
      for (int i = 0; i < n; i++) {
        d_state[i] -= own[i] * dy[i];
        d_own[i] -= dy[i] * h[i];
      }
  }

  // dh(τ) += Σ_s κ (h(τ)·h_s dy_s + h(τ)·dy_s h_s), all iterations at once.
  void rows_backward(Path<Layout> &path) {
    if (pending == 0 || inner == 0) return;
    multiply(d_rows, n, (const Scalar *)path.weighted, 1, reach, path.vectors, n, pending, n, 2 * inner);
    if (self) return;
    for (int64_t t = 0; t < pending; t++) {
      const V *row = rows + t * n;
      V slope = V{};
      for (int i = 0; i < n; i++) {
        d_rows[t * n + i] += T(2) * wide<V>(kappa[t]) * row[i] * d_own[i];
        slope += row[i] * row[i] * d_own[i];
      }
      if (d_kappa) d_kappa[t] += Layout::across(slope);
    }
  }

  // The matrix part of `read_backward`; collects the pair (dy, h).
  void matrices_backward(const V *dy, const V *h, V *d_state) {
    for (int i = 0; i < units; i++) scaled.value[i] = factor * ((const T *)dy)[i];
    multiply(d_state, 0, (const T *)scaled.value, 0, 1, (const V *)(symmetric ? total : transposed), n, 1, n, units);
    if (d_decayed) {
      list_active(h, units, active);
      for (int k = 0; k < K; k++) {
        clear(field, n);
        multiply_active(field, (const V *)matrices + k * int64_t(units) * n, n, active, n);
        d_decayed[pending * K + k] += Layout::across(Cell<Layout>::dot(field, dy, n));
      }
    }
    copy(dy, pair_fields + int64_t(pairs) * n, n);
    for (int i = 0; i < units; i++) pair_columns[i * padded(capacity) + pairs] = ((const T *)h)[i];
    pair_ages[pairs++] = int32_t(pending);
  }

  // Adds the outer products of the collected pairs to the gradient of the matrices.
  void add_pairs() {
    for (int j = 0; j < units; j++) {
      list_active((const V *)(pair_columns + j * padded(capacity)), pairs, active);
      for (int k = 0; k < K; k++) {
        scaled.count = active.count;
        for (int c = 0; c < active.count; c++) {
          scaled.place[c] = active.place[c];
          scaled.value[c] = active.value[c] * decayed[pair_ages[active.place[c]] * K + k];
        }
        multiply_active(d_matrices + (int64_t(k) * units + j) * n, pair_fields, n, scaled, n);
      }
    }
    pairs = 0;
  }

  // Adds the first `count` written states to matrices: M_k ← λ_k^count M_k + Σ η_k λ_k^age h hᵀ.
  void merge(V *target, int64_t count) {
    for (int j = 0; j < units; j++) {
      list_active(columns + j * stride, int(count), active);
      for (int k = 0; k < K; k++) {
        scaled.count = active.count;
        for (int c = 0; c < active.count; c++) {
          scaled.place[c] = active.place[c];
          scaled.value[c] = active.value[c] * write_weight[(count - 1 - active.place[c]) * K + k];
        }
        V *row = target + (int64_t(k) * units + j) * n;
        for (int i = 0; i < n; i++) row[i] *= decayed[count * K + k];
        multiply_active(row, rows, n, scaled, n);
        if (!self) ((T *)row)[j] = 0;
      }
    }
  }

  // Backward pass of `merge`: from the gradient of the matrices after it to those of the states and the matrices before.
  void merge_backward(int64_t count) {
    for (int k = 0; k < K; k++) {
      V *gradient = d_matrices + int64_t(k) * units * n;
      const V *before = matrices + int64_t(k) * units * n;
      if (!self)
        for (int j = 0; j < units; j++) ((T *)(gradient + int64_t(j) * n))[j] = 0;
      transpose_into(gradient, transposed);
      for (int64_t i = 0; i < int64_t(units) * n; i++) transposed[i] += gradient[i];
      clear(field, count * n);
      multiply(field, n, (const T *)rows, int64_t(n) * Layout::L, 1, (const V *)transposed, n, count, n, units);
      for (int64_t row = 0; row < count; row++) {
        const int64_t age = count - 1 - row;
        const V *slope = field + row * n;
        if (d_write_weight)
          d_write_weight[age * K + k] += Layout::across(Cell<Layout>::dot(slope, rows + row * n, n)) / 2;
        for (int i = 0; i < n; i++) d_rows[row * n + i] += write_weight[age * K + k] * slope[i];
      }
      if (d_decayed)
        d_decayed[count * K + k] += Layout::across(Cell<Layout>::dot(gradient, before, units * n));
      for (int64_t i = 0; i < int64_t(units) * n; i++) gradient[i] *= decayed[count * K + k];
    }
  }

  // target[j, i] = source[i, j] in tiles that fit the cache.
  void transpose_into(const V *source, V *target) const {
    const int64_t width = int64_t(n) * Layout::L;
    for (int j = 0; j < units; j++) target[j * n + n - 1] = V{};
    for (int i0 = 0; i0 < units; i0 += 16)
      for (int j0 = 0; j0 < units; j0 += 16)
        for (int i = i0; i < units && i < i0 + 16; i++)
          for (int j = j0; j < units && j < j0 + 16; j++)
            ((T *)target)[j * width + i] = ((const T *)source)[i * width + j];
  }

  // target[K · pre, post] from source[K, post, pre], or zero where there is none.
  void load(const T *source, V *target) const {
    const int64_t width = int64_t(n) * Layout::L;
    clear(target, int64_t(K) * units * n);
    if (source)
      for (int64_t k = 0; k < K; k++)
        for (int64_t i = 0; i < units; i++)
          for (int64_t j = 0; j < units; j++)
            ((T *)target)[(k * units + j) * width + i] = source[(k * units + i) * units + j];
  }
  void store(const V *source, T *target) const {
    const int64_t width = int64_t(n) * Layout::L;
    for (int64_t k = 0; k < K; k++)
      for (int64_t j = 0; j < units; j++)
        for (int64_t i = 0; i < units; i++)
          target[(k * units + i) * units + j] = ((const T *)source)[(k * units + j) * width + i];
  }
};
