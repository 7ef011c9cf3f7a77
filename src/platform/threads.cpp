#include "platform/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <thread>
#include <vector>

#include "platform/interrupt.h"

namespace enxuto {
namespace {

// 20 to 50 microseconds of looking before a thread sleeps: longer than the gap between two
// matrices, shorter than anything a person or another program would notice.
constexpr int kSpins = 1000;

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

struct ThreadTeam::Shared {
  // The loop at hand. Written by the caller before `round` moves, read by the others after.
  Call call = nullptr;
  const void* body = nullptr;
  int64_t grain = 1;
  // What a thread begins with. Those that are done help the others.
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  std::vector<Share> shares;
  alignas(64) std::atomic<uint32_t> round{0};
  alignas(64) std::atomic<int32_t> busy{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;

  explicit Shared(int n_threads) : shares(static_cast<size_t>(n_threads)) {}

  void deal(int64_t n) {
    const auto n_shares = static_cast<int64_t>(shares.size());
    const int64_t n_pieces = (n + grain - 1) / grain;
    for (int64_t i = 0; i < n_shares; ++i) {
      Share& share = shares[static_cast<size_t>(i)];
      share.next.store(n_pieces * i / n_shares * grain, std::memory_order_relaxed);
      share.end = std::min(n, n_pieces * (i + 1) / n_shares * grain);
    }
  }

  void work(int thread) {
    for (size_t i = 0; i < shares.size(); ++i) {
      Share& share = shares[(static_cast<size_t>(thread) + i) % shares.size()];
      for (;;) {
        const int64_t begin = share.next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= share.end) break;
        call(body, begin, std::min(begin + grain, share.end), thread);
      }
    }
  }

  void serve(int thread) {
    uint32_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins && round.load(std::memory_order_acquire) == seen; ++spin)
        relax();
      round.wait(seen, std::memory_order_acquire);
      seen = round.load(std::memory_order_acquire);
      if (stop.load(std::memory_order_relaxed)) return;
      work(thread);
      if (busy.fetch_sub(1, std::memory_order_acq_rel) == 1) busy.notify_one();
    }
  }
};

ThreadTeam::ThreadTeam(int n_threads)
    : n_threads_(std::max(1, n_threads)), shared_(new Shared(n_threads_)) {
  for (int i = 1; i < n_threads_; ++i)
    shared_->threads.emplace_back([s = shared_.get(), i] {
      leave_interrupts_to_others();
      s->serve(i);
    });
}

ThreadTeam::~ThreadTeam() {
  shared_->stop = true;
  shared_->round.fetch_add(1, std::memory_order_release);
  shared_->round.notify_all();
  for (std::thread& t : shared_->threads) t.join();
}

void ThreadTeam::run(int64_t n, int64_t grain, Call call, const void* body) {
  if (n <= 0) return;
  grain = std::max<int64_t>(1, grain);
  if (n_threads_ == 1 || n <= grain) {
    for (int64_t begin = 0; begin < n; begin += grain)
      call(body, begin, std::min(begin + grain, n), 0);
    return;
  }
  Shared& s = *shared_;
  s.call = call, s.body = body, s.grain = grain;
  s.deal(n);
  s.busy.store(n_threads_ - 1, std::memory_order_relaxed);
  s.round.fetch_add(1, std::memory_order_release);
  s.round.notify_all();
  s.work(0);
  for (int spin = 0; spin < kSpins && s.busy.load(std::memory_order_acquire) != 0; ++spin) relax();
  for (int32_t left; (left = s.busy.load(std::memory_order_acquire)) != 0;)
    s.busy.wait(left, std::memory_order_acquire);
}

int default_thread_count() {
  cpu_set_t set;
  int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  double quota = 0, period = 0;
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  if (!(v2 >> quota >> period)) {
    quota = period = 0;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  if (quota > 0 && period > 0) cores = std::min(cores, static_cast<int>(std::ceil(quota / period)));
  return std::max(1, cores);
}

}  // namespace enxuto
