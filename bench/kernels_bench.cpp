// Kernels by themselves: every format over a matrix larger than the last cache (decode, as GB/s of
// weights; decode_cached in L2) and over one that stays in cache while many tokens pass (prefill,
// as G multiply-adds/s).
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "kernels/matmul.h"

namespace enxuto {
namespace {

constexpr uint64_t kLargePage = 2 << 20;

struct Problem {
  Problem(Type type, int64_t rows, int64_t columns, int64_t n_tokens, int n_threads)
      : tokens(n_tokens), team(n_threads) {
    const Codec& codec = *find_codec(type);
    const uint64_t row_bytes = codec.row_bytes(static_cast<uint64_t>(columns));
    size = row_bytes * static_cast<uint64_t>(rows);
    // In large pages, as a model's file is mapped where its file system has them.
    const uint64_t whole = (size + kLargePage - 1) / kLargePage * kLargePage;
    weights = static_cast<uint8_t*>(std::aligned_alloc(kLargePage, whole));
    ::madvise(weights, whole, MADV_HUGEPAGE);
    std::mt19937 random(1);
    std::generate_n(weights, size,
                    [&] { return static_cast<uint8_t>(random() & 0x2f); });  // finite scales
    x.resize(static_cast<size_t>(columns * n_tokens));
    for (float& v : x) v = static_cast<float>(random() % 2001) / 1000 - 1;
    y.resize(static_cast<size_t>(rows * n_tokens));
    view = {type, weights, rows, columns, row_bytes};
    const uint64_t bytes = MatmulBuffers::bytes(n_tokens, columns, n_threads);
    memory = static_cast<uint8_t*>(std::aligned_alloc(64, bytes));
  }
  ~Problem() {
    std::free(memory);
    std::free(weights);
  }

  void run(benchmark::State& state) {
    MatmulBuffers buffers(memory, tokens, view.columns, team.size());
    const MatmulJob job = {view, nullptr, y.data(), view.rows};
    for (auto _ : state) {
      matmul(kernels(), team, buffers, x.data(), view.columns, tokens, {&job, 1},
             Rounding::kFastest);
      benchmark::ClobberMemory();
    }
    const auto runs = static_cast<double>(state.iterations());
    state.counters["GB/s"] =
        benchmark::Counter(1e-9 * static_cast<double>(size) * runs, benchmark::Counter::kIsRate);
    state.counters["GMAC/s"] =
        benchmark::Counter(1e-9 * static_cast<double>(view.rows * view.columns * tokens) * runs,
                           benchmark::Counter::kIsRate);
  }

