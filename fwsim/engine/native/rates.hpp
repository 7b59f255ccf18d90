// Runs of rate networks; see `fwsim/engine/rate/step.py` for the scheme and `fwsim/engine/rate/rows.py` for the rows.
//
// What is done unit by unit (gains, synapses, leak) are three programs; here stands what connects units: projections, the
// memory matrix, normalisation. Batch elements take each step in groups, which share one pass over the weights.
// `rates_backward.hpp` is the backward pass.
#pragma once

#include "layout.hpp"
#include "products.hpp"
#include "program.hpp"
#include "threads.hpp"

enum Row { FIELD, REACHED, KICK, RATE, AHEAD, STATE };
enum RateNormalisation { NONE, LAYER, DIVISIVE, SUBTRACTIVE };
enum Part { PREDICT, CORRECT, EMIT, PREDICT_BACKWARD, CORRECT_BACKWARD, EMIT_BACKWARD, PARTS };

constexpr double EPSILON = 1e-5;  // as in `fwsim/engine/cell.py`
constexpr double SPARSE = 0.4;    // share of active units up to which silent ones are left out

// What Python hands over; the class `RatesRun` of `fwsim/engine/rate/compiled.py` has the same fields in the same order.
template <class T>
struct RatesRun {
  int64_t batch, steps, units;
  int64_t group;                       // batch elements that take each step together
  int64_t rows, states;                // rows of a batch element; those of them that are its state
  int64_t sent, constants;             // first row of what is sent, and of the constants
  int64_t row_constants;               // rows of constants, of which the first two belong to the normalisation
  int64_t sources;                     // matrices of weights
  int64_t normalise, sparse;           // `RateNormalisation`; whether many units are silent
  int64_t timescales, decay_sets;      // of the memory; sets of decays: 1, or one for each batch element
  int64_t self_connections;            // of the memory
  int64_t number_count, block_count;   // numbers of the programs; numbers and temporary results
  int64_t samples;
  int64_t drive_batch, drive_time, drive_unit;  // strides
  int64_t width, stride;               // registers of a row of one batch element, and from row to row of a group
  int64_t threads;
  // Of runs with gradients: first row of the adjoints, which are in the order of the rows; first row of the sums over steps
  // that are gradients of constants, and how many; the place among them of the two rows of the normalisation, or −1;
  // rows that are saved of a step; steps of a segment, whose first state is a checkpoint; groups whose gradients of
  // weights have one sum.
  int64_t adjoints, sums, sum_count, first_normal_sum, second_normal_sum, saved_rows, segment, together;
  int64_t instruction_count[PARTS];

  const T *drive, *kicks;              // strided; [time, batch, unit] or null
  T *state, *memory;                   // [batch, state, unit], [batch, timescale, post, pre]; changed
  const T *constant_values;            // in a line, and where each row of constants begins in it, and its strides over
  const int64_t *constant_places;      // batch and units, [row, 3]
  const T *weights;                    // transposed and padded, [matrix, pre, width]
  const int64_t *source_places;        // first matrix, and matrices from one batch element to the next, [source, 2]
  const T *decays;                     // keep, first and second of the memory, [set, 3, timescale]
  const T *numbers;
  const Instruction *instructions;     // of one program after the other
  const int64_t *schedule;             // step, row and place of each sample, by step, [sample, 3]
  T *sampled;                          // [batch, sample, unit]
  // Workspace of each thread: rows [row, stride]; blocks; addresses; lists of active units and their values;
  // matrices [member, timescale, pre, width].
  T *row_space, *block_space, *list_values, *matrix_space;
  void **address_space;
  int32_t *list_places;
  // Of runs with gradients: states and memories with which segments begin, [segment, batch, state, unit] and [segment,
  // batch, timescale, post, pre]; or null.
  T *checkpoints, *memory_checkpoints;
  // Of backward passes: what comes from above, [batch, time, unit], [batch, state, unit] and as the memory, of which the
  // last two become the gradients before the run; gradients, [batch, time, unit], [time, batch, unit], [batch, sum, unit],
  // [matrix, pre, width] and [batch, 3, timescale], the first two or null; weights as they are, padded, [matrix, post,
  // width]; first matrix of each source in the gradient, and from one batch element or one sum to the next, [source, 2].
  const T *d_rates;
  T *d_state, *d_memory, *d_drive, *d_kicks, *d_constants, *d_weights, *d_decays;
  const T *transposed_weights;
  const int64_t *gradient_places;
  // Workspace of each thread: rows of each step of a segment, [step, row, member, width]; matrices before each step,
  // [step, member, timescale, pre, width], and their adjoint; what pairs whose outer products are the gradient of the
  // weights are collected in, [1 + source, pair, width].
  T *saved_space, *matrix_steps, *adjoint_space, *pair_space;
  void *team;
};

