#include "codecs/codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/native_half.h"

namespace enxuto {
namespace {

// The same numbers as tools/golden_codecs.py, which asked the gguf package and stock llama.cpp.
class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  double uniform() { return (static_cast<double>(next() >> 40) + 0.5) / (1 << 24); }

 private:
  uint64_t state_;
};

constexpr size_t kBlocks = 64, kRows = 16, kColumns = 1024;

struct Golden {
  std::string decode_hash;
  double stock_error = -1;
};

const std::map<std::string, Golden>& goldens() {
  static const auto* all = [] {
    auto* map = new std::map<std::string, Golden>;
    std::ifstream in(ENXUTO_SOURCE_DIR "/src/codecs/testdata/golden.txt");
    std::string line, what, name;
    while (std::getline(in, line)) {
      std::istringstream words(line);
      words >> what >> name;
      if (what == "decode") words >> (*map)[name].decode_hash;
      if (what == "encode") words >> (*map)[name].stock_error;
    }
    return map;
  }();
  return *all;
}

std::vector<uint8_t> random_bytes(uint64_t seed, size_t n) {
  SplitMix64 stream(seed);
  std::vector<uint8_t> bytes((n + 7) / 8 * 8);
  for (size_t i = 0; i < bytes.size(); i += 8) {
    const uint64_t word = stream.next();
    for (int k = 0; k < 8; ++k) bytes[i + k] = static_cast<uint8_t>(word >> 8 * k);
  }
  bytes.resize(n);
  return bytes;
}

std::string fnv1a(const std::vector<float>& values) {
  uint64_t h = 0xCBF29CE484222325;
  for (float v : values) {
    const uint32_t bits = std::isnan(v) ? 0x7FC00000 : std::bit_cast<uint32_t>(v);
    for (int k = 0; k < 4; ++k) h = (h ^ (bits >> 8 * k & 255)) * 0x100000001B3;
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(h));
  return text;
}

struct Sample {
  std::vector<float> x, w;
};

const Sample& sample() {
  static const auto* made = [] {
    auto* s = new Sample;
    SplitMix64 stream(2026);
    for (size_t i = 0; i < kRows * kColumns; ++i) {
      const double a = stream.uniform(), b = stream.uniform(), c = stream.uniform();
      s->x.push_back(static_cast<float>((a + b - 1) * c * (i % 97 == 0 ? 4 : 1)));
    }
    for (size_t i = 0; i < kColumns; ++i)
      s->w.push_back(static_cast<float>(0.02 + std::pow(stream.uniform(), 8) * 10));
    return s;
  }();
  return *made;
}

std::vector<float> round_trip(const Codec& codec, const std::vector<float>& x,
                              const float* importance, size_t columns) {
  std::vector<uint8_t> row(codec.row_bytes(columns));
  std::vector<float> back(x.size());
  for (size_t at = 0; at < x.size(); at += columns) {
    codec.encode(x.data() + at, importance, row.data(), columns);
    codec.decode(row.data(), back.data() + at, columns);
  }
  return back;
}

double weighted_error(const std::vector<float>& x, const std::vector<float>& back,
                      const std::vector<float>& w) {
  double error = 0, power = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double weight = w[i % w.size()], off = static_cast<double>(back[i]) - x[i];
    error += weight * off * off;
    power += weight * x[i] * x[i];
  }
  return error / power;
}

TEST(Codec, EveryTypeDecodesToTheReferenceBits) {
  for (const Codec* codec : all_codecs()) {
    if (!codec->decode) continue;
    const auto golden = goldens().find(codec->name);
    ASSERT_NE(golden, goldens().end()) << codec->name << " has no golden figures";
    const size_t blocks = codec->block_values > 1 ? kBlocks : 4096;
    const auto raw = random_bytes(static_cast<uint64_t>(codec->type), blocks * codec->block_bytes);
    std::vector<float> values(blocks * codec->block_values);
    codec->decode(raw.data(), values.data(), values.size());
    EXPECT_EQ(fnv1a(values), golden->second.decode_hash)
        << codec->name << ": " << values[0] << " " << values[1];
  }
}

