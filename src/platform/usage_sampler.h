// A quiet thread that notes what this process holds, ten times a second. However long it runs it
// keeps a few hundred samples: where they are full, two become one (the larger), and the pace
// halves.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace enxuto {

struct UsageSample {
  uint64_t rss_bytes = 0;
  uint64_t mapped_bytes = 0;  // of it: pages of files
};

struct UsageSeries {
  double interval_seconds = 0;  // between two samples
  std::vector<UsageSample> samples;
};

// Twice the interval: each pair's larger values.
void halve(UsageSeries& series);

class UsageSampler {
 public:
  UsageSampler();
  ~UsageSampler();
  UsageSampler(const UsageSampler&) = delete;
  UsageSampler& operator=(const UsageSampler&) = delete;

  UsageSeries series() const;  // what was noted so far, and how it stands now

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

}  // namespace enxuto