// One thread's share of a run.
template <class T>
class RatesPart {
 protected:
  using V = typename Register<T>::V;
  static constexpr int L = Register<T>::L;
  const RatesRun<T> &run;
  const int units, width;
  V *const rows, *const matrices;
  Active<T> active;
  Places<V> places;
  Program programs[PARTS];
  int64_t first = 0;  // batch element of the group

 public:
  RatesPart(const RatesRun<T> &run, int64_t part)
      : run(run),
        units(int(run.units)),
        width(int(run.width)),
        rows((V *)run.row_space + part * run.rows * run.stride),
        matrices((V *)run.matrix_space + part * run.group * run.timescales * run.units * run.width) {
    active.place = run.list_places + part * width * L;
    active.value = run.list_values + part * width * L;
    V *const blocks = (V *)run.block_space + part * run.block_count * BLOCK<V>;
    V **const at = (V **)run.address_space + part * (run.rows + run.block_count);
    places = {rows, run.rows, run.stride, run.group * run.width, blocks, run.block_count, at};
    fill_blocks(places, run.numbers, run.number_count);
    const Instruction *next = run.instructions;
    for (int p = 0; p < PARTS; next += run.instruction_count[p++]) programs[p] = {next, run.instruction_count[p]};
  }

  void run_group(int64_t number) {
    first = number * run.group;
    begin(run.state, run.memory);
    int64_t sample = 0;
    for (int64_t step = 0; step < run.steps; step++) {
      if (run.checkpoints && step % run.segment == 0)
        give(checkpoint(run.checkpoints, step, run.states * units), checkpoint(run.memory_checkpoints, step, matrices_size()));
      advance(step, nullptr);
      for (; sample < run.samples && run.schedule[3 * sample] == step; sample++) {
        const int64_t kept = run.schedule[3 * sample + 1], place = run.schedule[3 * sample + 2];
        for (int m = 0; m < members(); m++)
          store(row(int(kept), m), run.sampled + ((first + m) * run.samples + place) * units);
      }
    }
    give(run.state, run.memory);
  }

 protected:
  // One step, of which rows are saved in `keep` unless it is null.
  void advance(int64_t step, V *keep) {
    if (keep) {
      save(STATE, int(run.states), keep);
      save(RATE, 1, keep + saved_rate() * length());
      save(int(run.sent), int(run.sources), keep + saved_sent() * length());
    }
    receive_drive(step);
    receive(FIELD);
    if (run.timescales) read(FIELD);
    if (keep) save(FIELD, 1, keep + saved_field() * length());
    normalise(FIELD);
    perform(PREDICT);
    receive(REACHED);
    if (keep) {
      save(int(run.sent), int(run.sources), keep + saved_sent_ahead() * length());
      if (run.timescales) save(AHEAD, 1, keep + saved_ahead() * length());
    }
    if (run.timescales) read_predicted_and_write();
    if (keep) save(REACHED, 1, keep + (saved_field() + 1) * length());
    normalise(REACHED);
    if (run.kicks)
      for (int m = 0; m < run.group; m++)
        load(run.kicks + (step * run.batch + element(m)) * units, 1, row(KICK, m));
    perform(CORRECT);
    perform(EMIT);
  }
  void perform(Part part) { ::run<V>(programs[part], places); }

  // Rows that are saved of a step: the state, rates and what is sent before it, both fields before they are normalised,
  // and what is sent ahead, with the rates ahead where there is a memory.
  int64_t saved_rate() const { return run.states; }
  int64_t saved_sent() const { return run.states + 1; }
  int64_t saved_field() const { return run.states + 1 + run.sources; }
  int64_t saved_sent_ahead() const { return run.states + 3 + run.sources; }
  int64_t saved_ahead() const { return run.states + 3 + 2 * run.sources; }
  int64_t length() const { return run.group * width; }
  void save(int number, int count, V *target) const {
    for (int i = 0; i < count; i++) copy(row(number + i, 0), target + i * length(), length());
  }

