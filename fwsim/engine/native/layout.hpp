// Registers, and the two ways to lay batch elements out in them.
//
//   UnitLayout    a register holds L units of one batch element
//   BatchLayout   a register holds one unit of L batch elements
//
// A step of the network (`step.hpp`) is written once for both. The layouts differ in what they name here: how many
// batch elements go together, how numbers enter and leave, what a sum over units is, and what a `Scalar` is, a number
// that each batch element has for itself.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define INLINE inline __attribute__((always_inline))

template <class T>
struct Register {
  typedef T V __attribute__((vector_size(FWSIM_VECTOR_BYTES), aligned(sizeof(T)), may_alias));
  static constexpr int L = FWSIM_VECTOR_BYTES / sizeof(T);
};

// The same number in all places; `wide` also takes a register, which it returns.
template <class V, class T>
INLINE V wide(const T &number) {
  if constexpr (std::is_arithmetic_v<T>)
    return number - V{};
  else
    return number;
}

// Place n of the result is place I_n of `a` and then `b`.
template <class V, int... I>
INLINE V shuffled(V a, V b, std::integer_sequence<int, I...>) {
#if __has_builtin(__builtin_shufflevector)
  return __builtin_shufflevector(a, b, I...);
#else  // GCC before version 12
  using Whole = std::conditional_t<sizeof(a[0]) == 4, int32_t, int64_t>;
  typedef Whole Places __attribute__((vector_size(sizeof(V))));
  return __builtin_shuffle(a, b, Places{I...});
#endif
}

template <class V>
constexpr int places = sizeof(V) / sizeof(std::declval<V>()[0]);

// Place `i` of the result is place `i ^ H`.
template <int H, class V, int... I>
INLINE V exchanged(V a, std::integer_sequence<int, I...>) {
  return shuffled(a, a, std::integer_sequence<int, (I ^ H)...>{});
}

// The sum over all places, in all places, always in the same order.
template <class V, int H = places<V> / 2>
INLINE V total(V a) {
  if constexpr (H == 0)
    return a;
  else
    return total<V, H / 2>(a + exchanged<H>(a, std::make_integer_sequence<int, places<V>>{}));
}

// Transposes a square tile by exchanging halves, quarters … of pairs of rows (Eklundh 1972).
template <int H, class V, int... I>
INLINE void exchange(V &upper, V &lower, std::integer_sequence<int, I...>) {
  constexpr int L = sizeof...(I);
  const V one = upper, other = lower;
  upper = shuffled(one, other, std::integer_sequence<int, (I & H ? L + I - H : I)...>{});
  lower = shuffled(one, other, std::integer_sequence<int, (I & H ? L + I : I + H)...>{});
}
template <class V, int H = places<V> / 2>
INLINE void transpose(V *rows) {
  if constexpr (H > 0) {
#pragma GCC unroll 16
    for (int row = 0; row < places<V>; row++)
      if (!(row & H)) exchange<H>(rows[row], rows[row + H], std::make_integer_sequence<int, places<V>>{});
    transpose<V, H / 2>(rows);
  }
}

// target[j · to + i] = source[i · from + j] for i < rows and j < columns.
template <class T>
void transpose(const T *source, int64_t from, T *target, int64_t to, int64_t rows, int64_t columns) {
  using V = typename Register<T>::V;
  constexpr int64_t L = places<V>;
  for (int64_t j = 0; j < columns; j += L)
    for (int64_t i = 0; i < rows; i += L) {
      const T *corner = source + i * from + j;
      T *opposite = target + j * to + i;
      if (i + L <= rows && j + L <= columns) {
        alignas(sizeof(V)) V tile[L];
        for (int64_t l = 0; l < L; l++) tile[l] = *(const V *)(corner + l * from);
        transpose(tile);
        for (int64_t l = 0; l < L; l++) *(V *)(opposite + l * to) = tile[l];
      } else
        for (int64_t y = 0; y < L && i + y < rows; y++)
          for (int64_t x = 0; x < L && j + x < columns; x++) opposite[x * to + y] = corner[y * from + x];
    }
}

template <class V>
INLINE void clear(V *target, int64_t count) {
  for (int64_t i = 0; i < count; i++) target[i] = V{};
}
template <class V>
INLINE void copy(const V *source, V *target, int64_t count) {
  for (int64_t i = 0; i < count; i++) target[i] = source[i];
}
template <class V>
INLINE void add(const V *source, V *target, int64_t count) {
  for (int64_t i = 0; i < count; i++) target[i] += source[i];
}

// Registers of units of one batch element, padded with zeros.
template <class T>
struct UnitLayout : Register<T> {
  using typename Register<T>::V;
  using Register<T>::L;
  using Number = T;
  using Scalar = T;
  static constexpr int TOGETHER = 1;
  static int registers(int64_t numbers) { return int((numbers + L - 1) / L); }
  static INLINE V parameter(const T *padded, int i) { return *(const V *)(padded + i * L); }
  static INLINE T across(V v) { return total(v)[0]; }
  static INLINE T root(T v) { return std::sqrt(v); }
  static INLINE T sum(T v, int) { return v; }  // over batch elements

  // Sets what is behind the last unit to zero.
  static INLINE void trim(V *vector, int units) {
    V &last = vector[(units - 1) / L];
    for (int l = 0; l < L; l++) last[l] = (units - 1) % L < l ? T(0) : last[l];
  }
  static INLINE void load(const T *source, int64_t, int, int units, V *target) {
    const int whole = units / L;
    for (int i = 0; i < whole; i++) target[i] = *(const V *)(source + i * L);
    if (const int rest = units - whole * L) {
      target[whole] = V{};
      std::memcpy(target + whole, source + whole * L, rest * sizeof(T));
    }
  }
  static INLINE void store(const V *source, T *target, int64_t, int, int units) {
    const int whole = units / L;
    for (int i = 0; i < whole; i++) *(V *)(target + i * L) = source[i];
    if (const int rest = units - whole * L) std::memcpy(target + whole * L, source + whole, rest * sizeof(T));
  }
};