// Whatever of them are decoded at once.
TEST(Codec, HalvesDecodeAsTheCompilerConvertsThem) {
  std::vector<uint16_t> halves(0x10000 + 5);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  std::vector<float> values(halves.size());
  find_codec(Type::F16)->decode(reinterpret_cast<const uint8_t*>(halves.data()), values.data(),
                                values.size());
  for (size_t i = 0; i < halves.size(); ++i) {
    const auto expected = static_cast<float>(std::bit_cast<NativeHalf>(halves[i]));
    if (std::isnan(expected))
      ASSERT_TRUE(std::isnan(values[i])) << halves[i];
    else
      ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(expected)) << halves[i];
  }
}

TEST(Codec, EncodesBetterThanStockUnderTheSameImportance) {
  for (const Codec* codec : all_codecs()) {
    if (!codec->encode || codec->block_values == 1) continue;
    const double stock = goldens().at(codec->name).stock_error;
    const double ours = weighted_error(
        sample().x, round_trip(*codec, sample().x, sample().w.data(), kColumns), sample().w);
    RecordProperty(codec->name, std::to_string(ours / stock));
    EXPECT_LT(ours, stock) << codec->name << " ratio " << ours / stock;
  }
}

TEST(Codec, ImportanceMovesTheErrorToWhereItMattersLess) {
  const std::vector<float> equal(kColumns, 1.0f);
  for (const Codec* codec : all_codecs()) {
    if (!codec->encode || codec->block_values == 1) continue;
    const double with = weighted_error(
        sample().x, round_trip(*codec, sample().x, sample().w.data(), kColumns), sample().w);
    const double without =
        weighted_error(sample().x, round_trip(*codec, sample().x, nullptr, kColumns), sample().w);
    EXPECT_LT(with, without) << codec->name;
  }
}

TEST(Codec, WhatItWroteItWritesAgain) {
  for (const Codec* codec : all_codecs()) {
    if (!codec->encode) continue;
    const auto once = round_trip(*codec, sample().x, nullptr, kColumns);
    const auto twice = round_trip(*codec, once, nullptr, kColumns);
    EXPECT_LT(weighted_error(once, twice, {1.0f}), codec->block_values == 256 ? 2e-3 : 1e-5)
        << codec->name;
  }
}

uint8_t code_of_zero(const BlockShape& shape) {
  for (uint32_t code = 0; code < shape.n_codes; ++code)
    if ((shape.levels ? shape.levels[code] : static_cast<float>(code)) + shape.zero == 0)
      return static_cast<uint8_t>(code);
  return 0;
}

TEST(Codec, AnyCodesOfTheGridAreReadBackAsItsValues) {
  SplitMix64 stream(7);
  for (const Codec* codec : all_codecs()) {
    if (!codec->set_codes) continue;
    const size_t n = codec->block_values;
    const BlockShape& shape = *codec->shape;
    std::vector<uint8_t> block(codec->block_bytes), codes(n);
    std::vector<float> back(n);
    codec->encode(sample().x.data(), sample().w.data(), block.data(), n);
    for (uint8_t& code : codes) code = static_cast<uint8_t>(stream.next() % shape.n_codes);
    codes[0] = 0, codes[1] = static_cast<uint8_t>(shape.n_codes - 1);
    if (codec->present) std::fill(codes.begin() + 16, codes.end(), code_of_zero(shape));
    codec->set_codes(codes.data(), block.data());
    BlockScales scales;
    codec->scales(block.data(), scales);
    const BlockGrid grid = grid_of(*codec, scales);
    codec->decode(block.data(), back.data(), n);
    for (size_t i = 0; i < n; ++i) {
      const size_t g = i / shape.group_values;
      const float level = shape.levels ? shape.levels[codes[i]] : codes[i];
      const float value = grid.offset[g] + grid.step[g] * level;
      EXPECT_NEAR(back[i], value, 1e-5f) << codec->name << " value " << i;
    }
  }
}