  V *row(int number, int member) const { return rows + number * run.stride + member * run.width; }
  T *numbers(int number, int member) const { return (T *)row(number, member); }
  int members() const { return int(std::min(run.group, run.batch - first)); }
  // The last group may not be full; it repeats the last element, so that all groups are computed alike.
  int64_t element(int member) const { return std::min(first + member, run.batch - 1); }
  V *matrix(int member, int64_t timescale) const {
    return matrices + (member * run.timescales + timescale) * units * width;
  }
  const T *decay(int member, int which) const {
    const int64_t set = run.decay_sets > 1 ? element(member) : 0;
    return run.decays + (set * 3 + which) * run.timescales;
  }

  // Numbers that lie `stride` apart; of stride 0 all are the same.
  void load(const T *source, int64_t stride, V *target) const {
    T *const numbers = (T *)target;
    if (stride == 1)
      std::memcpy(numbers, source, units * sizeof(T));
    else
      for (int i = 0; i < units; i++) numbers[i] = source[i * stride];
  }
  void store(const V *source, T *target) const { std::memcpy(target, source, units * sizeof(T)); }
  // Matrices [pre, width] from and to [post, pre].
  void load_matrix(const T *source, V *target) const {
    transpose(source, units, (T *)target, int64_t(width) * L, units, units);
  }
  void store_matrix(const V *source, T *target) const {
    transpose((const T *)source, int64_t(width) * L, target, units, units, units);
  }

  int64_t matrices_size() const { return run.timescales * units * units; }
  // What is kept of the segment that begins with a step, where `size` numbers are kept of a batch element.
  T *checkpoint(T *all, int64_t step, int64_t size) const { return all + step / run.segment * run.batch * size; }

  // Fills the rows of a group, which has not received anything yet.
  void begin(const T *state, const T *memory) {
    for (int m = 0; m < run.group; m++) {
      for (int64_t c = 0; c < run.row_constants; c++) {
        const int64_t *place = run.constant_places + 3 * c;
        load(run.constant_values + place[0] + element(m) * place[1], place[2], row(int(run.constants + c), m));
      }
      for (int64_t s = 0; s < run.states; s++)
        load(state + (element(m) * run.states + s) * units, 1, row(int(STATE + s), m));
      for (int number : {FIELD, REACHED, KICK}) clear(row(number, m), width);
      for (int64_t k = 0; k < run.timescales; k++)
        load_matrix(memory + (element(m) * run.timescales + k) * units * units, matrix(m, k));
    }
    perform(EMIT);
  }

  // The state and the memory as they are.
  void give(T *state, T *memory) {
    for (int m = 0; m < members(); m++) {
      for (int64_t s = 0; s < run.states; s++)
        store(row(int(STATE + s), m), state + ((first + m) * run.states + s) * units);
      for (int64_t k = 0; k < run.timescales; k++)
        store_matrix(matrix(m, k), memory + ((first + m) * run.timescales + k) * units * units);
    }
  }

  void receive_drive(int64_t step) {
    for (int m = 0; m < run.group; m++) {
      load(run.drive + element(m) * run.drive_batch + step * run.drive_time, run.drive_unit, row(FIELD, m));
      copy(row(FIELD, m), row(REACHED, m), width);
    }
  }

  // The field of each member += Σ over sources of weights times what they send.
  void receive(int field) {
    for (int64_t source = 0; source < run.sources; source++) {
      const int sent = int(run.sent + source);
      const int64_t start = run.source_places[2 * source], step = run.source_places[2 * source + 1];
      const bool sparse = run.sparse && mostly_silent(sent);
      if (step == 0 && !sparse) {
        multiply(row(field, 0), width, numbers(sent, 0), int64_t(width) * L, 1, weights(start), width, run.group,
                 width, units);
        continue;
      }
      for (int m = 0; m < run.group; m++) {
        const V *const own = weights(start + step * element(m));
        if (sparse) {
          list_active(row(sent, m), units, active);
          multiply_active(row(field, m), own, width, active, width);
        } else {
          multiply(row(field, m), width, numbers(sent, m), int64_t(width) * L, 1, own, width, 1, width, units);
        }
      }
    }
  }
  // Whether it pays to look for the units that are active.
  bool mostly_silent(int sent) {
    int count = 0;
    for (int m = 0; m < run.group; m++) {
      const T *const values = numbers(sent, m);
      for (int i = 0; i < units; i++) count += values[i] != 0;
    }
    return count < SPARSE * double(units) * double(run.group);
  }
  const V *weights(int64_t matrix) const { return (const V *)run.weights + matrix * units * width; }

