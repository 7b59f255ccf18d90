// Functions of registers that the C++ library has for single numbers alone. NaN stays NaN.
#pragma once

#include "layout.hpp"

namespace math {

// What the approximations need to know of a floating-point format: the bits of its mantissa; e^±reach is a normal
// number; ln 2 as a sum whose first part has so few bits that its product with any exponent is exact; the Taylor series
// of (e^r − 1)/r on |r| ≤ ln 2/2 up to the term whose successor is below the precision.
template <class T>
struct Format;
template <>
struct Format<float> {
  using Whole = int32_t;
  static constexpr int mantissa = 23, terms = 7;
  static constexpr float reach = 87, high = 355.0f / 512, low = -2.12194440e-4f;
};
template <>
struct Format<double> {
  using Whole = int64_t;
  static constexpr int mantissa = 52, terms = 13;
  static constexpr double reach = 708, high = 6.93147180369123816490e-01, low = 1.90821492927058770002e-10;
};

template <class V>
using number = std::remove_reference_t<decltype(std::declval<V &>()[0])>;

template <class V>
INLINE V minimum(V a, V b) {
  return a > b ? b : a;
}
template <class V>
INLINE V maximum(V a, V b) {
  return a < b ? b : a;
}
template <class V>
INLINE V absolute(V a) {
  return a < 0 ? -a : a;
}

// s = 2^k and q with e^a = s (1 + q), |q| ≤ √2 − 1, for |a| within reach.
template <class V>
INLINE void exponential(V a, V &s, V &q) {
  using T = number<V>;
  using F = Format<T>;
  using Whole = typename F::Whole;
  typedef Whole W __attribute__((vector_size(sizeof(V)), aligned(sizeof(T)), may_alias));
  const T magic = T(1.5) * T(Whole(1) << F::mantissa);  // leaves the nearest integer in the lowest bits
  const V shifted = a * T(1.44269504088896340736) + magic, k = shifted - magic;
  const V r = (a - k * F::high) - k * F::low;
  V series = wide<V>(T(0));
#pragma GCC unroll 16
  for (int n = F::terms; n > 0; n--) {
    T factor = 1;
    for (int m = 2; m <= n; m++) factor *= T(m);
    series = series * r + T(1) / factor;
  }
  q = series * r;
  s = (V)(((W)shifted << F::mantissa) + (W)wide<V>(T(1)));
}

// e^a; infinite, and not quite zero, beyond the reach of the precision.
template <class V>
INLINE V exp(V a) {
  using T = number<V>;
  V s, q;
  exponential(maximum(minimum(a, wide<V>(Format<T>::reach)), wide<V>(-Format<T>::reach)), s, q);
  return a > Format<T>::reach ? wide<V>(T(INFINITY)) : s * q + s;
}

// −m/(2 + m) with m = e^{−2|a|} − 1, and the sign of a.
template <class V>
INLINE V tanh(V a) {
  using T = number<V>;
  V s, q;
  exponential(minimum(absolute(a), wide<V>(Format<T>::reach / 2)) * T(-2), s, q);
  const V m = s * q + (s - T(1)), size = m / (T(-2) - m);
  return a < 0 ? -size : size;
}

template <class V>
INLINE V sign(V a) {
  using T = number<V>;
  const V one = wide<V>(T(1));
  return a > 0 ? one : a < 0 ? -one : a;
}

// max(a, 0).
template <class V>
INLINE V relu(V a) {
  return a <= 0 ? V{} : a;
}

}  // namespace math
