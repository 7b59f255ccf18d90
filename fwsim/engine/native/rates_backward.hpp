// The backward pass of a rate network: from the gradient for what a run gives to that for what it was given.
//
// Each row has an adjoint row, the gradient for its numbers. The adjoints of the three programs are programs as well
// (`program.py` derives them); here stand the adjoints of what connects units, in the opposite order of `rates.hpp`. What
// a step needs of its forward pass is saved while its segment is run again, from its checkpoint.
#pragma once

#include "rates.hpp"

constexpr int PAIR_STEPS = 8;  // steps of which pairs are collected before their outer products are added up

template <class T>
class RatesBackward : RatesPart<T> {
  using Base = RatesPart<T>;
  using typename Base::V;
  using Base::L;
  using Base::run, Base::units, Base::width, Base::first, Base::matrices;
  using Base::row, Base::numbers, Base::members, Base::element, Base::matrix, Base::decay, Base::length;
  V *const saved, *const matrix_steps, *const d_matrices, *const pairs;
  int64_t pair_count = 0;  // of each member

 public:
  RatesBackward(const RatesRun<T> &run, int64_t part)
      : Base(run, part),
        saved((V *)run.saved_space + part * run.segment * run.saved_rows * length()),
        matrix_steps((V *)run.matrix_steps + part * run.segment * group_matrices()),
        d_matrices((V *)run.adjoint_space + part * group_matrices()),
        pairs((V *)run.pair_space + part * (1 + run.sources) * 2 * PAIR_STEPS * length()) {}

  void run_group(int64_t number) {
    first = number * run.group;
    const int64_t bundle = number / run.together;
    begin_backward();
    for (int64_t start = (run.steps - 1) / run.segment * run.segment; start >= 0; start -= run.segment) {
      const int64_t stop = std::min(start + run.segment, run.steps);
      run_again(start, stop);
      if (stop == run.steps) {
        receive_rates(stop - 1);
        Base::perform(EMIT_BACKWARD);
      }
      for (int64_t step = stop - 1; step >= start; step--) retrace(step, bundle);
    }
    add_pairs(bundle);
    end_backward();
  }

 private:
  int64_t group_matrices() const { return run.group * run.timescales * units * width; }
  int adjoint(int number) const { return int(run.adjoints) + number; }
  V *d_matrix(int member, int64_t timescale) const {
    return d_matrices + (member * run.timescales + timescale) * units * width;
  }
  V *saved_step(int64_t step) const { return saved + step % run.segment * run.saved_rows * length(); }
  const V *earlier(int64_t step, int member, int64_t timescale) const {
    return matrix_steps + step % run.segment * group_matrices() + (member * run.timescales + timescale) * units * width;
  }
  void restore(int number, int count, const V *source) const {
    for (int i = 0; i < count; i++) copy(source + i * length(), row(number + i, 0), length());
  }

  // Σ over units of `value(i)` of registers i; what is behind the last unit does not count.
  template <class Value>
  T total(const Value &value) const {
    V sum{}, last = value(width - 1);
    for (int i = 0; i < width - 1; i++) sum += value(i);
    for (int l = 0; l < L; l++) last[l] = (units - 1) % L < l ? T(0) : last[l];
    return UnitLayout<T>::across(sum + last);
  }
  T dot(const V *a, const V *b) const {
    return total([&](int i) { return a[i] * b[i]; });
  }

  // The gradients for what the run gave; the places of elements that are there twice get none.
  void begin_backward() {
    for (int64_t i = run.adjoints; i < run.sums + run.sum_count; i++) clear(row(int(i), 0), length());
    for (int m = 0; m < run.group; m++) {
      const bool there = m < members();
      for (int64_t s = 0; s < run.states && there; s++)
        Base::load(run.d_state + ((first + m) * run.states + s) * units, 1, row(adjoint(STATE + int(s)), m));
      for (int64_t k = 0; k < run.timescales; k++) {
        clear(d_matrix(m, k), int64_t(units) * width);
        if (there)
          Base::load_matrix(run.d_memory + ((first + m) * run.timescales + k) * units * units, d_matrix(m, k));
      }
    }
  }

  // A segment, of which rows and matrices are saved.
  void run_again(int64_t start, int64_t stop) {
    Base::begin(Base::checkpoint(run.checkpoints, start, run.states * units),
                Base::checkpoint(run.memory_checkpoints, start, Base::matrices_size()));
    for (int64_t step = start; step < stop; step++) {
      copy(matrices, matrix_steps + step % run.segment * group_matrices(), group_matrices());
      Base::advance(step, saved_step(step));
    }
  }

