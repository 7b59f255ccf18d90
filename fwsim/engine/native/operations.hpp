// Operations that programs consist of (see `program.hpp`): what each does to registers of numbers.
//
// `FWSIM_OPERATIONS` lists them by name; the name says to Python which operation a number stands for. An operation takes
// up to three operands `a`, `b`, `c`. Those whose names sympy knows, such as `sin`, mean the same here as there.
#pragma once

#include "math.hpp"

namespace operations {

using math::number;

// A function of the C++ library for single numbers, number by number.
template <class V, class Function>
INLINE V each(V a, Function function) {
  for (int l = 0; l < places<V>; l++) a[l] = function(a[l]);
  return a;
}

// 1 where something is true and 0 elsewhere.
#define FWSIM_TRUTH(condition) ((condition) ? wide<V>(number<V>(1)) : V{})

#define FWSIM_OPERATIONS(OPERATION)                             \
  OPERATION(copy, a)                                            \
  OPERATION(negate, -a)                                         \
  OPERATION(add, a + b)                                         \
  OPERATION(subtract, a - b)                                    \
  OPERATION(multiply, a *b)                                     \
  OPERATION(divide, a / b)                                      \
  OPERATION(multiply_add, a *b + c)                             \
  OPERATION(multiply_subtract, c - a * b)                       \
  OPERATION(minimum, a > b ? b : (b == b ? a : b))              \
  OPERATION(maximum, a < b ? b : (b == b ? a : b))              \
  OPERATION(absolute, math::absolute(a))                        \
  OPERATION(sign, math::sign(a))                                \
  OPERATION(relu, math::relu(a))                                \
  OPERATION(square_root, math::square_root(a))                  \
  OPERATION(power, math::power(a, b))                           \
  OPERATION(exp, math::exp(a))                                  \
  OPERATION(log, math::log(a))                                  \
  OPERATION(tanh, math::tanh(a))                                \
  OPERATION(softplus, math::softplus(a))                        \
  OPERATION(sin, each(a, [](auto x) { return std::sin(x); }))   \
  OPERATION(cos, each(a, [](auto x) { return std::cos(x); }))   \
  OPERATION(tan, each(a, [](auto x) { return std::tan(x); }))   \
  OPERATION(asin, each(a, [](auto x) { return std::asin(x); })) \
  OPERATION(acos, each(a, [](auto x) { return std::acos(x); })) \
  OPERATION(atan, each(a, [](auto x) { return std::atan(x); })) \
  OPERATION(sinh, each(a, [](auto x) { return std::sinh(x); })) \
  OPERATION(cosh, each(a, [](auto x) { return std::cosh(x); })) \
  OPERATION(erf, each(a, [](auto x) { return std::erf(x); }))   \
  OPERATION(erfc, each(a, [](auto x) { return std::erfc(x); })) \
  OPERATION(less, FWSIM_TRUTH(a < b))                           \
  OPERATION(less_equal, FWSIM_TRUTH(a <= b))                    \
  OPERATION(equal, FWSIM_TRUTH(a == b))                         \
  OPERATION(select, a != 0 ? b : c)

#define FWSIM_DEFINE(name, value)                                              \
  template <class V>                                                           \
  INLINE V name([[maybe_unused]] V a, [[maybe_unused]] V b, [[maybe_unused]] V c) { \
    return value;                                                              \
  }
FWSIM_OPERATIONS(FWSIM_DEFINE)
#undef FWSIM_DEFINE

}  // namespace operations
