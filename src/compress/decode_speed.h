// --for-speed: how fast this machine decodes from each number format, and the quickest plan of
// formats among those that lose little more than the best one.
#pragma once

#include <map>
#include <vector>

#include "codecs/codec.h"
#include "compress/curve.h"
#include "compress/workbench.h"

namespace enxuto {

class DecodeSpeed {
 public:
  // Of every type of the menus: as the state folder has them, so that work that was interrupted
  // goes on with the same plan, or timed, some seconds in all. The working memory is empty before
  // and after.
  static Result<DecodeSpeed> find(const Workbench& bench,
                                  const std::vector<std::vector<Type>>& menus);

  // Of one token through so many bytes of matrices in this format.
  double seconds(Type type, uint64_t bytes) const {
    return static_cast<double>(bytes) * seconds_per_byte_.at(type);
  }

 private:
  // As a record has it.
  struct Line {
    uint64_t type;
    double seconds_per_byte;
  };
  Result<bool> take(const Workbench& bench);
  Status keep(const Workbench& bench) const;
  Status measure(const Workbench& bench);
  std::map<Type, double> seconds_per_byte_;
};

// Of all matrices that one token goes through, as timed.
struct SpeedReport {
  double seconds = 0, seconds_without = 0;  // of the plan taken; of the best one
  double predicted_kld_without = 0;         // of the best one
};

// Room is what is left for the weights. The working memory is empty before and after.
Result<Allocation> allocate_for_speed(const Workbench& bench, const PricedWeights& priced,
                                      uint64_t room, SpeedReport& report);

}  // namespace enxuto
