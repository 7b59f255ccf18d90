// Work shared out on the OpenMP threads that torch uses, without linking an OpenMP runtime of our own.
//
// Python passes the address of `GOMP_parallel`, which GNU's and LLVM's OpenMP both have, so that kernels run on the
// threads of torch. A second team would have to share the cores with the first, whose threads wait actively.
//
// While a part runs, numbers too small for full precision (below 1e-38 in float32) count as 0. A memory that decays is
// full of them, and an Intel core spends a hundred times the usual time on each.
#pragma once

#include <atomic>
#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

// `GOMP_parallel(function, data, threads, flags)`
using Team = void (*)(void (*)(void *), void *, unsigned, unsigned);

// Counts subnormal numbers as 0, in operands and in results, as long as it lives.
class NoSubnormals {
#if defined(__x86_64__)
  static constexpr unsigned ZERO = 0x8040;
  unsigned before = _mm_getcsr();

 public:
  NoSubnormals() { _mm_setcsr(before | ZERO); }
  ~NoSubnormals() { _mm_setcsr(before); }
#elif defined(__aarch64__)
  static constexpr uint64_t ZERO = uint64_t(1) << 24;
  uint64_t before = get();
  static uint64_t get() {
    uint64_t value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void set(uint64_t value) { asm volatile("msr fpcr, %0" : : "r"(value)); }

 public:
  NoSubnormals() { set(before | ZERO); }
  ~NoSubnormals() { set(before); }
#else
 public:
  NoSubnormals() {}
#endif
  NoSubnormals(const NoSubnormals &) = delete;
  NoSubnormals &operator=(const NoSubnormals &) = delete;
};

// Calls `work(part, first, last)` for `parts` consecutive parts of `0 … total−1`, each part on one thread.
//
// What a part computes must not depend on which thread runs it. Without a team (`team` is null) the calling thread runs
// all parts.
template <class Work>
void share_out(Team team, int64_t parts, int64_t total, const Work &work) {
  struct Shared {
    const Work &work;
    int64_t parts, total;
    std::atomic<int64_t> next{0};
  } shared{work, parts, total};
  auto run = [](void *data) {
    Shared &shared = *static_cast<Shared *>(data);
    NoSubnormals guard;
    for (int64_t part; (part = shared.next.fetch_add(1, std::memory_order_relaxed)) < shared.parts;)
      shared.work(part, shared.total * part / shared.parts, shared.total * (part + 1) / shared.parts);
  };
  if (team && parts > 1)
    team(run, &shared, unsigned(parts), 0);
  else
    run(&shared);
}