  int64_t tokens;
  ThreadTeam team;
  uint64_t size;
  uint8_t* weights;
  std::vector<float> x, y;
  MatrixView view;
  uint8_t* memory;
};

void decode(benchmark::State& state, Type type, int64_t columns, int n_threads) {
  const int64_t rows = (int64_t{1} << 26) / columns / 16 * 16;
  Problem(type, rows, columns, 1, n_threads).run(state);
}

// The same of a matrix that L2 holds: what computing alone takes.
void decode_cached(benchmark::State& state, Type type, int64_t columns) {
  constexpr uint64_t kBytes = 400 << 10;
  const auto row_bytes = find_codec(type)->row_bytes(static_cast<uint64_t>(columns));
  Problem(type, static_cast<int64_t>(kBytes / row_bytes), columns, 1, 1).run(state);
}

void prefill(benchmark::State& state, Type type, int64_t columns, int64_t n_tokens, int n_threads) {
  Problem(type, 1536, columns, n_tokens, n_threads).run(state);
}

// The matrix products of one token of SmolLM2-135M in Q4_1 with a Q8_0 head, in their order: what
// decode would be if all else were free.
void smollm2(benchmark::State& state, int64_t n_tokens, int n_threads) {
  struct Shape {
    Type type;
    int64_t rows, columns;
  };
  const Shape layer[] = {{Type::Q4_1, 960, 576},
                         {Type::Q4_1, 576, 576},
                         {Type::Q4_1, 3072, 576},
                         {Type::Q4_1, 576, 1536}};
  constexpr int64_t kMaxRows = 49152, kMaxColumns = 1536;
  std::vector<std::vector<uint8_t>> weights;
  std::vector<MatrixView> views;
  const auto add = [&](const Shape& shape) {
    const uint64_t row_bytes =
        find_codec(shape.type)->row_bytes(static_cast<uint64_t>(shape.columns));
    weights.emplace_back(row_bytes * static_cast<uint64_t>(shape.rows), 0x21);
    views.push_back({shape.type, weights.back().data(), shape.rows, shape.columns, row_bytes});
  };
  for (int i = 0; i < 30; ++i)
    for (const Shape& shape : layer) add(shape);
  if (n_tokens == 1) add({Type::Q8_0, kMaxRows, 576});
  std::vector<float> x(static_cast<size_t>(kMaxColumns * n_tokens), 0.5f);
  std::vector<float> y(static_cast<size_t>(n_tokens == 1 ? kMaxRows : 3072 * n_tokens));
  ThreadTeam team(n_threads);
  const uint64_t bytes = MatmulBuffers::bytes(n_tokens, kMaxColumns, n_threads);
  auto* memory = static_cast<uint8_t*>(std::aligned_alloc(64, bytes));
  MatmulBuffers buffers(memory, n_tokens, kMaxColumns, n_threads);
  for (auto _ : state)
    for (const MatrixView& view : views) {
      const MatmulJob job = {view, nullptr, y.data(), view.rows};
      matmul(kernels(), team, buffers, x.data(), view.columns, n_tokens, {&job, 1},
             Rounding::kFastest);
    }
  std::free(memory);
  state.counters["tokens/s"] = benchmark::Counter(
      static_cast<double>(n_tokens * state.iterations()), benchmark::Counter::kIsRate);
}

// The heads of one group, for the last tokens of a context of 2,048.
void attend(benchmark::State& state, Type type, int64_t head_dim, int64_t group, int64_t tokens) {
  constexpr int64_t kPositions = 2048;
  const auto row =
      static_cast<int64_t>(find_codec(type)->row_bytes(static_cast<uint64_t>(head_dim)));
  std::vector<float> q(static_cast<size_t>(group * tokens * head_dim), 0.1f), out(q.size());
  std::vector<uint8_t> cache(static_cast<size_t>(kPositions * 2 * row));
  for (int64_t p = 0; p < 2 * kPositions; ++p)
    kernels().encode_row(type, q.data(), head_dim, cache.data() + p * row);
  const KvRows rows = {type, type, cache.data(), cache.data() + row, 2 * row};
  std::vector<float> scratch(kKernelScratchFloats);
  std::vector<AttendQuery> queries;
  for (int64_t i = 0; i < group * tokens; ++i)
    queries.push_back({q.data() + i * head_dim, out.data() + i * head_dim, 0,
                       kPositions - tokens + i / group + 1});
  for (auto _ : state)
    kernels().attend(queries.data(), group * tokens, rows, head_dim, 0.125f, scratch.data());
  state.counters["GMAC/s"] = benchmark::Counter(
      2e-9 * static_cast<double>(group * tokens * head_dim * kPositions * state.iterations()),
      benchmark::Counter::kIsRate);
}

// Errors of a panel of columns handed on to all that follow it, as compress rounds 64 rows.
void product(benchmark::State& state, int64_t n, int64_t k, bool transposed) {
  constexpr int64_t kRows = 64, kColumns = 1536;
  const std::vector<float> b(static_cast<size_t>(kColumns * kColumns), 0.25f);
  std::vector<float> a(static_cast<size_t>(kRows * k), 0.5f);
  std::vector<float> c(static_cast<size_t>(kRows * kColumns));
  for (auto _ : state) {
    kernels().add_product(
        {kRows, n, k, 1, a.data(), k, b.data(), kColumns, transposed, c.data(), kColumns});
    benchmark::ClobberMemory();
  }
  state.counters["GMAC/s"] = benchmark::Counter(
      1e-9 * static_cast<double>(kRows * n * k * state.iterations()), benchmark::Counter::kIsRate);
}

void encode(benchmark::State& state, Type type) {
  std::vector<float> x(128);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * i % 37) - 18;
  uint8_t row[256];
  for (auto _ : state) {
    kernels().rotate(x.data(), 128);
    kernels().encode_row(type, x.data(), 128, row);
    benchmark::ClobberMemory();
  }
}

// A row of what training does beside products, in cache: values per second.
template <class Run>
void row_of_training(benchmark::State& state, const Run& run) {
  constexpr int64_t kValues = 2048;
  std::vector<float> a(kValues, 0.5f), b(kValues, 0.25f), c(kValues, 0.125f), d(kValues, 0.25f);
  for (auto _ : state) {
    run(kValues, a.data(), b.data(), c.data(), d.data());
    benchmark::ClobberMemory();
  }
  state.counters["values/s"] = benchmark::Counter(static_cast<double>(kValues * state.iterations()),
                                                  benchmark::Counter::kIsRate);
}

void register_training() {
  const auto add = [](const std::string& name, auto run) {
    benchmark::RegisterBenchmark(("training/" + name).c_str(),
                                 [run](benchmark::State& state) { row_of_training(state, run); });
  };
  const KernelTable& k = kernels();
  add("largest", [&k](int64_t n, float* a, float*, float*, float*) {
    benchmark::DoNotOptimize(k.largest(a, n));
  });
  add("sum_exponentials", [&k](int64_t n, float* a, float*, float*, float*) {
    benchmark::DoNotOptimize(k.sum_exponentials(a, n, 1));
  });
  add("exponentials", [&k](int64_t n, float* a, float*, float*, float*) {
    benchmark::DoNotOptimize(k.exponentials(a, n, 1, 1));
  });
  add("dot", [&k](int64_t n, float* a, float* b, float*, float*) {
    benchmark::DoNotOptimize(k.dot(a, b, n));
  });
  add("attention_gradient", [&k](int64_t n, float* a, float* b, float*, float*) {
    k.attention_gradient(a, b, n, {1, 0.5f, 0.125f});
  });
  add("rms_norm_gradient", [&k](int64_t n, float* a, float* b, float* c, float* d) {
    k.rms_norm_gradient(a, b, 1e-5f, n, c, d);
  });
  add("silu_mul_gradient",
      [&k](int64_t n, float* a, float* b, float* c, float*) { k.silu_mul_gradient(a, b, c, n); });
  add("gelu_mul_gradient",
      [&k](int64_t n, float* a, float* b, float* c, float*) { k.gelu_mul_gradient(a, b, c, n); });
  add("gelu_gradient",
      [&k](int64_t n, float* a, float* b, float*, float*) { k.gelu_gradient(a, b, n); });
  add("adam_step", [&k](int64_t n, float* a, float* b, float* c, float* d) {
    k.adam_step({1e-3f, 1, 0.9f, 0.95f, 1e-8f, 1, 1, 1}, a, n, b, c, d);
  });
  add("sgd_step", [&k](int64_t n, float* a, float* b, float* c, float*) {
    k.sgd_step({1e-3f, 1, 0.9f, 1}, a, n, b, c);
  });
  add("mean_in_8_bits", [&k](int64_t n, float* a, float*, float* codes, float* scale) {
    auto* bytes = reinterpret_cast<int8_t*>(codes);
    k.encode_mean(a, n, {1}, bytes, scale);
    k.decode_mean(bytes, *scale, n, a);
  });
  add("square_in_8_bits", [&k](int64_t n, float* a, float*, float* codes, float* scale) {
    auto* bytes = reinterpret_cast<uint8_t*>(codes);
    k.encode_square(a, n, {1}, bytes, scale);
    k.decode_square(bytes, *scale, n, a);
  });
  add("round_to_bf16", [&k](int64_t n, float* a, float* halves, float*, float*) {
    k.round_to_bf16(a, n, reinterpret_cast<uint16_t*>(halves));
  });
  add("round_by_chance", [&k](int64_t n, float* a, float* halves, float*, float*) {
    k.round_by_chance(a, n, {1}, reinterpret_cast<uint16_t*>(halves));
  });
}

void hand_out(benchmark::State& state, int n_threads) {
  ThreadTeam team(n_threads);
  for (auto _ : state) team.parallel_for(n_threads, 1, [](int64_t, int64_t, int) {});
}

void register_all() {
  for (const Codec* codec : all_codecs()) {
    if (!codec->decode) continue;
    const std::string name = codec->name;
    const Type type = codec->type;
    benchmark::RegisterBenchmark(("decode_cached/" + name).c_str(), decode_cached, type, 1536)
        ->UseRealTime();
    for (const int n : {1, 2}) {
      const std::string threads = "/threads:" + std::to_string(n);
      benchmark::RegisterBenchmark(("decode/" + name + threads).c_str(), decode, type, 1536, n)
          ->UseRealTime();
      benchmark::RegisterBenchmark(("prefill/" + name + threads).c_str(), prefill, type, 1536, 512,
                                   n)
          ->UseRealTime();
    }
  }
  benchmark::RegisterBenchmark("decode/Q4_1/columns:576", decode, Type::Q4_1, 576, 1)
      ->UseRealTime();
  for (const int64_t n : {2, 4, 8, 16})
    benchmark::RegisterBenchmark(("prefill/Q4_1/tokens:" + std::to_string(n)).c_str(), prefill,
                                 Type::Q4_1, 1536, n, 1)
        ->UseRealTime();
  for (const int n : {1, 2})
    for (const int64_t n_tokens : {1, 512})
      benchmark::RegisterBenchmark(
          ("smollm2/tokens:" + std::to_string(n_tokens) + "/threads:" + std::to_string(n)).c_str(),
          smollm2, n_tokens, n)
          ->UseRealTime();
  for (const Type type : {Type::F16, Type::Q8_0, Type::Q4_0}) {
    const std::string name = std::string("/") + find_codec(type)->name;
    benchmark::RegisterBenchmark(("attend/decode/64x1" + name).c_str(), attend, type, 64, 1, 1);
    benchmark::RegisterBenchmark(("attend/decode/64x3" + name).c_str(), attend, type, 64, 3, 1);
    benchmark::RegisterBenchmark(("attend/decode/128x6" + name).c_str(), attend, type, 128, 6, 1);
    benchmark::RegisterBenchmark(("attend/prefill/64x3" + name).c_str(), attend, type, 64, 3, 8);
    benchmark::RegisterBenchmark(("attend/prefill/128x6" + name).c_str(), attend, type, 128, 6, 5);
    benchmark::RegisterBenchmark(("cache_row/128" + name).c_str(), encode, type);
  }
  for (const bool transposed : {false, true})
    for (const int64_t k : {32, 256})
      benchmark::RegisterBenchmark(
          ("product/1024x" + std::to_string(k) + (transposed ? "/transposed" : "")).c_str(),
          product, 1024, k, transposed);
  for (const int n : {1, 2, 8})
    benchmark::RegisterBenchmark(("hand_out/threads:" + std::to_string(n)).c_str(), hand_out, n)
        ->UseRealTime();
  register_training();
}

}  // namespace
}  // namespace enxuto

int main(int argc, char** argv) {
  enxuto::register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
