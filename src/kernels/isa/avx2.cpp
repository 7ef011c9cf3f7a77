// Processors with AVX2, FMA and F16C: 8-bit products in pairs, summed in 16 bits, then in 32.
#include "kernels/generic/make_table.h"
#include "kernels/isa/avx2_vectors.h"

namespace enxuto {
namespace {

struct Avx2 : Avx2Vectors {
  // Pairs of products in 16 bits. Signed weights lend their sign to the activation.
  template <bool kSigned>
  static Ints products(Bytes w, Bytes x) {
    if constexpr (kSigned) return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_maddubs_epi16(w, x);
  }
  static Ints widen(Ints pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }

  // What a bias of the codes adds to every dot product with x.
  template <int kBias, bool kSigned>
  static Ints bias(Bytes x) {
    return kBias ? products<false>(all_bytes(kBias), x) : zero_ints();
  }
  // Lane i: the sum of (w - bias) * x over bytes 4 i … 4 i + 3
  template <int kBias, bool kSigned>
  static Ints dot(Bytes w, Bytes x, Ints bias) {
    Ints pairs = products<kSigned>(w, x);
    if constexpr (kBias != 0) pairs = _mm256_sub_epi16(pairs, bias);
    return widen(pairs);
  }
  // Of two vectors each; codes above 63 would not bear that their pairs are added in 16 bits.
  template <int kBias, bool kSigned>
  static Ints bias(Bytes x0, Bytes x1) {
    return _mm256_add_epi16(bias<kBias, kSigned>(x0), bias<kBias, kSigned>(x1));
  }
  template <int kBias, bool kSigned, int kMax>
  static Ints dot(Bytes w0, Bytes w1, Bytes x0, Bytes x1, Ints bias) {
    const Ints p0 = products<kSigned>(w0, x0), p1 = products<kSigned>(w1, x1);
    if constexpr (kMax >= 64) return add_ints(widen(p0), widen(p1));
    Ints pairs = _mm256_add_epi16(p0, p1);
    if constexpr (kBias != 0) pairs = _mm256_sub_epi16(pairs, bias);
    return widen(pairs);
  }

  // ---- tiles
  using Partial = Ints;
  static constexpr bool kUnsignedOnly = false, kWideSums = false;
  static constexpr int kTileTokens = 3, kTileRows = 16, kFloatTokens = 6;
  static Partial nothing() { return zero_ints(); }
  static Bytes broadcast_four(const void* p) {
    int word;
    __builtin_memcpy(&word, p, 4);
    return _mm256_set1_epi32(word);
  }
  template <bool kSigned>
  static Partial add_products(Partial sum, Bytes w, Bytes x) {
    return _mm256_add_epi16(sum, products<kSigned>(w, x));
  }
  static Ints widen_add(Ints total, Partial sum) { return add_ints(total, widen(sum)); }
};

}  // namespace

constinit const KernelTable kAvx2Kernels = generic::make_table<Avx2, Avx2>("avx2");

}  // namespace enxuto
