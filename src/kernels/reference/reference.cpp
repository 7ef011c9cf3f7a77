// The scalar oracle: every kernel in its plainest form, sums in double. Matrices of every type are
// decoded by their codec and meet the float activations, so that what the other tables lose by
// 8-bit codes can be seen.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/float16.h"
#include "kernels/reference/reference_learning.h"
#include "kernels/tables.h"

namespace enxuto {
namespace {

float largest_magnitude(const float* x, int64_t n) {
  float largest = 0;
  for (int64_t i = 0; i < n; ++i)
    largest = std::isnan(x[i]) ? NAN : std::max(largest, std::fabs(x[i]));
  return largest;
}

void prepare(int64_t columns, int64_t sharing, const PreparedRow& row) {
  for (int64_t j = 0; j < columns / 32; ++j) {
    const float* x = row.values + 32 * j;
    const float largest = largest_magnitude(row.values + 32 * j / sharing * sharing, sharing);
    const bool none = largest <= kSmallestActivation;
    const float scale = none ? 0 : largest / 127, inverse = none ? 0 : 127 / largest;
    int sums[2] = {};
    for (int i = 0; i < 32; ++i) {
      const float code = std::clamp(std::nearbyint(x[i] * inverse), -127.0f, 127.0f);
      row.codes[32 * j + i] = code == code ? static_cast<int8_t>(code) : 0;
      sums[i / 16] += row.codes[32 * j + i];
    }
    row.scales[j] = scale;
    row.shifts[j] = -128 * (sums[0] + sums[1]);
    for (int half = 0; half < 2; ++half)
      row.sums[2 * j + half] = scale * static_cast<float>(sums[half]);
  }
}

bool reads_codes(Type) { return false; }

// Decodes a row piece by piece, since scratch is of a fixed size. value(t, i): of token t.
template <class Value>
void multiply_rows(const MatrixView& w, int64_t begin, int64_t end, int64_t n_tokens,
                   const Value& value, float* y, int64_t y_stride, float* scratch) {
  const Codec& codec = *find_codec(w.type);
  constexpr int64_t kPiece = 4096;
  for (int64_t r = begin; r < end; ++r) {
    const uint8_t* row = w.data + static_cast<uint64_t>(r) * w.row_bytes;
    for (int64_t t = 0; t < n_tokens; ++t) {
      double sum = 0;
      for (int64_t c = 0; c < w.columns; c += kPiece) {
        const int64_t n = std::min(kPiece, w.columns - c);
        codec.decode(row + codec.row_bytes(static_cast<uint64_t>(c)), scratch,
                     static_cast<size_t>(n));
        for (int64_t i = 0; i < n; ++i) sum += double{scratch[i]} * value(t, c + i);
      }
      y[t * y_stride + r - begin] = static_cast<float>(sum);
    }
  }
}

void matmul_rows(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                 int64_t n_tokens, TileWeights, float* y, int64_t y_stride, float* scratch) {
  const auto value = [x](int64_t t, int64_t i) { return x[t].values[i]; };
  multiply_rows(w, begin, end, n_tokens, value, y, y_stride, scratch);
}

void matmul_rows_bf16(const MatrixView& w, int64_t begin, int64_t end, const uint16_t* x,
                      int64_t x_stride, int64_t n_tokens, float* y, int64_t y_stride,
                      float* scratch) {
  const auto value = [=](int64_t t, int64_t i) { return bf16_to_f32(x[t * x_stride + i]); };
  multiply_rows(w, begin, end, n_tokens, value, y, y_stride, scratch);
}

void add_product(const FewRowsProduct& p) {
  for (int64_t r = 0; r < p.m; ++r)
    for (int64_t j = 0; j < p.n; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < p.k; ++k)
        sum += double{p.a[r * p.a_stride + k]} *
               p.b[p.b_transposed ? j * p.b_stride + k : k * p.b_stride + j];
      p.c[r * p.c_stride + j] += static_cast<float>(p.scale * sum);
    }
}

void rms_norm(const float* x, const float* weight, float epsilon, int64_t n, float* y) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += double{x[i]} * x[i];
  const auto scale = static_cast<float>(1 / std::sqrt(sum / static_cast<double>(n) + epsilon));
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * scale * weight[i];
}

void layer_norm(const float* x, const float* weight, const float* bias, float epsilon, int64_t n,
                float* y) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i];
  const double mean = sum / static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const double scale = 1 / std::sqrt(squares / static_cast<double>(n) + epsilon);
  for (int64_t i = 0; i < n; ++i)
    y[i] = static_cast<float>((x[i] - mean) * scale * weight[i] + bias[i]);
}

void add(const float* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] += x[i];
}

void silu_mul(const float* gate, const float* up, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
}

void gelu(const float* x, int64_t n, float* y) {
  constexpr float kRoot = 0.79788456f;  // sqrt(2 / pi)
  for (int64_t i = 0; i < n; ++i) {
    const float g = x[i];
    y[i] = 0.5f * g * (1 + std::tanh(kRoot * g * (1 + 0.044715f * g * g)));
  }
}