  // One step back.
  void retrace(int64_t step, int64_t bundle) {
    const V *const kept = saved_step(step);
    const V *const field = kept + Base::saved_field() * length(), *const reached = field + length();
    restore(FIELD, 1, field);
    restore(REACHED, 1, reached);
    Base::normalise(FIELD);
    Base::normalise(REACHED);
    if (run.d_kicks)
      for (int m = 0; m < members(); m++)
        Base::store(row(adjoint(STATE), m), run.d_kicks + (step * run.batch + first + m) * units);
    Base::perform(CORRECT_BACKWARD);
    denormalise(REACHED, reached);
    collect(REACHED, kept + Base::saved_sent_ahead() * length());
    transmit_backward(REACHED);
    restore(STATE, int(run.states), kept);
    restore(RATE, 1, kept + Base::saved_rate() * length());
    if (run.timescales) {
      restore(AHEAD, 1, kept + Base::saved_ahead() * length());
      write_backward(step);
    }
    Base::perform(PREDICT_BACKWARD);
    denormalise(FIELD, field);
    collect(FIELD, kept + Base::saved_sent() * length());
    transmit_backward(FIELD);
    if (run.timescales) read_backward(step);
    if (pair_count == 2 * PAIR_STEPS) add_pairs(bundle);
    give_drive(step);
    if (step > 0) receive_rates(step - 1);
    Base::perform(EMIT_BACKWARD);
  }

  void receive_rates(int64_t step) {
    for (int m = 0; m < members(); m++) {
      const T *const source = run.d_rates + ((first + m) * run.steps + step) * units;
      T *const target = numbers(adjoint(RATE), m);
      for (int i = 0; i < units; i++) target[i] += source[i];
    }
  }

  // Both fields begin as the input.
  void give_drive(int64_t step) {
    for (int m = 0; m < run.group; m++) {
      V *const one = row(adjoint(FIELD), m), *const other = row(adjoint(REACHED), m);
      if (run.d_drive && m < members()) {
        add(other, one, width);
        Base::store(one, run.d_drive + ((first + m) * run.steps + step) * units);
      }
      clear(one, width);
      clear(other, width);
    }
  }

  // What each source sent gets the transposed weights times the gradient for the field.
  void transmit_backward(int field) {
    for (int64_t source = 0; source < run.sources; source++) {
      const int sent = adjoint(int(run.sent + source));
      const int64_t start = run.source_places[2 * source], step = run.source_places[2 * source + 1];
      const int together = step ? 1 : int(run.group);
      for (int m = 0; m < run.group; m += together)
        multiply(row(sent, m), width, numbers(adjoint(field), m), int64_t(width) * L, 1,
                 (const V *)run.transposed_weights + (start + step * element(m)) * units * width, width, together, width,
                 units);
    }
  }

  // Notes gradients for a field, and what was sent to it.
  void collect(int field, const V *sent) {
    if (!run.d_weights) return;
    const int64_t space = 2 * PAIR_STEPS * length(), at = pair_count++ * length();
    copy(row(adjoint(field), 0), pairs + at, length());
    for (int64_t source = 0; source < run.sources; source++)
      copy(sent + source * length(), pairs + (1 + source) * space + at, length());
  }
  void add_pairs(int64_t bundle) {
    if (pair_count == 0) return;
    const int64_t space = 2 * PAIR_STEPS * length();
    for (int64_t source = 0; source < run.sources; source++) {
      const int64_t start = run.gradient_places[2 * source], step = run.gradient_places[2 * source + 1];
      const T *const sent = (const T *)(pairs + (1 + source) * space);
      const bool own = run.source_places[2 * source + 1];
      if (!own)
        multiply((V *)run.d_weights + (start + step * bundle) * units * width, width, sent, 1, int64_t(width) * L,
                 pairs, width, units, width, pair_count * run.group);
      else
        for (int m = 0; m < members(); m++)
          multiply((V *)run.d_weights + (start + step * (first + m)) * units * width, width,
                   sent + int64_t(m) * width * L, 1, length() * L, pairs + m * width, length(), units, width,
                   pair_count);
    }
    pair_count = 0;
  }