  // The field of each member += Σ_k A_k r.
  void read(int field) {
    for (int m = 0; m < run.group; m++)
      for (int64_t k = 0; k < run.timescales; k++)
        multiply(row(field, m), width, numbers(RATE, m), int64_t(width) * L, 1, matrix(m, k), width, 1, width, units);
  }

  // The field ahead of each member += what the memory will answer to the rates ahead, and the memory advances by a step;
  // see `Matrix.read_predicted` and `Matrix.write`.
  void read_predicted_and_write() {
    for (int m = 0; m < run.group; m++) {
      V *const field = row(REACHED, m);
      const T *const keep = decay(m, 0), *const written = decay(m, 1), *const late = decay(m, 2);
      const T *const rate = numbers(RATE, m), *const ahead = numbers(AHEAD, m);
      T overlap = 0, total = 0;
      for (int i = 0; i < units; i++) overlap += rate[i] * ahead[i];
      for (int64_t k = 0; k < run.timescales; k++) {
        total += written[k];
        for (int i = 0; i < units; i++) active.value[i] = keep[k] * ahead[i];
        // read and written by turns, so that a large matrix passes through the cache once
        const int some = int(side_by_side<V>(units, width));
        for (int j = 0; j < units; j += some) {
          const int stop = std::min(j + some, units);
          multiply(field, width, active.value + j, int64_t(width) * L, 1, matrix(m, k) + int64_t(j) * width, width, 1,
                   width, stop - j);
          write(matrix(m, k), j, stop, keep[k], written[k] - late[k], late[k], row(RATE, m), row(AHEAD, m));
        }
      }
      T *const numbers = (T *)field;
      for (int i = 0; i < units; i++) {
        const T own = run.self_connections ? T(0) : rate[i] * ahead[i];
        numbers[i] += total * (overlap - own) * rate[i];
      }
    }
  }

  // A ← keep A + early r rᵀ + late a aᵀ, for the rates r now and a ahead, from one presynaptic unit to another.
  void write(V *matrix, int start, int stop, T keep, T early, T late, const V *rate, const V *ahead) const {
    for (int j = start; j < stop; j++) {
      V *const row = matrix + int64_t(j) * width;
      const T own = keep * ((T *)row)[j];
      const V one = wide<V>(early * ((const T *)rate)[j]), other = wide<V>(late * ((const T *)ahead)[j]);
      for (int i = 0; i < width; i++) row[i] = row[i] * keep + one * rate[i] + other * ahead[i];
      if (!run.self_connections) ((T *)row)[j] = own;
    }
  }

  void normalise(int number) {
    for (int m = 0; m < run.group; m++) {
      const V *const one = row(int(run.constants), m), *const other = row(int(run.constants + 1), m);
      V *const field = row(number, m);
      switch (run.normalise) {
        case LAYER:
          normalise_layer(field, one, other);
          break;
        case DIVISIVE: {
          const V pool = mean_active(field);
          for (int i = 0; i < width; i++) field[i] /= other[i] + one[i] * pool;
          break;
        }
        case SUBTRACTIVE: {
          const V pool = mean_active(field);
          for (int i = 0; i < width; i++) field[i] -= one[i] * pool;
          break;
        }
      }
    }
  }
  void normalise_layer(V *field, const V *gain, const V *bias) const {
    UnitLayout<T>::trim(field, units);
    V total{}, square{};
    for (int i = 0; i < width; i++) total += field[i];
    const V mean = wide<V>(UnitLayout<T>::across(total) / T(units));
    for (int i = 0; i < width; i++) field[i] -= mean;
    UnitLayout<T>::trim(field, units);
    for (int i = 0; i < width; i++) square += field[i] * field[i];
    const T scale = 1 / std::sqrt(UnitLayout<T>::across(square) / T(units) + T(EPSILON));
    for (int i = 0; i < width; i++) field[i] = field[i] * scale * gain[i] + bias[i];
  }
  // Mean over units of what is above zero.
  V mean_active(V *field) const {
    UnitLayout<T>::trim(field, units);
    V total{};
    for (int i = 0; i < width; i++) total += math::relu(field[i]);
    return wide<V>(UnitLayout<T>::across(total) / T(units));
  }
};

template <class T>
void run_rates(const RatesRun<T> &run) {
  const int64_t groups = (run.batch + run.group - 1) / run.group;
  share_out((Team)run.team, std::min(run.threads, groups), groups, [&](int64_t part, int64_t first, int64_t last) {
    RatesPart<T> mine(run, part);
    for (int64_t group = first; group < last; group++) mine.run_group(group);
  });
}
