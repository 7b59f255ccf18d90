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

// 2 artanh(s)/s − 2 for s² ≤ 1/9, with coefficients that interpolate at Chebyshev points.
template <class V>
INLINE V artanh_rest(V square) {
  using T = number<V>;
  constexpr bool single = sizeof(T) == 4;
  constexpr int terms = single ? 4 : 10;
  constexpr double all[2][10] = {
      {0.66666321641, 0.40024595231, 0.27965157745, 0.28157778363},
      {0.66666666666666149594, 0.40000000000185747468, 0.28571428545454114534, 0.22222224080747673173,
       0.18181740832504804510, 0.15386614042304007762, 0.13300374032674624337, 0.12110168728069217655,
       0.083245065118608205757, 0.17044163562781398129}};
  V series = wide<V>(T(all[!single][terms - 1]));
#pragma GCC unroll 16
  for (int n = terms - 2; n >= 0; n--) series = series * square + T(all[!single][n]);
  return series * square;
}

// ln(1 + e^a) = max(a, 0) + 2 artanh(e/(2 + e)) with e = e^{−|a|}.
template <class V>
INLINE V softplus(V a) {
  using T = number<V>;
  V s, q;
  exponential(-minimum(absolute(a), wide<V>(Format<T>::reach)), s, q);
  const V e = s * q + s, ratio = e / (e + T(2));
  return ratio * artanh_rest(ratio * ratio) + T(2) * ratio + maximum(a, V{});
}

// ln of a positive number 2^k m as k ln 2 + 2 artanh((m − 1)/(m + 1)) with √½ ≤ m < √2: a first part, and what rounding
// took from it.
template <class V>
INLINE V logarithm(V a, V &rest) {
  using T = number<V>;
  using F = Format<T>;
  using Whole = typename F::Whole;
  typedef Whole W __attribute__((vector_size(sizeof(V)), aligned(sizeof(T)), may_alias));
  const W exponent = ((W)a - (W)wide<V>(T(0.70710678118654752440))) >> F::mantissa;
  const V m = (V)((W)a - (exponent << F::mantissa)), k = __builtin_convertvector(exponent, V);
  const V f = m - T(1), ratio = f / (m + T(1));  // 2 ratio = f − ratio f, which has all digits of f
  const V small = f - ratio * (f - artanh_rest(ratio * ratio));
  const V large = k * F::high, sum = large + small;
  rest = (small - (sum - large)) + k * F::low;
  return sum;
}

template <class V>
INLINE V log(V a) {
  using T = number<V>;
  V rest;
  const V sum = logarithm(a, rest), infinite = wide<V>(T(INFINITY));
  return a > 0 ? (a == infinite ? a : sum + rest) : (a == 0 ? -infinite : wide<V>(T(NAN)));
}

// The number without the lower half of its mantissa, so that products of two such numbers are exact.
template <class V>
INLINE V shortened(V a) {
  using T = number<V>;
  using Whole = typename Format<T>::Whole;
  typedef Whole W __attribute__((vector_size(sizeof(V)), aligned(sizeof(T)), may_alias));
  return (V)((W)a & ~((Whole(1) << (Format<T>::mantissa + 2) / 2) - 1));
}

// a^b = e^{b ln |a|}; where a < 0, the sign that an integer b gives, and NaN for other b.
template <class V>
INLINE V power(V a, V b) {
  using T = number<V>;
  using F = Format<T>;
  const V infinite = wide<V>(T(INFINITY)), one = wide<V>(T(1)), size = absolute(a);
  V rest;
  const V log = logarithm(size, rest), log_head = shortened(log), b_head = shortened(b);
  const V head = b_head * log_head, tail = b_head * (log - log_head) + (b - b_head) * log + b * rest;
  const V sum = head + tail, e = exp(sum), corrected = e + e * ((head - sum) + tail);
  const V large = b > 0 ? infinite : b < 0 ? V{} : one, none = b > 0 ? V{} : b < 0 ? infinite : one;
  const V regular = absolute(sum) < F::reach ? corrected : e;
  V result = size == 0 ? none : size == infinite ? large : regular;
  V half = b * T(0.5), whole, even;
  for (int l = 0; l < places<V>; l++) whole[l] = std::floor(b[l]), even[l] = std::floor(half[l]);
  const V negative = whole != b ? wide<V>(T(NAN)) : even != half ? -result : result;
  result = a < 0 ? negative : result;
  return ((a == a) & (b == b)) ? result : a + b;
}

template <class V>
INLINE V square_root(V a) {
  for (int l = 0; l < places<V>; l++) a[l] = std::sqrt(a[l]);
  return a;
}

}  // namespace math
