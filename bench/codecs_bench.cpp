// Weights per second of each encoder, on one thread.
#include <benchmark/benchmark.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "codecs/codec.h"

namespace enxuto {
namespace {

constexpr size_t kRows = 64, kColumns = 1024;

// Bell-shaped values, as weights are; the importances span three decades.
struct Input {
  std::vector<float> values, importance;
  Input() : values(kRows * kColumns), importance(kColumns) {
    uint64_t state = 1;
    const auto uniform = [&state] {
      state = state * 6364136223846793005u + 1442695040888963407u;
      return (static_cast<double>(state >> 40) + 0.5) / (1 << 24);
    };
    const auto gauss = [&] {
      const double radius = std::sqrt(-2 * std::log(uniform()));
      return radius * std::cos(2 * std::numbers::pi * uniform());
    };
    for (float& value : values) value = static_cast<float>(0.02 * gauss());
    for (float& weight : importance) weight = static_cast<float>(std::exp(1.5 * gauss()));
  }
};

void encode(benchmark::State& state, const Codec* codec) {
  static const Input input;
  std::vector<uint8_t> blocks(codec->row_bytes(kColumns));
  for (auto _ : state) {
    for (size_t row = 0; row < kRows; ++row)
      codec->encode(&input.values[row * kColumns], input.importance.data(), blocks.data(),
                    kColumns);
    benchmark::DoNotOptimize(blocks.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows * kColumns));
}

}  // namespace
}  // namespace enxuto

int main(int argc, char** argv) {
  for (const enxuto::Codec* codec : enxuto::all_codecs())
    if (codec->encode) benchmark::RegisterBenchmark(codec->name, enxuto::encode, codec);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
