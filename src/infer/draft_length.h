// How many guesses to put to the test: as many as promise the most tokens per second, from how
// often guesses proved right and what passes took. Has no say in what is written, only in how fast.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace enxuto {

class DraftLength {
 public:
  // Another token of a pass costs little where the weights come from the disk.
  explicit DraftLength(bool streams);

  void passed(uint32_t n_tokens, double seconds);
  void judge(uint32_t match, bool right);
  // 0 … most, for a guess that continues a match of so many tokens.
  uint32_t choose(uint32_t match, uint32_t most);

 private:
  struct Record {
    double right, judged;
    double share() const { return right / judged; }
  };
  static size_t kind(uint32_t match);
  const double expected_share_;    // of a pass's time that another token costs
  double one_ = 0, another_ = 0;   // seconds of a token alone, and of each one more
  std::array<Record, 4> records_;  // by the length of the match
};

}  // namespace enxuto