  // The memory read d_r += Σ_k A_kᵀ dF, and its gradient gets dF rᵀ; see `Base::read`.
  void read_backward(int64_t step) {
    for (int m = 0; m < run.group; m++) {
      const V *const d_field = row(adjoint(FIELD), m);
      const T *const rate = numbers(RATE, m);
      T *const d_rate = numbers(adjoint(RATE), m);
      for (int64_t k = 0; k < run.timescales; k++)
        for (int j = 0; j < units; j++) {
          V *const d_row = d_matrix(m, k) + int64_t(j) * width;
          d_rate[j] += dot(earlier(step, m, k) + int64_t(j) * width, d_field);
          const V factor = wide<V>(rate[j]);
          for (int i = 0; i < width; i++) d_row[i] += d_field[i] * factor;
        }
    }
  }

  // Back through `Base::read_predicted_and_write`.
  void write_backward(int64_t step) {
    for (int m = 0; m < run.group; m++) {
      const V *const field = row(adjoint(REACHED), m);
      const T *const keep = decay(m, 0), *const written = decay(m, 1), *const late = decay(m, 2);
      T total = 0;
      for (int64_t k = 0; k < run.timescales; k++) total += written[k];
      const T d_total = answer_backward(m, total);
      for (int64_t k = 0; k < run.timescales; k++) {
        T d_keep = 0, d_early = 0, d_late = 0;
        for (int j = 0; j < units; j++)
          row_backward(m, j, keep[k], written[k] - late[k], late[k], field, earlier(step, m, k) + int64_t(j) * width,
                   d_matrix(m, k) + int64_t(j) * width, d_keep, d_early, d_late);
        if (m >= members()) continue;
        T *const d_decay = run.d_decays + (first + m) * 3 * run.timescales + k;
        d_decay[0] += d_keep;
        d_decay[run.timescales] += d_early + d_total;
        d_decay[2 * run.timescales] += d_late - d_early;
      }
    }
  }
  // The answer total (r·a − own) r of what is written in the step; returns the gradient for `total`.
  T answer_backward(int m, T total) {
    const T *const rate = numbers(RATE, m), *const ahead = numbers(AHEAD, m), *const field = numbers(adjoint(REACHED), m);
    T *const d_rate = numbers(adjoint(RATE), m), *const d_ahead = numbers(adjoint(AHEAD), m);
    T overlap = 0, d_overlap = 0, d_total = 0;
    for (int i = 0; i < units; i++) {
      overlap += rate[i] * ahead[i];
      d_overlap += total * field[i] * rate[i];
    }
    for (int i = 0; i < units; i++) {
      const T own = run.self_connections ? T(0) : rate[i] * ahead[i];
      const T d_own = run.self_connections ? T(0) : -total * field[i] * rate[i];
      d_total += field[i] * (overlap - own) * rate[i];
      d_rate[i] += total * field[i] * (overlap - own) + (d_overlap + d_own) * ahead[i];
      d_ahead[i] += (d_overlap + d_own) * rate[i];
    }
    return d_total;
  }
  // A' = keep A + early r rᵀ + late a aᵀ and the answer keep A a, for presynaptic unit j of a matrix.
  void row_backward(int m, int j, T keep, T early, T late, const V *field, const V *before, V *d_row, T &d_keep, T &d_early,
                T &d_late) {
    T *const d_rate = numbers(adjoint(RATE), m), *const d_ahead = numbers(adjoint(AHEAD), m);
    const V *const rates = row(RATE, m), *const aheads = row(AHEAD, m);
    const T rate = ((const T *)rates)[j], ahead = ((const T *)aheads)[j], answered = dot(before, field);
    d_keep += dot(d_row, before) + answered * ahead;
    // The diagonal is not written without self-connections.
    T *const own = (T *)d_row + j, kept = *own;
    if (!run.self_connections) *own = 0;
    const T by_rate = dot(d_row, rates), by_ahead = dot(d_row, aheads);
    d_early += by_rate * rate;
    d_late += by_ahead * ahead;
    V *const d_rates = row(adjoint(RATE), m), *const d_aheads = row(adjoint(AHEAD), m);
    const V one = wide<V>(early * rate), other = wide<V>(late * ahead);
    for (int i = 0; i < width; i++) {
      d_rates[i] += d_row[i] * one;
      d_aheads[i] += d_row[i] * other;
    }
    d_rate[j] += early * by_rate;
    d_ahead[j] += late * by_ahead + keep * answered;
    *own = kept;
    const V sent = wide<V>(keep * ahead);
    for (int i = 0; i < width; i++) d_row[i] = d_row[i] * keep + field[i] * sent;
  }