// Other scales change the values as the grid says, and nothing else: the old ones bring the block
// back.
TEST(Codec, AnyScalesAreReadBack) {
  SplitMix64 stream(8);
  for (const Codec* codec : all_codecs()) {
    if (!codec->shape) continue;
    const size_t n = codec->block_values;
    const BlockShape& shape = *codec->shape;
    std::vector<uint8_t> block(codec->block_bytes);
    std::vector<float> before(n), after(n);
    codec->encode(sample().x.data(), sample().w.data(), block.data(), n);
    codec->decode(block.data(), before.data(), n);
    const std::vector<uint8_t> old_block = block;
    BlockScales old, scales, back;
    codec->scales(block.data(), old);
    const BlockGrid old_grid = grid_of(*codec, old);
    scales = old;
    if (!shape.fixed_d) scales.d *= 2;
    if (shape.most_low > 0) scales.low *= 0.5f;
    for (size_t g = 0; g < n / shape.group_values; ++g) {
      if (shape.most > shape.least)
        scales.a[g] =
            shape.least + static_cast<int>(stream.next() % (shape.most - shape.least + 1));
      if (shape.most_low > 1) scales.b[g] = static_cast<int>(stream.next() % (shape.most_low + 1));
    }
    codec->set_scales(scales, block.data());
    codec->scales(block.data(), back);
    codec->decode(block.data(), after.data(), n);
    const BlockGrid grid = grid_of(*codec, back), wanted = grid_of(*codec, scales);
    for (size_t i = 0; i < n; ++i) {
      const size_t g = i / shape.group_values;
      ASSERT_EQ(grid.step[g], wanted.step[g]) << codec->name;
      ASSERT_EQ(grid.offset[g], wanted.offset[g]) << codec->name;
      const float level = (before[i] - old_grid.offset[g]) / old_grid.step[g];
      const float value = grid.offset[g] + grid.step[g] * level;
      if (old_grid.step[g] == 0) continue;
      EXPECT_NEAR(after[i], value, 1e-4f * (1 + std::fabs(value))) << codec->name;
    }
    codec->set_scales(old, block.data());
    EXPECT_EQ(block, old_block) << codec->name;
  }
}

// Against all that a plain search would find: no other block of the format's own encoder, at the
// same scales, comes nearer to the targets.
TEST(Codec, PointsAreSetToTheNearest) {
  for (const Codec* codec : all_codecs()) {
    if (!codec->set_points) continue;
    std::vector<uint8_t> block(codec->block_bytes);
    std::vector<float> back(256);
    codec->encode(sample().x.data(), sample().w.data(), block.data(), 256);
    codec->decode(block.data(), back.data(), 256);
    BlockScales scales;
    codec->scales(block.data(), scales);
    const BlockGrid grid = grid_of(*codec, scales);
    double before = 0, after = 0;
    for (int e = 0; e < 32; ++e) {
      float steps[8], targets[64], values[64];
      std::vector<std::vector<uint8_t>> copies(8, block);
      uint8_t* blocks[8];
      for (int row = 0; row < 8; ++row) {
        blocks[row] = copies[row].data();
        steps[row] = grid.step[8 * e / codec->shape->group_values];
        // Row 0 asks for what it has: it must get it, or something nearer; the others for more.
        for (int i = 0; i < 8; ++i) targets[8 * i + row] = sample().x[8 * e + i] * (1 + 0.1f * row);
      }
      const float* w = sample().w.data() + 8 * e;
      codec->set_points(e, steps, targets, w, 5, blocks, values);
      for (int row = 0; row < 8; ++row) {
        std::vector<float> now(256);
        codec->decode(blocks[row], now.data(), 256);
        for (int i = 0; i < 256; ++i) {
          const bool set = row < 5 && i / 8 == e;
          ASSERT_NEAR(now[i], set ? values[8 * (i % 8) + row] : back[i], 1e-5f) << codec->name;
        }
        if (row > 0) continue;
        for (int i = 8 * e; i < 8 * e + 8; ++i) {
          before += sample().w[i] * std::pow(back[i] - sample().x[i], 2);
          after += sample().w[i] * std::pow(now[i] - sample().x[i], 2);
        }
      }
    }
    EXPECT_LE(after, before * 1.0001) << codec->name;
  }
}

TEST(Codec, ScalesChosenAloneAreAsGoodAsTheEncoders) {
  for (const Codec* codec : all_codecs()) {
    if (!codec->set_points) continue;
    std::vector<float> back(sample().x.size());
    for (size_t at = 0; at < back.size(); at += 256) {
      const float *x = sample().x.data() + at, *w = sample().w.data() + at % kColumns;
      std::vector<uint8_t> block(codec->block_bytes);
      uint8_t* const blocks[] = {block.data()};
      codec->choose_scales(x, w, block.data());
      BlockScales scales;
      codec->scales(block.data(), scales);
      const BlockGrid grid = grid_of(*codec, scales);
      for (int e = 0; e < 32; ++e) {
        float targets[64] = {}, values[64];
        for (int i = 0; i < 8; ++i) targets[8 * i] = x[8 * e + i];
        codec->set_points(e, &grid.step[8 * e / codec->shape->group_values], targets, w + 8 * e, 1,
                          blocks, values);
      }
      codec->decode(block.data(), back.data() + at, 256);
    }
    const auto encoded = round_trip(*codec, sample().x, sample().w.data(), kColumns);
    EXPECT_LT(weighted_error(sample().x, back, sample().w),
              1.03 * weighted_error(sample().x, encoded, sample().w))
        << codec->name;
  }
}

