// A team of threads that shares loops. Each has a share of neighbouring chunks, so that it reads
// one stretch of memory, and helps the others when it is done: a slow core (shared with others)
// does less. A short spin, then a futex, so that nothing burns a core while idle.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace enxuto {

class ThreadTeam {
 public:
  // n_threads >= 1 including the caller's own.
  explicit ThreadTeam(int n_threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return n_threads_; }

  // Calls body(begin, end, thread) over [0, n) in pieces of at most `grain`; returns when all are
  // done. `body` must not throw. Not to be nested.
  template <class Body>
  void parallel_for(int64_t n, int64_t grain, const Body& body) {
    run(
        n, grain,
        [](const void* b, int64_t begin, int64_t end, int thread) {
          (*static_cast<const Body*>(b))(begin, end, thread);
        },
        &body);
  }

 private:
  using Call = void (*)(const void* body, int64_t begin, int64_t end, int thread);
  void run(int64_t n, int64_t grain, Call call, const void* body);
  struct Shared;
  int n_threads_;
  std::unique_ptr<Shared> shared_;
};

// The machine's cores that this process may use (affinity and cgroup quota counted).
int default_thread_count();

}  // namespace enxuto
