// Random numbers by counter: each is a function of seed, step, trial and neuron, so that a run that was cut, or that has
// other threads, gets the same ones.
//
// Philox 4×32 with 10 rounds (Salmon, Moraes, Dror & Shaw 2011, SC'11), and the method of Box and Muller.
#pragma once

#include <algorithm>

#include "math.hpp"

namespace counter {

constexpr int AT_ONCE = 64;  // counters; each gives four numbers
constexpr int64_t BLOCK = 4 * AT_ONCE;  // numbers

// Where the block of a neuron begins.
constexpr int64_t block(int64_t neuron) { return neuron / BLOCK * BLOCK; }

// The four outputs of `AT_ONCE` consecutive counters {first + i, trial, step}.
INLINE void philox(uint32_t first, uint32_t trial, uint64_t step, uint64_t seed, uint32_t (&x)[4][AT_ONCE]) {
  for (int i = 0; i < AT_ONCE; i++) {
    x[0][i] = first + uint32_t(i);
    x[1][i] = trial;
    x[2][i] = uint32_t(step);
    x[3][i] = uint32_t(step >> 32);
  }
  uint32_t low = uint32_t(seed), high = uint32_t(seed >> 32);
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < AT_ONCE; i++) {
      const uint64_t a = uint64_t(0xD2511F53u) * x[0][i], b = uint64_t(0xCD9E8D57u) * x[2][i];
      const uint32_t x1 = x[1][i], x3 = x[3][i];
      x[0][i] = uint32_t(b >> 32) ^ x1 ^ low;
      x[1][i] = uint32_t(b);
      x[2][i] = uint32_t(a >> 32) ^ x3 ^ high;
      x[3][i] = uint32_t(a);
    }
    low += 0x9E3779B9u;
    high += 0xBB67AE85u;
  }
}

// Two normal numbers from two integers each: `radius` gives the length and `angle` the direction of a vector.
INLINE void box_muller(const uint32_t *radius, const uint32_t *angle, float *one, float *other) {
  using V = Register<float>::V;
  constexpr int L = Register<float>::L;
  alignas(64) float share[AT_ONCE], turn[AT_ONCE], length[AT_ONCE];
  for (int i = 0; i < AT_ONCE; i++) {
    share[i] = (float(int32_t(radius[i] >> 8)) + 0.5f) * 0x1p-24f;  // in (0, 1)
    turn[i] = (float(int32_t(angle[i] & 0x3FFFFFFFu)) * 0x1p-30f - 0.5f) * 1.57079632679f;  // in ±π/4
  }
  for (int i = 0; i < AT_ONCE; i += L) {
    V size;
    std::memcpy(&size, share + i, sizeof size);
    size = math::square_root(-2.0f * math::log(size));
    std::memcpy(length + i, &size, sizeof size);
  }
  for (int i = 0; i < AT_ONCE; i++) {
    const float y = turn[i], y2 = y * y;
    const float sine = y * (1 + y2 * (-1.0f / 6 + y2 * (1.0f / 120 - y2 * (1.0f / 5040))));
    const float cosine = 1 + y2 * (-0.5f + y2 * (1.0f / 24 + y2 * (-1.0f / 720 + y2 * (1.0f / 40320))));
    const uint32_t quadrant = angle[i] >> 30;
    const float a = quadrant & 1 ? sine : cosine, b = quadrant & 1 ? cosine : sine;
    one[i] = length[i] * ((quadrant == 1 || quadrant == 2) ? -a : a);
    other[i] = length[i] * (quadrant & 2 ? -b : b);
  }
}

// Standard normal numbers of the neurons `first … first + count − 1`; `first` begins a block.
inline void normal(uint64_t seed, uint64_t step, uint32_t trial, int64_t first, int64_t count, float *target) {
  uint32_t x[4][AT_ONCE];
  float last[BLOCK];
  for (int64_t start = 0; start < count; start += BLOCK) {
    philox(uint32_t((first + start) / 4), trial, step, seed, x);
    float *const found = count - start < BLOCK ? last : target + start;
    box_muller(x[0], x[1], found, found + AT_ONCE);
    box_muller(x[2], x[3], found + 2 * AT_ONCE, found + 3 * AT_ONCE);
    if (found == last) std::memcpy(target + start, last, (count - start) * sizeof(float));
  }
}

// Integers of 32 random bits of the neurons `first … first + count − 1`; `first` begins a block.
inline void bits(uint64_t seed, uint64_t step, uint32_t trial, int64_t first, int64_t count, uint32_t *target) {
  uint32_t x[4][AT_ONCE];
  for (int64_t start = 0; start < count; start += BLOCK) {
    philox(uint32_t((first + start) / 4), trial, step, seed, x);
    std::memcpy(target + start, x, std::min<int64_t>(count - start, BLOCK) * sizeof(uint32_t));
  }
}

}  // namespace counter