  // From the gradient for the normalised field to that for the field, whose numbers are `given`.
  void denormalise(int number, const V *given) {
    for (int m = 0; m < run.group; m++) {
      V *const d = row(adjoint(number), m);
      const V *const field = given + m * width, *const one = row(int(run.constants), m);
      const V *const other = row(int(run.constants + 1), m);
      V *const d_one = normal_sum(run.first_normal_sum, m), *const d_other = normal_sum(run.second_normal_sum, m);
      switch (run.normalise) {
        case LAYER:
          denormalise_layer(d, field, one, d_one, d_other);
          break;
        case DIVISIVE:
          denormalise_divisive(d, field, one, other, d_one, d_other);
          break;
        case SUBTRACTIVE:
          denormalise_subtractive(d, field, one, d_one);
          break;
      }
    }
  }
  V *normal_sum(int64_t place, int m) const { return place < 0 ? nullptr : row(int(run.sums + place), m); }

  template <class Value>
  V mean(const Value &value) const {
    return wide<V>(total(value) / T(units));
  }
  void denormalise_layer(V *d, const V *field, const V *gain, V *d_gain, V *d_bias) const {
    const V middle = mean([&](int i) { return field[i]; });
    const V variance = mean([&](int i) { return (field[i] - middle) * (field[i] - middle); });
    const T scale = 1 / std::sqrt(variance[0] + T(EPSILON));
    const V d_mean = mean([&](int i) { return d[i] * gain[i]; });
    const V d_scale = mean([&](int i) { return d[i] * gain[i] * (field[i] - middle) * scale; });
    for (int i = 0; i < width; i++) {
      const V normal = (field[i] - middle) * scale;
      if (d_gain) d_gain[i] += d[i] * normal;
      if (d_bias) d_bias[i] += d[i];
      d[i] = (d[i] * gain[i] - d_mean - normal * d_scale) * scale;
    }
  }
  void denormalise_divisive(V *d, const V *field, const V *strength, const V *floor, V *d_strength, V *d_floor) const {
    const V pool = mean([&](int i) { return math::relu(field[i]); });
    const auto divisor = [&](int i) { return floor[i] + strength[i] * pool; };
    const auto d_divisor = [&](int i) { return -d[i] * field[i] / (divisor(i) * divisor(i)); };
    const V d_pool = mean([&](int i) { return strength[i] * d_divisor(i); });
    for (int i = 0; i < width; i++) {
      if (d_strength) d_strength[i] += d_divisor(i) * pool;
      if (d_floor) d_floor[i] += d_divisor(i);
      d[i] = d[i] / divisor(i) + (field[i] > 0 ? d_pool : V{});
    }
  }
  void denormalise_subtractive(V *d, const V *field, const V *strength, V *d_strength) const {
    const V pool = mean([&](int i) { return math::relu(field[i]); });
    const V d_pool = mean([&](int i) { return -strength[i] * d[i]; });
    for (int i = 0; i < width; i++) {
      if (d_strength) d_strength[i] -= d[i] * pool;
      d[i] += field[i] > 0 ? d_pool : V{};
    }
  }

  void end_backward() {
    for (int m = 0; m < members(); m++) {
      const int64_t e = first + m;
      for (int64_t s = 0; s < run.states; s++)
        Base::store(row(adjoint(STATE + int(s)), m), run.d_state + (e * run.states + s) * units);
      for (int64_t s = 0; s < run.sum_count; s++)
        Base::store(row(int(run.sums + s), m), run.d_constants + (e * run.sum_count + s) * units);
      for (int64_t k = 0; k < run.timescales; k++)
        Base::store_matrix(d_matrix(m, k), run.d_memory + (e * run.timescales + k) * units * units);
    }
  }
};

template <class T>
void run_rates_backward(const RatesRun<T> &run) {
  const int64_t groups = (run.batch + run.group - 1) / run.group;
  const int64_t bundles = (groups + run.together - 1) / run.together;
  share_out((Team)run.team, std::min(run.threads, bundles), bundles, [&](int64_t part, int64_t first, int64_t last) {
    RatesBackward<T> mine(run, part);
    for (int64_t group = first * run.together; group < std::min(last * run.together, groups); group++)
      mine.run_group(group);
  });
}
