#include "platform/usage_sampler.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

namespace enxuto {
namespace {

constexpr size_t kMostSamples = 600;
constexpr double kFirstInterval = 0.1;

// Without a byte of heap, so that the thread costs its stack only.
UsageSample read_sample(int statm) {
  std::array<char, 128> text;
  const ssize_t got = ::pread(statm, text.data(), text.size() - 1, 0);
  if (got <= 0) return {};
  text[static_cast<size_t>(got)] = '\0';
  unsigned long long size, resident, shared;
  if (std::sscanf(text.data(), "%llu %llu %llu", &size, &resident, &shared) != 3) return {};
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return {resident * page, shared * page};
}

}  // namespace

void halve(UsageSeries& series) {
  const size_t pairs = (series.samples.size() + 1) / 2;
  for (size_t i = 0; i < pairs; ++i) {
    const UsageSample& a = series.samples[2 * i];
    const UsageSample& b = series.samples[std::min(2 * i + 1, series.samples.size() - 1)];
    series.samples[i] = {std::max(a.rss_bytes, b.rss_bytes),
                         std::max(a.mapped_bytes, b.mapped_bytes)};
  }
  series.samples.resize(pairs);
  series.interval_seconds *= 2;
}

struct UsageSampler::Shared {
  mutable std::mutex mutex;
  std::condition_variable changed;
  bool stop = false;
  UsageSeries series;
  int statm = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  std::thread thread;

  void run() {
    std::unique_lock lock(mutex);
    while (!stop) {
      series.samples.push_back(read_sample(statm));
      if (series.samples.size() >= kMostSamples) halve(series);
      const auto pause = std::chrono::duration<double>(series.interval_seconds);
      changed.wait_for(lock, pause, [&] { return stop; });
    }
  }
};

UsageSampler::UsageSampler() : shared_(std::make_unique<Shared>()) {
  shared_->series.interval_seconds = kFirstInterval;
  shared_->series.samples.reserve(kMostSamples);
  shared_->thread = std::thread([s = shared_.get()] { s->run(); });
}

UsageSampler::~UsageSampler() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stop = true;
  }
  shared_->changed.notify_all();
  shared_->thread.join();
  if (shared_->statm >= 0) ::close(shared_->statm);
}

UsageSeries UsageSampler::series() const {
  const std::lock_guard lock(shared_->mutex);
  UsageSeries series = shared_->series;
  series.samples.push_back(read_sample(shared_->statm));
  return series;
}

}  // namespace enxuto