// Registers of one unit of L batch elements. Where there are fewer, the last one fills the places that are left.
template <class T>
struct BatchLayout : Register<T> {
  using typename Register<T>::V;
  using Register<T>::L;
  using Number = T;
  using Scalar = V;
  static constexpr int TOGETHER = L;
  static int registers(int64_t numbers) { return int(numbers); }
  static INLINE V parameter(const T *padded, int i) { return wide<V>(padded[i]); }
  static INLINE V across(V v) { return v; }
  static INLINE V root(V v) {
    for (int l = 0; l < L; l++) v[l] = std::sqrt(v[l]);
    return v;
  }
  static INLINE T sum(V v, int count) {
    T sum = 0;
    for (int l = 0; l < count; l++) sum += v[l];
    return sum;
  }
  static INLINE void trim(V *, int) {}

  // target[unit][element] from source[element · stride + unit]
  static void load(const T *source, int64_t stride, int count, int units, V *target) {
    if (units < L) {
      for (int u = 0; u < units; u++)
        for (int e = 0; e < L; e++) target[u][e] = source[(e < count ? e : count - 1) * stride + u];
      return;
    }
    for (int start = 0; start < units; start += L) {
      const int first = start + L <= units ? start : units - L;  // the last tile may overlap the one before
      alignas(sizeof(V)) V tile[L];
      for (int e = 0; e < L; e++)
        tile[e] = *(const V *)(source + (e < count ? e : count - 1) * stride + first);
      transpose(tile);
      for (int u = 0; u < L; u++) target[first + u] = tile[u];
    }
  }
  static void store(const V *source, T *target, int64_t stride, int count, int units) {
    if (units < L) {
      for (int u = 0; u < units; u++)
        for (int e = 0; e < count; e++) target[e * stride + u] = source[u][e];
      return;
    }
    for (int start = 0; start < units; start += L) {
      const int first = start + L <= units ? start : units - L;
      alignas(sizeof(V)) V tile[L];
      for (int u = 0; u < L; u++) tile[u] = source[first + u];
      transpose(tile);
      for (int e = 0; e < count; e++) *(V *)(target + e * stride + first) = tile[e];
    }
  }
};

// Places and values of the units that are not zero: silent ones then cost nothing.
template <class T>
struct Active {
  int count = 0;
  int32_t *place;
  T *value;
};

#if defined(__AVX512VL__)
INLINE int compress(const Register<float>::V &v, int first, int32_t *place, float *value) {
  const __m512 x = (__m512)v;
  const __mmask16 mask = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NEQ_UQ);
  const __m512i order = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  _mm512_storeu_si512(place, _mm512_maskz_compress_epi32(mask, _mm512_add_epi32(order, _mm512_set1_epi32(first))));
  _mm512_storeu_ps(value, _mm512_maskz_compress_ps(mask, x));
  return __builtin_popcount(mask);
}
INLINE int compress(const Register<double>::V &v, int first, int32_t *place, double *value) {
  const __m512d x = (__m512d)v;
  const __mmask8 mask = _mm512_cmp_pd_mask(x, _mm512_setzero_pd(), _CMP_NEQ_UQ);
  const __m256i order = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  _mm256_storeu_si256((__m256i *)place,
                      _mm256_maskz_compress_epi32(mask, _mm256_add_epi32(order, _mm256_set1_epi32(first))));
  _mm512_storeu_pd(value, _mm512_maskz_compress_pd(mask, x));
  return __builtin_popcount(mask);
}
#elif defined(__AVX2__)
// Byte n of row m: the place of the n-th bit that is set in m.
struct Permutations {
  uint64_t row[256] = {};
  constexpr Permutations() {
    for (int mask = 0; mask < 256; mask++)
      for (int bit = 0, n = 0; bit < 8; bit++)
        if (mask >> bit & 1) row[mask] |= uint64_t(bit) << 8 * n++;
  }
};
inline constexpr Permutations PERMUTATIONS;

INLINE int compress(const Register<float>::V &v, int first, int32_t *place, float *value) {
  const __m256 x = (__m256)v;
  const int mask = _mm256_movemask_ps(_mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_NEQ_UQ));
  const __m256i order = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(int64_t(PERMUTATIONS.row[mask])));
  _mm256_storeu_si256((__m256i *)place, _mm256_add_epi32(order, _mm256_set1_epi32(first)));
  _mm256_storeu_ps(value, _mm256_permutevar8x32_ps(x, order));
  return __builtin_popcount(unsigned(mask));
}
#endif

template <class V, class T>
INLINE int compress(const V &v, int first, int32_t *place, T *value) {
  int count = 0;
  for (int l = 0; l < places<V>; l++) {
    place[count] = first + l;
    value[count] = v[l];
    count += v[l] != 0;
  }
  return count;
}

// Lists the active ones of `numbers` numbers; the lists have space for whole registers behind the last.
template <class V, class T>
INLINE void list_active(const V *vector, int numbers, Active<T> &active) {
  constexpr int L = places<V>;
  active.count = 0;
  for (int i = 0; i < numbers; i += L) {
    V v = vector[i / L];
    if (numbers - i < L)
      for (int l = 0; l < L; l++) v[l] = l < numbers - i ? v[l] : T(0);
    active.count += compress(v, i, active.place + active.count, active.value + active.count);
  }
}