// 16 of each 32 that are not zero come back; zeros stay zeros, wherever they are.
TEST(Codec, SparseFormatsKeepTheirZeros) {
  SplitMix64 stream(9);
  for (const Codec* codec : all_codecs()) {
    if (!codec->present) continue;
    std::vector<float> x(sample().x);
    const Codec& f16 = *find_codec(Type::F16);
    x = round_trip(f16, x, nullptr, kColumns);
    for (size_t at = 0; at < x.size(); at += 32)
      for (size_t gone = 0; gone < 16;) {
        float& value = x[at + stream.next() % 32];
        gone += value != 0, value = 0;
      }
    const auto back = round_trip(*codec, x, sample().w.data(), kColumns);
    for (size_t i = 0; i < x.size(); ++i)
      ASSERT_TRUE(x[i] != 0 || back[i] == 0) << codec->name << " " << i;
    EXPECT_TRUE(codec->type != Type::SF16 || back == x);
    EXPECT_LT(weighted_error(x, back, {1.0f}), codec->type == Type::SQ4_NL ? 1.5e-2 : 5e-5)
        << codec->name;
  }
}

// Where more are not zero, those go that count least.
TEST(Codec, SparseFormatsDropWhatCountsLeast) {
  std::vector<float> x(32), w(32, 1.0f);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1) * (i % 2 ? -1.0f : 1.0f);
  w[0] = 4096, w[31] = 0;  // the smallest counts most, the largest not at all
  for (const Codec* codec : all_codecs()) {
    if (!codec->present) continue;
    const auto back = round_trip(*codec, x, w.data(), 32);
    for (size_t i = 0; i < x.size(); ++i)
      EXPECT_EQ(back[i] != 0, i == 0 || (i >= 16 && i < 31)) << codec->name << " " << i;
  }
}

TEST(Codec, HostileValuesStayInsideTheFormat) {
  constexpr float kInf = std::numeric_limits<float>::infinity(),
                  kNan = std::numeric_limits<float>::quiet_NaN();
  const float hostile[] = {0.0f, -0.0f, 1e-45f, 1e-38f,   -3e38f, 3e38f,
                           kInf, -kInf, kNan,   65504.0f, 1e6f,   -1.0f};
  for (const Codec* codec : all_codecs()) {
    if (!codec->encode) continue;
    for (float fill : hostile) {
      for (float other : hostile) {
        std::vector<float> x(256, fill), w(256, 1.0f);
        x[7] = other, x[100] = 0.5f, x[200] = -other;
        const auto back = round_trip(*codec, x, w.data(), 256);
        if (codec->choose_scales) {
          std::vector<uint8_t> block(codec->block_bytes);
          BlockScales scales;
          codec->choose_scales(x.data(), w.data(), block.data());
          codec->scales(block.data(), scales);
          EXPECT_TRUE(std::isfinite(scales.d)) << codec->name << " " << fill << " " << other;
        }
        if (codec->block_values == 1 || !std::isfinite(fill) || !std::isfinite(other)) continue;
        for (float v : back)
          ASSERT_TRUE(std::isfinite(v)) << codec->name << " " << fill << " " << other;
      }
    }
    const std::vector<float> zeros(256, 0.0f), none(256, 0.0f);
    EXPECT_EQ(round_trip(*codec, zeros, none.data(), 256), zeros) << codec->name;
  }
}

TEST(Codec, NamesAndTypesFindTheirRow) {
  for (const Codec* codec : all_codecs()) {
    EXPECT_EQ(find_codec(codec->type), codec);
    EXPECT_EQ(find_codec(codec->name), codec);
  }
  EXPECT_EQ(find_codec("q4_k"), find_codec(Type::Q4_K));
  EXPECT_EQ(find_codec("Q4"), nullptr);
  EXPECT_EQ(find_codec(static_cast<Type>(12345)), nullptr);
  EXPECT_DOUBLE_EQ(find_codec(Type::Q4_K)->bits_per_weight(), 4.5);
}

}  // namespace
}  // namespace enxuto