void gelu_mul(const float* gate, const float* up, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) {
    float activated;
    gelu(gate + i, 1, &activated);
    y[i] = activated * up[i];
  }
}

void softmax(float* x, int64_t n) {
  const float largest = *std::max_element(x, x + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i] = std::exp(x[i] - largest);
  for (int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(x[i] / sum);
}

void decode_row(Type type, const uint8_t* row, int64_t n, float* values) {
  find_codec(type)->decode(row, values, static_cast<size_t>(n));
}

void attend_one(const AttendQuery& query, const KvRows& kv, int64_t head_dim, float scale) {
  float largest = -INFINITY, key[kMaxHeadDim], value[kMaxHeadDim];
  double total = 0, out[kMaxHeadDim] = {};
  for (int64_t p = query.begin; p < query.end; ++p) {
    decode_row(kv.key_type, kv.keys + p * kv.row_bytes, head_dim, key);
    decode_row(kv.value_type, kv.values + p * kv.row_bytes, head_dim, value);
    double score = 0;
    for (int64_t i = 0; i < head_dim; ++i) score += double{query.q[i]} * key[i];
    const auto s = static_cast<float>(score * scale);
    const double shrink = s > largest ? std::exp(double{largest} - s) : 1;
    largest = std::max(largest, s);
    const double weight = std::exp(double{s} - largest);
    total = total * shrink + weight;
    for (int64_t i = 0; i < head_dim; ++i) out[i] = out[i] * shrink + weight * value[i];
  }
  for (int64_t i = 0; i < head_dim; ++i)
    query.out[i] = total == 0 ? 0 : static_cast<float>(out[i] / total);
}

void attend(const AttendQuery* queries, int64_t n_queries, const KvRows& kv, int64_t head_dim,
            float scale, float*) {
  for (int64_t i = 0; i < n_queries; ++i) attend_one(queries[i], kv, head_dim, scale);
}

// A block that is damaged gets a scale that is no number.
void encode_row(Type type, const float* x, int64_t n, uint8_t* y) {
  if (type == Type::F16) {
    for (int64_t i = 0; i < n; ++i) {
      const uint16_t half = f32_to_f16(x[i]);
      std::memcpy(y + 2 * i, &half, sizeof half);
    }
    return;
  }
  const Codec& codec = *find_codec(type);
  codec.encode(x, nullptr, y, static_cast<size_t>(n));
  for (int64_t i = 0; i < n; i += codec.block_values, y += codec.block_bytes)
    if (!std::all_of(x + i, x + i + codec.block_values, [](float v) { return std::isfinite(v); })) {
      const uint16_t damage = f32_to_f16(NAN);
      std::memcpy(y, &damage, sizeof damage);
    }
}

void rotate(float* x, int64_t n) {
  const int64_t piece = n & -n;
  for (int64_t start = 0; start < n; start += piece) {
    double sums[kMaxHeadDim];
    for (int64_t r = 0; r < piece; ++r) {
      sums[r] = 0;
      for (int64_t c = 0; c < piece; ++c)
        sums[r] += __builtin_parityll(r & c) ? -double{x[start + c]} : double{x[start + c]};
    }
    for (int64_t r = 0; r < piece; ++r)
      x[start + r] = static_cast<float>(sums[r] / std::sqrt(static_cast<double>(piece)));
  }
}

int64_t multiply_codes(const int8_t* codes, int64_t rounds, float* sum) {
  int64_t total = 0;
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" ::: "memory");
    for (int i = 0; i < kPeakCodes; ++i) total += codes[0] * codes[i];
  }
  *sum = static_cast<float>(total);
  return rounds * kPeakCodes;
}

}  // namespace

const KernelTable kReferenceKernels = {
    .isa = "reference",
    .prepare = prepare,
    .reads_codes = reads_codes,
    .matmul_rows = matmul_rows,
    .multiplies_bf16 = [](Type, int64_t, int64_t) { return false; },
    .matmul_rows_bf16 = matmul_rows_bf16,
    .add_product = add_product,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .add = add,
    .silu_mul = silu_mul,
    .gelu_mul = gelu_mul,
    .gelu = gelu,
    .softmax = softmax,
    .attend = attend,
    .encode_row = encode_row,
    .rotate = rotate,
    .largest = reference::largest,
    .sum_exponentials = reference::sum_exponentials,
    .exponentials = reference::exponentials,
    .dot = reference::dot,
    .attention_gradient = reference::attention_gradient,
    .rms_norm_gradient = reference::rms_norm_gradient,
    .silu_mul_gradient = reference::silu_mul_gradient,
    .gelu_mul_gradient = reference::gelu_mul_gradient,
    .gelu_gradient = reference::gelu_gradient,
    .adam_step = reference::adam_step,
    .sgd_step = reference::sgd_step,
    .encode_mean = reference::encode_mean,
    .decode_mean = reference::decode_mean,
    .encode_square = reference::encode_square,
    .decode_square = reference::decode_square,
    .round_to_bf16 = reference::round_to_bf16,
    .round_by_chance = reference::round_by_chance,
    .multiply_codes = multiply_codes,
};

}  // namespace enxuto
