// One step of a fast-weight network and its adjoint, written once for both layouts:
//
//   h_0 = f(z),   h_{s+1} = f(LN[z + A h_s]),   A = Σ_τ κ(age of τ) h(τ) h(τ)ᵀ + Σ_k λ_k^n M_k
//
// where τ runs over the states written since the matrices M_k were last brought up to date, n writes ago.
#pragma once

#include "math.hpp"
#include "products.hpp"
#include "sequence_run.hpp"

constexpr double EPSILON = 1e-5;  // of layer normalisation

// Divides a piece of memory up, every part from a cache line on; without memory (`at` is null) it only adds up.
struct Arena {
  char *at;
  int64_t used = 0;
  template <class T>
  T *take(int64_t count) {
    T *part = at ? (T *)(at + used) : nullptr;
    used += (count * int64_t(sizeof(T)) + 63) / 64 * 64;
    return part;
  }
};

// Parameters and conventions of a step. A vector is `n` registers. Parameters are padded to whole registers; h_0 has a
// gain and bias of its own only if `normalise` is ALL.
template <class Layout>
struct Cell {
  using T = typename Layout::Number;
  using V = typename Layout::V;
  using Scalar = typename Layout::Scalar;
  int units, n, inner, activation, normalise;
  const T *gain, *bias;

  static V sum(const V *a, int n) {
    V s[4] = {};
    int i = 0;
    for (; i + 4 <= n; i += 4)
      for (int k = 0; k < 4; k++) s[k] += a[i + k];
    for (; i < n; i++) s[0] += a[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
  }
  static V dot(const V *a, const V *b, int n) {
    V s[4] = {};
    int i = 0;
    for (; i + 4 <= n; i += 4)
      for (int k = 0; k < 4; k++) s[k] += a[i + k] * b[i + k];
    for (; i < n; i++) s[0] += a[i] * b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
  }

  // Replaces a field by (field − mean)/σ and returns 1/σ.
  Scalar normalised(V *field) const {
    const T share = T(1) / T(units);
    const Scalar mean = Layout::across(sum(field, n)) * share;
    for (int i = 0; i < n; i++) field[i] -= mean;
    Layout::trim(field, units);
    const Scalar scale = T(1) / Layout::root(Layout::across(dot(field, field, n)) * share + T(EPSILON));
    for (int i = 0; i < n; i++) field[i] *= scale;
    return scale;
  }

  // state = f(gain · field + bias), or f(field).
  void activate(const V *field, bool scaled, V *state) const {
    auto apply = [&](auto f) {
      if (scaled)
        for (int i = 0; i < n; i++)
          state[i] = f(Layout::parameter(gain, i) * field[i] + Layout::parameter(bias, i));
      else
        for (int i = 0; i < n; i++) state[i] = f(field[i]);
    };
    if (activation == RELU)
      apply([](V x) { return math::relu(x); });
    else if (activation == TANH)
      apply([](V x) { return math::tanh(x); });
    else
      apply([](V x) { return math::sign(x); });
  }

  // gradient · f′, from the state that f gave.
  void activate_backward(V *gradient, const V *state) const {
    if (activation == RELU)
      for (int i = 0; i < n; i++) gradient[i] = state[i] > 0 ? gradient[i] : V{};
    else if (activation == TANH)
      for (int i = 0; i < n; i++) gradient[i] *= T(1) - state[i] * state[i];
    else
      clear(gradient, n);
  }

  // From the gradient after gain and bias to that before the normalisation.
  void normalise_backward(V *gradient, const V *normal, Scalar scale, V *d_gain, V *d_bias) const {
    const T share = T(1) / T(units);
    for (int i = 0; i < n; i++) {
      d_gain[i] += gradient[i] * normal[i];
      d_bias[i] += gradient[i];
      gradient[i] *= Layout::parameter(gain, i);
    }
    const Scalar mean = Layout::across(sum(gradient, n)) * share, slope = Layout::across(dot(gradient, normal, n)) * share;
    for (int i = 0; i < n; i++) gradient[i] = scale * (gradient[i] - mean - normal[i] * slope);
    Layout::trim(gradient, units);
  }
};

// What one step goes through.
//
// `vectors [2 S + 1, n]` are the gradients of the fields of the S iterations, then the states h_0 … h_S; `normal [S, n]`
// is (field − mean)/σ and `scale [S]` is 1/σ; `first` is z as h_0 reads it. `scores [S, reach]` are h(τ)·h_s and
// `weighted [2 S, reach]` κ h(τ)·dy_s, then free space; see `Memory::rows_backward`.
template <class Layout>
struct Path {
  using V = typename Layout::V;
  using Scalar = typename Layout::Scalar;
  V *z, *first, *vectors, *normal;
  Scalar *scale, first_scale, *scores, *weighted;
  int n, inner;
  int64_t reach;

  Path(Arena &arena, int n, int inner, int64_t reach) : n(n), inner(inner), reach(reach) {
    z = arena.take<V>(n);
    first = arena.take<V>(n);
    vectors = arena.take<V>((2 * inner + 1) * int64_t(n));
    normal = arena.take<V>(int64_t(inner) * n);
    scale = arena.take<Scalar>(inner);
    scores = arena.take<Scalar>((inner + 1) * reach);
    weighted = arena.take<Scalar>((2 * inner + 1) * reach);
  }
  V *state(int s) const { return vectors + int64_t(inner + s) * n; }
  V *field(int s) const { return vectors + int64_t(s) * n; }
  V *last() const { return state(inner); }
};

// h_0 from z.
template <class Layout>
void begin(const Cell<Layout> &cell, Path<Layout> &path) {
  copy(path.z, path.first, path.n);
  if (cell.normalise == ALL) path.first_scale = cell.normalised(path.first);
  cell.activate(path.first, cell.normalise == ALL, path.state(0));
}

// h_1 … h_S with the memory held fixed.
template <class Layout, class Memory>
void settle(const Cell<Layout> &cell, Memory &memory, Path<Layout> &path) {
  for (int s = 0; s < cell.inner; s++) {
    auto *field = path.normal + int64_t(s) * path.n;
    copy(path.z, field, path.n);
    memory.read(path.state(s), field, path.scores + s * path.reach, path.weighted);
    if (cell.normalise != NONE) path.scale[s] = cell.normalised(field);
    cell.activate(field, cell.normalise != NONE, path.state(s + 1));
  }
}

// From dh_S in `d_state` to dz in `d_z` and, in `d_state`, zero. `d_inner`: loads the gradient that h_s gets from outside.
template <class Layout, class Memory, class Inner>
void settle_backward(const Cell<Layout> &cell, Memory &memory, Path<Layout> &path, typename Layout::V *d_state,
              typename Layout::V *d_z, typename Layout::V *d_gain, typename Layout::V *d_bias, const Inner &d_inner) {
  const int n = path.n;
  clear(d_z, n);
  for (int s = cell.inner - 1; s >= 0; s--) {
    auto *field = path.field(s);
    copy(d_state, field, n);
    cell.activate_backward(field, path.state(s + 1));
    if (cell.normalise != NONE)
      cell.normalise_backward(field, path.normal + int64_t(s) * n, path.scale[s], d_gain, d_bias);
    add(field, d_z, n);
    clear(d_state, n);
    d_inner(s, d_state);
    memory.read_backward(s, path, d_state);
  }
  memory.rows_backward(path);
  cell.activate_backward(d_state, path.state(0));
  if (cell.normalise == ALL) cell.normalise_backward(d_state, path.first, path.first_scale, d_gain, d_bias);
  add(d_state, d_z, n);
  clear(d_state, n);
}
