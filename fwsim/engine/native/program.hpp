// Programs: what is done to rows of numbers, each number alike, as a list of operations.
//
// Rows are cut into blocks. All operations are done for one block before the next, so that what one operation leaves for
// another stays in the first-level cache (as numexpr does).
#pragma once

#include <algorithm>

#include "operations.hpp"

enum Operation : int32_t {
#define FWSIM_NAME(name, value) name##_operation,
  FWSIM_OPERATIONS(FWSIM_NAME)
#undef FWSIM_NAME
};

// The target and the operands are places: first come the rows, then numbers that are the same everywhere, then temporary
// results. Operands that an operation does not have are any place.
struct Instruction {
  int32_t operation, target, a, b, c;
};

struct Program {
  const Instruction *instructions;
  int64_t count;
};

template <class V>
constexpr int BLOCK = 512 / sizeof(V);  // registers

// What a program works on. A number or a temporary result takes one block.
template <class V>
struct Places {
  V *rows;
  int64_t row_count, stride, length;  // rows, registers from one to the next, registers of each that are in use
  V *blocks;
  int64_t block_count;
  V **at;  // workspace for the address of each place
};

template <class V, class T>
void fill_blocks(const Places<V> &places, const T *numbers, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    for (int k = 0; k < BLOCK<V>; k++) places.blocks[i * BLOCK<V> + k] = wide<V>(numbers[i]);
}

// All operations for the block at `places.at`, of so many registers; the compiler unrolls the loops where it knows how many.
template <class V, class Count>
void run_block(const Program &program, const Places<V> &places, Count count) {
  V **const at = places.at;
  for (int64_t i = 0; i < program.count; i++) {
    const Instruction &now = program.instructions[i];
    V *const target = at[now.target];
    const V *const a = at[now.a], *const b = at[now.b], *const c = at[now.c];
    switch (now.operation) {
#define FWSIM_CASE(name, value)                                                          \
  case name##_operation:                                                                 \
    for (int k = 0; k < count; k++) target[k] = operations::name<V>(a[k], b[k], c[k]); \
    break;
      FWSIM_OPERATIONS(FWSIM_CASE)
#undef FWSIM_CASE
    }
  }
}

template <class V>
void run(const Program &program, const Places<V> &places) {
  constexpr int SIZE = BLOCK<V>;
  V **const at = places.at;
  for (int64_t i = 0; i < places.block_count; i++) at[places.row_count + i] = places.blocks + i * SIZE;
  for (int64_t i = 0; i < places.row_count; i++) at[i] = places.rows + i * places.stride;
  for (int64_t left = places.length; left > 0; left -= SIZE) {
    if (left >= SIZE)
      run_block(program, places, std::integral_constant<int, SIZE>{});
    else
      run_block(program, places, int(left));
    for (int64_t i = 0; i < places.row_count; i++) at[i] += SIZE;
  }
}
