// Log-likelihood of responses from release sites that deplete one by one: the numbers of `fwsim/fitting/quanta.py`.
// A register holds the same pulse of several sweeps.

#include "export.hpp"
#include "math.hpp"

namespace {

using V = Register<double>::V;
constexpr int L = Register<double>::L;
constexpr double LOG_TAU = 1.8378770664093453;  // log 2π
constexpr double PI = 3.141592653589793;
constexpr double FARTHEST = 30;                 // standard deviations below a mean
constexpr int64_t MOST = 64;                    // sites of the exact likelihood

struct Batch {
  int64_t sweeps, trains, pulses;
  const double *response, *release, *refill;  // [sweep, pulse], [train, pulse]
  const int64_t *train;
  const double *sites, *quantum, *noise;  // [sweep]
  double cv, outliers;
};

// Sweeps that go together; the last one fills the places that are left.
struct Pack {
  int count = 0;
  int64_t sweep[L], response[L], row[L];

  void add(const Batch &batch, int64_t each) {
    sweep[count] = each, response[count] = each * batch.pulses, row[count++] = batch.train[each] * batch.pulses;
  }
  void fill() {
    for (int l = count; l < L; ++l)
      sweep[l] = sweep[count - 1], response[l] = response[count - 1], row[l] = row[count - 1];
  }
};

INLINE V gathered(const double *source, const int64_t *place, int64_t offset = 0) {
  V value;
  for (int l = 0; l < L; ++l) value[l] = source[place[l] + offset];
  return value;
}

// Mills' ratio e^{x²/2} ∫_x^∞ e^{−t²/2} dt for 0 ≤ x ≤ 30: a polynomial in (x − 4)/(x + 4) over 1 + x, interpolated at
// Chebyshev points; relative error 3e-15.
INLINE V mills_ratio(V x) {
  constexpr double term[] = {
      1.18326191456780427e+00, -2.42399670521796312e-01, 3.50918802345529593e-02, 7.16904812000928593e-02,
      -8.07080096717135709e-02, 4.49591291206474439e-02, -1.25391037176426651e-02, -7.15951532535103949e-04,
      1.74184928169675811e-03, -2.36696965258626879e-04, -2.20215760636756168e-04, 5.32458914770399434e-05,
      3.41493040801229262e-05, -8.55168728679546521e-06, -6.50850380203134493e-06, 9.39963218090054618e-07,
      1.29521104882720682e-06, 5.13098889766770357e-08, -1.83304974205872229e-07, -4.64535346293272130e-08};
  constexpr int last = sizeof(term) / sizeof(term[0]) - 1;
  const V t = (x - 4) / (x + 4);
  V series = wide<V>(term[last]);
#pragma GCC unroll 20
  for (int n = last - 1; n >= 0; --n) series = series * t + term[n];
  return series / (1 + x);
}

// Share of outliers times the density of one: a Cauchy distribution around 0, which half of them are below.
INLINE V wild(const Batch &batch, V y, V scale) {
  const V ratio = y / scale;
  return batch.outliers * (y == 0 ? wide<V>(0.5) : 1 / (PI * scale * (1 + ratio * ratio)));
}

// Sites as a normal variable: a Kalman filter.
INLINE V approximate(const Batch &batch, const Pack &pack) {
  const V sites = gathered(batch.sites, pack.sweep), quantum = gathered(batch.quantum, pack.sweep);
  const V noise = gathered(batch.noise, pack.sweep), quadratic = quantum * quantum, floor = noise * noise;
  const V zero{}, one = wide<V>(1.0);
  const double cv2 = batch.cv * batch.cv;
  V full = sites, spread{}, total{};
  for (int64_t k = 0; k < batch.pulses; ++k) {
    const V y = gathered(batch.response, pack.response, k);
    const V p = gathered(batch.release, pack.row, k), r = gathered(batch.refill, pack.row, k);
    const V released = p * full, stays = 1 - p, random = stays * released;
    const V variance = quadratic * (random + p * p * spread + cv2 * released) + floor;
    const V off = y - quantum * released, deviation = math::square_root(variance);
    // a response of 0 stands for all below: its log-probability is −x²/2 + log of Mills' ratio of x, less log √2π
    const V x = math::maximum(math::minimum(-off / deviation, wide<V>(FARTHEST)), zero), mills = mills_ratio(x);
    const V square = y == 0 ? x * x : off * off / variance, scale = y == 0 ? one / (mills * mills) : variance;
    V density = -0.5 * (square + math::log(scale) + LOG_TAU), usual = one;
    if (batch.outliers > 0) {
      const V right = (1 - batch.outliers) * math::exp(density), both = right + wild(batch, y, quantum * sites);
      density = math::log(both), usual = y == y ? right / both : one;
    }
    total += y == y ? density : zero;
    const V known = math::minimum(math::maximum((one / mills - x) / mills, zero), one);
    const V surprise = y == y ? (y == 0 ? -deviation / mills : off) : zero;
    const V certainty = y == y ? (y == 0 ? known : one) : zero;
    const V gain = quantum * p * stays * (spread - full) / variance;
    const V learnt = gain * gain * (variance * certainty - (1 - usual) * surprise * surprise);
    spread = math::maximum(random + stays * stays * spread - usual * learnt, zero);
    full = math::minimum(math::maximum(full - released + usual * gain * surprise, zero), sites);
    const V empty = sites - full, remains = 1 - r;
    spread = remains * (remains * spread + r * empty);
    full += r * empty;
  }
  return total;
}

// Binomial weights of one trial more: C(n, k) p^k (1 − p)^(n − k) for k = 0 … n from those of n − 1 trials.
INLINE void one_more(int64_t n, V p, V *weight) {
  weight[n] = n ? weight[n - 1] * p : wide<V>(1.0);
  for (int64_t k = n - 1; k > 0; --k) weight[k] = weight[k] * (1 - p) + weight[k - 1] * p;
  if (n) weight[0] *= 1 - p;
}

// Sum over the number of full sites at every spike, for sweeps with the same number of sites: a hidden Markov model.
V exact(const Batch &batch, const Pack &pack, int64_t n) {
  V belief[MOST + 1] = {}, left[MOST + 1], weight[MOST + 1], seen[MOST + 1];
  V precision[MOST + 1], height[MOST + 1], unseen[MOST + 1];
  const V quantum = gathered(batch.quantum, pack.sweep), noise = gathered(batch.noise, pack.sweep), zero{};
  for (int64_t k = 0; k <= n; ++k) {
    const V size = batch.cv * quantum, variance = double(k) * size * size + noise * noise;
    const V x = math::minimum(double(k) * quantum / math::square_root(variance), wide<V>(FARTHEST));
    precision[k] = 1 / variance;
    height[k] = -0.5 * (math::log(variance) + LOG_TAU);
    unseen[k] = math::log(mills_ratio(x)) - 0.5 * (x * x + LOG_TAU);
  }
  belief[n] = wide<V>(1.0);
  V total{};
  for (int64_t pulse = 0; pulse < batch.pulses; ++pulse) {
    const V y = gathered(batch.response, pack.response, pulse);
    const V p = gathered(batch.release, pack.row, pulse), r = gathered(batch.refill, pack.row, pulse);
    const V outlier = y == y ? wild(batch, y, double(n) * quantum) : zero;
    const double usual = 1 - batch.outliers;
    V largest = batch.outliers > 0 ? (y == y ? math::log(outlier) : zero) : wide<V>(-INFINITY), evidence{};
    for (int64_t k = 0; k <= n; ++k) {
      const V off = y - double(k) * quantum, density = height[k] - 0.5 * off * off * precision[k];
      seen[k] = y == y ? (y == 0 ? unseen[k] : density) : zero;
      largest = math::maximum(largest, seen[k]);
    }
    const V rest = batch.outliers > 0 ? outlier * math::exp(-largest) : zero;
    for (int64_t k = 0; k <= n; ++k) {
      seen[k] = math::exp(seen[k] - largest), left[k] = zero;
      if (batch.outliers > 0) seen[k] = y == y ? usual * seen[k] + rest : seen[k];
    }
    for (int64_t full = 0; full <= n; ++full) {
      one_more(full, p, weight);
      for (int64_t k = 0; k <= full; ++k) left[full - k] += belief[full] * weight[k] * seen[k];
    }
    for (int64_t j = 0; j <= n; ++j) evidence += left[j];
    total += largest + math::log(evidence);
    const V share = evidence > 0 ? 1 / evidence : zero;
    for (int64_t j = 0; j <= n; ++j) belief[j] = zero;
    for (int64_t empty = 0; empty <= n; ++empty) {
      one_more(empty, r, weight);
      for (int64_t k = 0; k <= empty; ++k) belief[n - empty + k] += left[n - empty] * share * weight[k];
    }
  }
  return total;
}

// All sweeps with `n` sites, or, for n above `few`, all that have more than `few`.
void some(const Batch &batch, int64_t n, int64_t few, double *result) {
  Pack pack;
  for (int64_t each = 0; each <= batch.sweeps; ++each) {
    if (each < batch.sweeps) {
      const double sites = batch.sites[each];
      if (!(sites < double(few) + 0.5 ? std::llround(sites) == n : n > few)) continue;
      pack.add(batch, each);
    }
    if (pack.count == L || (pack.count && each == batch.sweeps)) {
      pack.fill();
      const V value = n > few ? approximate(batch, pack) : exact(batch, pack, n);
      for (int l = 0; l < pack.count; ++l) result[pack.sweep[l]] = value[l];
      pack.count = 0;
    }
  }
}

}  // namespace

// Sweeps of several chains; `few` is the number of sites up to which the likelihood is exact, at most 64.
FWSIM_EXPORT void fwsim_quanta(int64_t chains, int64_t sweeps, int64_t trains, int64_t pulses, int64_t few,
                               const double *response, const int64_t *train, const double *release,
                               const double *refill, const double *sites, const double *quantum, const double *noise,
                               double cv, double outliers, double *result) {
  for (int64_t chain = 0; chain < chains; ++chain) {
    const int64_t row = chain * trains * pulses, place = chain * sweeps;
    const Batch batch{sweeps, trains, pulses, response, release + row, refill + row,
                      train, sites + place, quantum + place, noise + place, cv, outliers};
    for (int64_t n = 0; n <= few + 1; ++n) some(batch, n, few, result + place);
  }
}
