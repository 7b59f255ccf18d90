// Products of small matrices, with their results held in registers. The order in which a number of a result is summed up
// depends on the sizes of the matrices alone.
#pragma once

#include "layout.hpp"

// Registers of a result that are held at once: 16 are there, or 32, and two are needed besides.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int ROWS = 6, COLUMNS = 4, HELD = 16;
#else
constexpr int ROWS = 4, COLUMNS = 3, HELD = 12;
#endif

// `out[i · stride + j] += Σ_p a[i · row + p · column] · b[p · step + j]` for i < M, j < N; `b` and `out` are registers,
// `a` numbers or registers. CHAINS partial sums, added up at the end, hide how long one addition takes.
template <int M, int N, int CHAINS, class V, class A>
INLINE void block(V *__restrict out, int64_t stride, const A *a, int64_t row, int64_t column, const V *b, int64_t step,
                  int64_t count) {
  V sum[CHAINS][M][N];
#pragma GCC unroll 16
  for (int i = 0; i < M; i++)
#pragma GCC unroll 16
    for (int j = 0; j < N; j++) {
      sum[0][i][j] = out[i * stride + j];
#pragma GCC unroll 16
      for (int c = 1; c < CHAINS; c++) sum[c][i][j] = V{};
    }
  int64_t p = 0;
  for (; p + CHAINS <= count; p += CHAINS)
#pragma GCC unroll 16
    for (int c = 0; c < CHAINS; c++) {
      V right[N];
#pragma GCC unroll 16
      for (int j = 0; j < N; j++) right[j] = b[(p + c) * step + j];
#pragma GCC unroll 16
      for (int i = 0; i < M; i++) {
        const V left = wide<V>(a[i * row + (p + c) * column]);
#pragma GCC unroll 16
        for (int j = 0; j < N; j++) sum[c][i][j] += left * right[j];
      }
    }
  for (; p < count; p++)
#pragma GCC unroll 16
    for (int i = 0; i < M; i++)
#pragma GCC unroll 16
      for (int j = 0; j < N; j++) sum[0][i][j] += wide<V>(a[i * row + p * column]) * b[p * step + j];
#pragma GCC unroll 16
  for (int i = 0; i < M; i++)
#pragma GCC unroll 16
    for (int j = 0; j < N; j++) {
#pragma GCC unroll 16
      for (int c = 1; c < CHAINS; c++) sum[0][i][j] += sum[c][i][j];
      out[i * stride + j] = sum[0][i][j];
    }
}

// `out[j] += Σ_c value[c] · rows[place[c] · step + j]` for j < N.
template <int N, int CHAINS, class V, class T>
INLINE void listed_block(V *__restrict out, const V *rows, int64_t step, const Active<T> &active) {
  V sum[CHAINS][N];
#pragma GCC unroll 16
  for (int j = 0; j < N; j++) {
    sum[0][j] = out[j];
#pragma GCC unroll 16
    for (int c = 1; c < CHAINS; c++) sum[c][j] = V{};
  }
  int p = 0;
  for (; p + CHAINS <= active.count; p += CHAINS)
#pragma GCC unroll 16
    for (int c = 0; c < CHAINS; c++) {
      const V *row = rows + active.place[p + c] * step;
      const V value = wide<V>(active.value[p + c]);
#pragma GCC unroll 16
      for (int j = 0; j < N; j++) sum[c][j] += value * row[j];
    }
  for (; p < active.count; p++) {
    const V *row = rows + active.place[p] * step;
#pragma GCC unroll 16
    for (int j = 0; j < N; j++) sum[0][j] += wide<V>(active.value[p]) * row[j];
  }
#pragma GCC unroll 16
  for (int j = 0; j < N; j++) {
#pragma GCC unroll 16
    for (int c = 1; c < CHAINS; c++) sum[0][j] += sum[c][j];
    out[j] = sum[0][j];
  }
}

// Chains for so many sums, without which additions would wait for each other.
constexpr int chains(int sums) { return sums >= 6 ? 1 : sums >= 3 ? 2 : 4; }

// Calls `work(size, start)` with a size that the compiler knows.
template <int SIZE, class Work>
INLINE void dispatch(int64_t size, int64_t start, const Work &work) {
  if constexpr (SIZE > 1) {
    if (size != SIZE) return dispatch<SIZE - 1>(size, start, work);
  }
  work(std::integral_constant<int, SIZE>{}, start);
}

// Divides `total` into blocks of at most `MOST`, as equal as can be, and calls `work` for each.
template <int MOST, class Work>
INLINE void in_blocks(int64_t total, const Work &work) {
  const int64_t blocks = (total + MOST - 1) / MOST;
  int64_t start = 0;
  for (int64_t left = blocks; left > 0; left--) {
    const int64_t size = (total - start + left - 1) / left;
    dispatch<MOST>(size, start, work);
    start += size;
  }
}

// Rows of a matrix that are read side by side, so that of a large one each is read from end to end, which a processor can
// foresee. One of at most so many bytes stays in the cache.
constexpr int64_t STREAMED = 16, CACHED = 1 << 19;
template <class V>
int64_t side_by_side(int64_t rows, int64_t columns) {
  return rows * columns * int64_t(sizeof(V)) > CACHED ? STREAMED : rows;
}

// `multiply` with all rows of `b` side by side.
template <class V, class A>
void multiply_cached(V *out, int64_t stride, const A *a, int64_t row, int64_t column, const V *b, int64_t step, int64_t rows,
                     int64_t columns, int64_t count) {
  if (columns == 1)
    in_blocks<HELD - 4>(rows, [&](auto M, int64_t i) {
      block<M, 1, chains(M)>(out + i * stride, stride, a + i * row, row, column, b, step, count);
    });
  else if (rows == 1)
    in_blocks<HELD>(columns, [&](auto N, int64_t j) {
      block<1, N, chains(N)>(out + j, stride, a, row, column, b + j, step, count);
    });
  else
    in_blocks<COLUMNS>(columns, [&](auto N, int64_t j) {
      in_blocks<ROWS>(rows, [&](auto M, int64_t i) {
        block<M, N, chains(M * N)>(out + i * stride + j, stride, a + i * row, row, column, b + j, step, count);
      });
    });
}

// `out [rows, columns] += a [rows, count] · b [count, columns]`; strides as in `block`, columns in registers.
template <class V, class A>
void multiply(V *out, int64_t stride, const A *a, int64_t row, int64_t column, const V *b, int64_t step, int64_t rows,
              int64_t columns, int64_t count) {
  const int64_t some = side_by_side<V>(count, columns);
  for (int64_t p = 0; p < count; p += some)
    multiply_cached(out, stride, a + p * column, row, column, b + p * step, step, rows, columns,
                    p + some < count ? some : count - p);
}

// `out [columns] += Σ value · row` over the rows that are listed.
template <class V, class T>
void multiply_active(V *out, const V *rows, int64_t step, const Active<T> &active, int64_t columns) {
  const int some = int(side_by_side<V>(active.count, columns));
  for (int p = 0; p < active.count; p += some) {
    const Active<T> part{p + some < active.count ? some : active.count - p, active.place + p, active.value + p};
    in_blocks<HELD>(columns, [&](auto N, int64_t j) { listed_block<N, chains(N)>(out + j, rows + j, step, part); });
  }
}
