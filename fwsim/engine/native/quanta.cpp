// Log-likelihood of responses from release sites that deplete one by one: the numbers of `fwsim/fitting/quanta.py`.

#include <cmath>
#include <cstdint>

#include "export.hpp"

namespace {

constexpr double LOG_TAU = 1.8378770664093453; // log 2π
constexpr int64_t MOST = 64;                   // sites of the exact likelihood

struct Sweep {
  const double *response, *release, *refill; // [pulse]
  int64_t pulses;
  double sites, quantum, noise, cv;
};

// Sites as a normal variable: a Kalman filter.
double approximate(const Sweep &sweep) {
  const double quadratic = sweep.quantum * sweep.quantum, floor = sweep.noise * sweep.noise;
  double full = sweep.sites, spread = 0, total = 0;
  for (int64_t k = 0; k < sweep.pulses; ++k) {
    const double y = sweep.response[k], p = sweep.release[k], r = sweep.refill[k];
    const double released = p * full, stays = 1 - p, random = stays * released;
    const double variance = quadratic * (random + p * p * spread + sweep.cv * sweep.cv * released) + floor;
    double surprise = y - sweep.quantum * released, certainty = 1;
    if (std::isnan(y)) {
      surprise = certainty = 0;
    } else if (y == 0) {
      const double deviation = std::sqrt(variance), end = std::fmax(surprise / deviation, -30.0);
      const double tail = std::log(0.5 * std::erfc(-end * M_SQRT1_2));
      const double ratio = std::exp(-0.5 * end * end - 0.5 * LOG_TAU - tail);
      total += tail;
      surprise = -deviation * ratio;
      certainty = std::fmin(std::fmax(ratio * (end + ratio), 0.0), 1.0);
    } else {
      total -= 0.5 * (surprise * surprise / variance + std::log(variance) + LOG_TAU);
    }
    const double gain = sweep.quantum * p * stays * (spread - full) / variance;
    spread = std::fmax(random + stays * stays * spread - gain * gain * variance * certainty, 0.0);
    full = std::fmin(std::fmax(full - released + gain * surprise, 0.0), sweep.sites);
    const double empty = sweep.sites - full, remains = 1 - r;
    spread = remains * (remains * spread + r * empty);
    full += r * empty;
  }
  return total;
}

// Binomial weights of one trial more: C(n, k) p^k (1 − p)^(n − k) for k = 0 … n from those of n − 1 trials.
void one_more(int64_t n, double p, double *weight) {
  weight[n] = n ? weight[n - 1] * p : 1;
  for (int64_t k = n - 1; k > 0; --k)
    weight[k] = weight[k] * (1 - p) + weight[k - 1] * p;
  if (n)
    weight[0] *= 1 - p;
}

// Sum over the number of full sites at every spike: a hidden Markov model.
double exact(const Sweep &sweep) {
  const int64_t n = std::llround(sweep.sites);
  double belief[MOST + 1] = {}, left[MOST + 1] = {}, weight[MOST + 1] = {}, seen[MOST + 1] = {};
  belief[n] = 1;
  double total = 0;
  for (int64_t pulse = 0; pulse < sweep.pulses; ++pulse) {
    const double y = sweep.response[pulse], p = sweep.release[pulse], r = sweep.refill[pulse];
    for (int64_t k = 0; k <= n; ++k) {
      const double mean = sweep.quantum * double(k), one = sweep.cv * sweep.quantum;
      const double variance = double(k) * one * one + sweep.noise * sweep.noise, off = y - mean;
      seen[k] = std::isnan(y) ? 0
                : y == 0      ? std::log(0.5 * std::erfc(std::fmin(mean / std::sqrt(variance), 30.0) * M_SQRT1_2))
                              : -0.5 * (off * off / variance + std::log(variance) + LOG_TAU);
    }
    double largest = seen[0], evidence = 0;
    for (int64_t k = 1; k <= n; ++k)
      largest = std::fmax(largest, seen[k]);
    for (int64_t k = 0; k <= n; ++k)
      seen[k] = std::exp(seen[k] - largest);
    for (int64_t j = 0; j <= n; ++j)
      left[j] = 0;
    for (int64_t full = 0; full <= n; ++full) {
      one_more(full, p, weight);
      for (int64_t k = 0; k <= full; ++k)
        left[full - k] += belief[full] * weight[k] * seen[k];
    }
    for (int64_t j = 0; j <= n; ++j)
      evidence += left[j];
    total += largest + std::log(evidence);
    if (pulse + 1 == sweep.pulses || !(evidence > 0))
      return total;
    for (int64_t j = 0; j <= n; ++j)
      belief[j] = 0;
    for (int64_t empty = 0; empty <= n; ++empty) {
      one_more(empty, r, weight);
      const double share = left[n - empty] / evidence;
      for (int64_t k = 0; k <= empty; ++k)
        belief[n - empty + k] += share * weight[k];
    }
  }
  return total;
}

} // namespace

// Sweeps of several chains; `few` is the number of sites up to which the likelihood is exact, at most 64.
FWSIM_EXPORT void fwsim_quanta(int64_t chains, int64_t sweeps, int64_t trains, int64_t pulses, int64_t few,
                               const double *response, const int64_t *train, const double *release,
                               const double *refill, const double *sites, const double *quantum, const double *noise,
                               double cv, double *result) {
  for (int64_t chain = 0; chain < chains; ++chain)
    for (int64_t each = 0; each < sweeps; ++each) {
      const int64_t place = chain * sweeps + each, row = (chain * trains + train[each]) * pulses;
      const Sweep sweep{response + each * pulses, release + row,    refill + row, pulses,
                        sites[place],             quantum[place],   noise[place], cv};
      result[place] = sites[place] < double(few) + 0.5 ? exact(sweep) : approximate(sweep);
    }
}
